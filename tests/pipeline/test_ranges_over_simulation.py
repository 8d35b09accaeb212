"""Ranges through real adapters and a simulated media host: what hosts do wrong ends in the right bytes, or in a named error and then in them."""

import asyncio
import hashlib
from dataclasses import replace

import pytest

from archiver.domain import errors
from archiver.simulator import actions, body_actions
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.faults import Rule
from archiver.simulator.recordings import Source
from archiver.simulator.server import serve
from tests.pipeline.clock import NOON, VirtualClock
from tests.pipeline.limited_host import RULE, Worker
from tests.pipeline.simulated import opened, world_of
from tests.pipeline.stage import an_entry

MIB = 2**20
SIZE = 12 * MIB
RANGED = replace(
    RULE, floor=1e12, least_left=2 * MIB, warm_up=1, measured=MIB // 2, seconds=1e9, least_span=MIB // 4, most_span=MIB // 2
)
SOURCES = [Source.TELNYX_ROOMS, Source.TWILIO_VIDEO]


class Real(VirtualClock):
    """The time of the world stands still; what is waited for is measured with the machine's clock."""

    def monotonic(self):
        return asyncio.get_running_loop().time()


async def archived(source, *, fault=None, behaviour=None, attempts=1, after=None):
    """Archives one recording with further connections allowed; returns (true bytes, store, errors, simulation, worker)."""
    clock = Real()
    world = world_of(clock, source, 1, size=SIZE)
    (recording,) = world.recordings.values() if isinstance(world.recordings, dict) else world.recordings
    failures = []
    async with (
        serve(world, behaviour=behaviour or Behaviour()) as simulation,
        opened(simulation, source, clock, ranges_from=MIB) as provider,
        clock,
    ):
        if fault is not None:
            simulation.faults.add(Rule(name="fault", action=fault, host="media"))
        worker = Worker(clock, rule=RANGED, budget=24 * MIB, part_size=5 * MIB)
        worker.transfer._providers = {"rooms": provider}
        entry = an_entry(recording_id=recording.id, ended_at=NOON, codec="opus")
        for _ in range(attempts):
            try:
                await worker.transfer.archive(entry)
                break
            except errors.ProviderError as error:
                failures.append(error)
                entry = worker.transfer.as_noted(entry)
        assert worker.at_rest()
        if after is not None:
            after(world)
    media = recording.media["media"]
    return media, worker.store, failures, simulation


def ranged(simulation):
    return [line for line in simulation.requests(host="media") if "range" in line.header_names]


def check(media, store):
    (kept,) = store.objects.values()
    assert hashlib.sha256(kept.body).hexdigest() == media.sha256
    assert store.begun == {}


@pytest.mark.parametrize("source", SOURCES)
async def test_a_source_that_limits_each_connection_is_asked_over_eight_of_them(source, logged):
    behaviour = Behaviour(media_rate=8 * MIB)
    media, store, failures, simulation = await archived(source, behaviour=behaviour)
    check(media, store)
    assert failures == []
    assert len(ranged(simulation)) >= 20
    assert len(simulation.requests(host="media")) == 1 + len(ranged(simulation))
    assert [line["connections"] for line in logged if line["event"] == "ranges_begun"] == [8]
    assert len([line for line in simulation.audit if line.host != "media"]) == 1  # one link, for all of them


HARMLESS = {
    "ranges ignored": body_actions.range_ignored(),
    "another range": body_actions.wrong_range(),
    "shorter ranges": body_actions.short_range(),
    "no validator": body_actions.with_headers(ETag=None),
    "slow down": actions.status(503),
    "too many": actions.status(429),
    "failing": actions.status(500),
    "nothing": actions.no_answer(),
    "gzip": body_actions.gzipped(),
}
CUT = {"cut": actions.cut(0.5), "reset": actions.cut(0.5, ending="rst"), "silently": actions.chunked(0.5)}


@pytest.mark.parametrize("what", HARMLESS)
async def test_a_host_that_does_ranges_wrong_from_the_start_loses_nothing(what):
    fault = body_actions.on_ranges(HARMLESS[what])
    media, store, failures, simulation = await archived(
        Source.TELNYX_ROOMS, fault=fault, behaviour=Behaviour(media_rate=24 * MIB)
    )
    check(media, store)
    assert failures == []
    assert len(ranged(simulation)) >= 7


@pytest.mark.parametrize("what", [*HARMLESS, *CUT])
async def test_a_host_that_does_ranges_wrong_in_the_middle_ends_in_the_right_bytes(what):
    fault = body_actions.on_ranges((HARMLESS | CUT)[what], skip=9, times=4)
    media, store, failures, _ = await archived(
        Source.TELNYX_ROOMS, fault=fault, behaviour=Behaviour(media_rate=24 * MIB), attempts=3
    )
    check(media, store)
    assert all(isinstance(failure, errors.ProviderError) for failure in failures)


@pytest.mark.parametrize("after", [0, 5, 12])
async def test_a_file_that_is_another_one_from_some_range_on_is_never_mixed(after):
    """The host answers with 206 and with the bytes of another file under that one's ETag: only the ETag tells."""
    fault = body_actions.on_ranges(body_actions.other_bytes(), skip=after)
    media, store, failures, _ = await archived(
        Source.TELNYX_ROOMS, fault=fault, behaviour=Behaviour(media_rate=24 * MIB), attempts=3
    )
    check(media, store)
    assert isinstance(failures[0], errors.MediaIncomplete)


async def test_links_that_expire_in_the_middle_are_renewed():
    fault = body_actions.on_ranges(actions.status(403), skip=9, times=6)
    media, store, failures, simulation = await archived(
        Source.TELNYX_ROOMS, fault=fault, behaviour=Behaviour(media_rate=24 * MIB)
    )
    check(media, store)
    assert failures == []
    assert len([line for line in simulation.audit if line.host != "media"]) == 2
