"""Providers at their worst, from their first byte to the archive: the real adapters, pipeline and catalog over simulated providers.

What each fault does to one request is held in tests/providers; here it is what comes of it: nothing wrong is ever archived, nothing
that a fault hit is forgotten, and nothing else suffers.
"""

import contextlib
from datetime import timedelta

import pytest

from archiver.domain.errors import ContractBroken, CredentialsRefused, ProviderUnavailable, RateLimited
from archiver.simulator import actions, body_actions, page_actions
from archiver.simulator.faults import Faults, Rule
from archiver.simulator.recordings import Source
from tests.faults.invariants import check_invariants
from tests.faults.reach import Reach, Row
from tests.faults.truth import Truth
from tests.pipeline.clock import NOON, VirtualClock
from tests.pipeline.conftest import logged, sqlite_url, template  # noqa: F401 -- pytest finds fixtures by these names
from tests.pipeline.simulated import over_simulation, simulated, simulated_id, world_of

REDIRECT = "http://169.254.169.254/latest/meta-data/"

# A fault of the first answer about one file, after which the provider is honest: the bytes must all be there in the end.
PASSING = {
    "cut before the first byte": (Row.CUT_BODY, actions.cut(0)),
    "cut after one byte": (Row.CUT_BODY, actions.cut(1)),
    "cut before the last byte": (Row.CUT_BODY, actions.cut(-1)),
    "reset in the middle": (Row.CUT_BODY, actions.cut(0.5, ending="rst")),
    "no answer at all": (Row.NO_CONNECTION, actions.no_answer()),
    "chunks without an end": (Row.CUT_BODY, actions.chunked(0.5, terminated=False)),
    "chunks that end early and properly": (Row.CLEAN_CUT, actions.chunked(0.5)),
    "no length, and cut": (Row.CLEAN_CUT, actions.until_close(0.5)),
    "HTTP/1.0, and cut": (Row.CLEAN_CUT, actions.until_close(0.5, version="1.0")),
    "a length that is too large": (Row.WRONG_LENGTH, actions.announced(100)),
    "a length that is too small": (Row.WRONG_LENGTH, actions.announced(-100)),
    "two lengths": (Row.WRONG_LENGTH, actions.head_lines("Content-Length: 500", "Content-Length: 501")),
    "a negative length": (Row.WRONG_LENGTH, actions.head_lines("Content-Length: -1")),
    "a length beyond all measure": (Row.WRONG_LENGTH, actions.head_lines("Content-Length: 1" + "0" * 30)),
    "gzip": (Row.ENCODED_BODY, body_actions.gzipped()),
    "half a gzip": (Row.ENCODED_BODY, body_actions.gzipped("truncated")),
    "a bomb": (Row.ENCODED_BODY, body_actions.gzipped("bomb", bomb_size=8 * 2**20)),
    "an HTML page": (Row.NOT_MEDIA, body_actions.instead("html")),
    "JSON": (Row.NOT_MEDIA, body_actions.instead("json")),
    "XML": (Row.NOT_MEDIA, body_actions.instead("xml")),
    "nothing": (Row.NOT_MEDIA, body_actions.instead("empty")),
    "noise": (Row.NOT_MEDIA, body_actions.instead("noise")),
    "206 unasked": (Row.ODD_RANGES, body_actions.partial()),
    "204": (Row.ODD_RANGES, actions.status(204)),
    "304": (Row.ODD_RANGES, actions.status(304)),
    "403 at the start": (Row.EXPIRED_LINK, actions.status(403)),
    "404 once": (Row.MEDIA_REFUSED, actions.status(404)),
    "503": (Row.SERVER_ERRORS, actions.status(503)),
}
# … and what the answer to the Range that follows a cut may be.
RESUMED = {
    "the range ignored": (Row.ODD_RANGES, body_actions.range_ignored()),
    "another range": (Row.ODD_RANGES, body_actions.wrong_range()),
    "another file's bytes": (Row.ODD_RANGES, body_actions.other_bytes()),
    "the link expired in mid-stream": (Row.EXPIRED_LINK, actions.status(403)),
    "cut again": (Row.CUT_BODY, actions.cut(0.5)),
}
# A fault of every answer about one file: where that recording ends. The others must not notice.
LASTING = {
    "always cut": (Row.CUT_BODY, actions.cut(0.5), "failed"),
    "never a length": (Row.CLEAN_CUT, actions.until_close(), "failed"),
    "always an HTML page": (Row.NOT_MEDIA, body_actions.instead("html"), "failed"),
    "always gzip": (Row.ENCODED_BODY, body_actions.gzipped(), "failed"),
    "never any media": (Row.MEDIA_REFUSED, actions.status(404), "unavailable"),
    "always expired": (Row.EXPIRED_LINK, actions.status(403), "failed"),
    "redirected inside": (Row.REDIRECTS, actions.redirect(REDIRECT), "failed"),
    "redirected to a file": (Row.REDIRECTS, actions.redirect("file:///etc/passwd"), "failed"),
}
# A fault of the first lists: the poll may fail or call itself incomplete, it may not claim what is not so.
LISTS = {
    **{f"garbled: {kind}": (Row.MALFORMED_BODY, page_actions.garbled(kind)) for kind in page_actions.Garbling.__args__},
    "endless": (Row.SHIFTING_PAGES, page_actions.endless()),
    "stuck": (Row.SHIFTING_PAGES, page_actions.stuck()),
    "a next page elsewhere": (Row.SHIFTING_PAGES, page_actions.next_page_at("http://127.0.0.1:9")),
    "more announced than listed": (Row.SHIFTING_PAGES, page_actions.wrong_totals(results=500)),
    "fewer announced than listed": (Row.SHIFTING_PAGES, page_actions.wrong_totals(results=1)),
    "a page of three": (Row.SHIFTING_PAGES, page_actions.page_size_ignored(3)),
    "nothing listed": (Row.SHIFTING_PAGES, page_actions.no_items()),
    "everything twice": (Row.LISTED_TWICE, page_actions.doubled()),
    "a list in gzip": (Row.ENCODED_BODY, body_actions.gzipped()),
    "a page in HTML": (Row.NOT_MEDIA, body_actions.instead("html")),
    "a redirect": (Row.REDIRECTS, actions.redirect(REDIRECT)),
    "half a page": (Row.CUT_BODY, actions.cut(0.5)),
    "401": (Row.ACCOUNT_REFUSED, actions.status(401)),
    "ids of a wrong type": (Row.MALFORMED_BODY, page_actions.with_fields(id=17, sid=17)),
    "ids that climb": (Row.MALFORMED_BODY, page_actions.with_fields(id="../../etc/passwd", sid="../x")),
    "a status nobody knows": (Row.UNKNOWN_WORDS, page_actions.with_fields(status="archiving")),
    "fields nobody knows": (Row.UNKNOWN_WORDS, page_actions.with_fields(codec="av9", surprise={"a": [None, 1.5]})),
    "times without a zone": (Row.PROVIDER_CLOCK, page_actions.with_fields(date_created="2026-03-10T06:00:00")),
    **{
        f"429, wait {asked!r}": (Row.RATE_LIMIT, actions.status(429, retry_after=asked))
        for asked in ("0", "-1", "1000000000", "Wed, 10 Mar 2027 12:00:00 GMT", "soon")
    },
}
REFUSED = (ContractBroken, ProviderUnavailable, RateLimited, CredentialsRefused)


@pytest.fixture(scope="module")
def reach():
    it = Reach("hostile provider")
    yield it
    it.save()


def per_file(faults, recording_id, name, action, **how):
    faults.add(Rule(name=name, action=action, host="media", path=recording_id, **how))


async def judged(stage, world, truth):
    """No law is broken, whatever was sent."""
    truth.see(world)
    found = await check_invariants(stage.database, stage.store, truth, now=stage.clock.now(), at_rest=False)
    assert [str(item) for item in found] == []


@pytest.mark.parametrize("source", list(Source))
async def test_no_fault_of_a_file_makes_anything_wrong_archived_and_what_passes_leaves_no_trace(sqlite_url, reach, source):  # noqa: F811
    clock, faults, truth = VirtualClock(), Faults(), Truth()
    names = [*PASSING, *RESUMED, *LASTING]
    world = world_of(clock, source, len(names) + 3, size=3000)
    ids = {name: simulated_id(source, number) for number, name in enumerate(names)}
    for name, (_row, action) in PASSING.items():
        per_file(faults, ids[name], name, action, times=1)
    for name, (_row, action) in RESUMED.items():
        per_file(faults, ids[name], f"{name}, after a cut", actions.cut(0.5), times=1)
        per_file(faults, ids[name], name, action, times=1)
    for name, (_row, action, _ending) in LASTING.items():
        per_file(faults, ids[name], name, action)
    async with over_simulation(sqlite_url, source, world, clock, faults) as stage:
        await stage.poll()
        await stage.work(stage.pump(max_attempts=3))
        states = await stage.states()
        await judged(stage, world, truth)
        parked = await stage.row(ids["redirected inside"], "mp3" if source is Source.TELNYX_CALLS else "media")
    assert faults.unreached() == []
    expected = dict.fromkeys(states, "verified") | {ids[n]: LASTING[n][2] for n in LASTING}
    if source is Source.TWILIO_VIDEO:
        expected[ids["never a length"]] = "verified"  # its list tells the exact size, which is proof
    assert states == expected
    assert parked.error.startswith("url_refused")
    for name, (row, *_rest) in {**PASSING, **RESUMED, **LASTING}.items():
        reach.hit(row, faults.fired[name])


@pytest.mark.parametrize("name", LISTS)
async def test_no_fault_of_a_list_moves_the_watermark_past_what_it_hid(sqlite_url, reach, name):  # noqa: F811
    row, action = LISTS[name]
    source = [Source.TELNYX_ROOMS, Source.TWILIO_VIDEO, Source.TELNYX_CALLS][sum(map(ord, name)) % 3]
    if name == "a next page elsewhere":
        source = Source.TWILIO_VIDEO
    clock, truth = VirtualClock(), Truth()
    faults = Faults([Rule(name=name, action=action, host=host_of(source), path=lists_of(source), times=3)])
    world = world_of(clock, source, 12)
    async with over_simulation(sqlite_url, source, world, clock, faults) as stage:
        with contextlib.suppress(*REFUSED):
            await stage.poll()
        hidden = set(world.recordings) - set(await stage.states())
        assert (await stage.source()).watermark is None or not hidden, f"{len(hidden)} hidden, and the watermark has moved"
        assert len(stage.simulation.audit) <= 120
        faults.clear()
        clock.advance(minutes=20)
        seen = await stage.poll()
        assert seen.complete
        assert set(world.recordings) <= set(await stage.states())
        await stage.work(stage.pump(max_attempts=3))
        assert set((await stage.states()).values()) == {"verified"}
        await judged(stage, world, truth)
    assert faults.fired[name]
    reach.hit(row, faults.fired[name])


def host_of(source):
    return "twilio" if source is Source.TWILIO_VIDEO else "telnyx"


def lists_of(source):
    """The lists of ended recordings, and no single ones."""
    return {
        Source.TELNYX_ROOMS: r"/v2/room_recordings\?",
        Source.TELNYX_CALLS: r"/v2/recordings\?",
        Source.TWILIO_VIDEO: r"/v1/Recordings\?",
    }[source]


# -- what changes while it is looked at


@pytest.fixture
def twilio(sqlite_url):  # noqa: F811
    """A few recordings at the provider that lists sizes."""
    clock, faults = VirtualClock(), Faults()
    world = world_of(clock, Source.TWILIO_VIDEO, 4, size=2000)
    return world, faults, over_simulation(sqlite_url, Source.TWILIO_VIDEO, world, clock, faults)


FIRST = simulated_id(Source.TWILIO_VIDEO, 0)


async def test_other_bytes_become_a_second_object_both_are_kept_and_the_change_is_told(twilio, reach):
    world, _faults, opened = twilio
    truth = Truth()
    async with opened as stage:
        await stage.poll()
        await stage.work()
        truth.see(world)
        world.change_media(FIRST, size_hint=2500)
        stage.clock.advance(minutes=5)
        await stage.poll()
        await stage.work()
        assert await stage.state(FIRST) == "verified"
        assert (await stage.events(FIRST)).count("content_changed") == 1
        keys = [key for key in stage.store.keys_now() if FIRST in key]
        assert len(keys) == 2
        await judged(stage, world, truth)
    reach.hit(Row.CHANGES)


async def test_a_status_that_goes_backwards_undoes_nothing(twilio, reach):
    world, _faults, opened = twilio
    async with opened as stage:
        await stage.poll()
        await stage.work()
        for status in ("processing", "completed", "failed", "completed", "archiving"):
            world.replace(FIRST, status=status)
            stage.clock.advance(minutes=5)
            await stage.poll()
            await stage.work()
            assert await stage.state(FIRST) == "verified"
        assert (await stage.events(FIRST)).count("stored") == 1
        await judged(stage, world, Truth())
    reach.hit(Row.CHANGES)
    reach.hit(Row.UNKNOWN_WORDS)


@pytest.mark.parametrize("after", [0, 0.5], ids=["before its first byte", "in the middle of it"])
async def test_what_vanishes_while_it_is_fetched_is_lost_and_never_archived(twilio, reach, after):
    world, faults, opened = twilio
    vanishing = actions.over(actions.cut(after), actions.first(lambda it: it.delete(FIRST)))
    faults.add(Rule(name="vanishes", action=vanishing, host="media", path=FIRST, times=1))
    async with opened as stage:
        await stage.poll()
        await stage.work()
        stage.clock.advance(minutes=5)
        await stage.poll()
        await stage.work()
        assert await stage.state(FIRST) == "lost"
        assert sorted((await stage.states()).values()) == ["lost", "verified", "verified", "verified"]
        await judged(stage, world, Truth())
    reach.hit(Row.VANISHES, faults.fired["vanishes"])


@pytest.mark.parametrize("source", list(Source))
async def test_what_arrives_71_hours_late_or_ends_by_a_clock_that_is_a_day_off_is_found(sqlite_url, reach, source):  # noqa: F811
    clock, truth = VirtualClock(), Truth()
    world = world_of(clock, source, 3)
    world.add(
        [
            simulated(source, 100, ended_at=NOON - timedelta(hours=1), listed_at=NOON + timedelta(hours=70)),
            simulated(source, 101, ended_at=NOON + timedelta(hours=20), completed_at=NOON + timedelta(hours=1)),
        ]
    )
    async with over_simulation(sqlite_url, source, world, clock) as stage:
        for _hour in range(75):
            await stage.poll()
            clock.advance(hours=1)
        await stage.work()
        assert set((await stage.states()).values()) == {"verified"}
        assert set(await stage.states()) == set(world.recordings)
        await judged(stage, world, truth)
    reach.hit(Row.LATE_ARRIVAL)
    reach.hit(Row.PROVIDER_CLOCK)
