"""Recordings that answer 500 for ever, more of them than open a circuit: the others hardly notice, and they are parked by name."""

import asyncio

import pytest

from archiver.domain import errors
from tests.faults.reach import Reach, Row
from tests.pipeline.conftest import sqlite_url, template  # noqa: F401 -- pytest finds fixtures by these names
from tests.pipeline.fake_provider import FakeProvider, recording
from tests.pipeline.stage import staged
from tests.pipeline.test_pump import finished, items

POISON = 8  # a circuit opens at five failures in a row
POLL_EVERY = 300.0
HOURS = 2


async def tormented(url, poison):
    """Seconds until 120 good ones were stored beside the poison; then how late each recording was that came with a poll."""
    async with staged(url, FakeProvider(source=f"p{poison}")) as stage:
        items(stage, 120, prefix=f"good{poison}-")
        good = list(stage.provider.listed)
        items(stage, poison, prefix="bad")
        stage.provider.broken |= {f"media bad{number}": errors.ProviderUnavailable("500") for number in range(poison)}
        await stage.poll()
        took = await finished(stage, good, concurrency=8)
        pump = stage.pump(concurrency=8, max_attempts=8)
        running = asyncio.create_task(pump.run())
        late = [await arrived(stage, pump, f"live{poison}-{number}") for number in range(int(HOURS * 3600 / POLL_EVERY))]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await stage.catalog.hand_back()
        rows = [await stage.row(f"bad{number}") for number in range(poison)]
        return took, late, rows


async def arrived(stage, pump, name):
    """A poll that finds a new recording; how long it took to be archived."""
    stage.provider.put(recording(name))
    stage.provider.has(name, b"OggS" + name.encode() * 50)
    await stage.poll()
    stage.health.succeeded(stage.provider.source)  # as a poll does (cycle.py)
    pump.bell.set()
    began = stage.clock.seconds
    while await stage.state(name) != "verified":
        await stage.clock.sleep(1.0)
    took = stage.clock.seconds - began
    await stage.clock.sleep(POLL_EVERY - took)
    return took


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_eight_ids_that_fail_for_ever_cost_the_others_nothing_and_are_parked_at_the_limit_of_attempts(sqlite_url):  # noqa: F811
    alone, plain, _none = await tormented(sqlite_url, 0)
    beside, late, rows = await tormented(sqlite_url, POISON)
    assert beside <= alone * 1.05
    assert max(late) <= max(plain) + 5.0
    assert [(row.state, row.attempts) for row in rows] == [("failed", 8)] * POISON
    reach = Reach("poison")
    reach.hit(Row.SERVER_ERRORS, POISON * 8)
    reach.save()
