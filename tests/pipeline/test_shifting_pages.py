"""Lists that shift while they are read (I1, F7): nothing that stays listed is missed by a pass that calls itself complete."""

import itertools
import random
from dataclasses import replace

import pytest

from archiver.domain.errors import ContractBroken
from archiver.domain.recording import Page
from archiver.domain.windows import Window
from archiver.domain.work import Added, SourceState
from archiver.pipeline.discover import Discovery
from archiver.simulator.actions import first, over
from archiver.simulator.faults import Faults, Rule
from archiver.simulator.page_actions import deletes, endless, inserts, next_page_at, page_size_ignored, stuck, wrong_totals
from archiver.simulator.recordings import Source
from tests.pipeline.clock import NOON, VirtualClock
from tests.pipeline.fake_provider import ENDED, recording
from tests.pipeline.simulated import over_simulation, world_of
from tests.pipeline.stage import LOOKBACK

RECORDS = 2000
EVERYTHING = tuple(recording(f"r{number}") for number in range(RECORDS))
DAY = Window(first=NOON.date(), last=NOON.date())
IDS = frozenset(item.recording_id for item in EVERYTHING)


class Memory:
    """As much of the Catalog port as walks need, for thousands of pages."""

    def __init__(self):
        self.ids = set()
        self.results = []
        self.watermark = None

    async def source_state(self, source):
        return SourceState(source=source, watermark=self.watermark)

    async def confirmed_ids(self, source, listing, window):
        same = [r.ids_sha256 for r in self.results if r.complete and (r.listing, r.window) == (listing, window)]
        return same[-1] if same else ""

    async def add_page(self, source, kind, listed, *, rejected=(), priority=0):
        ids = frozenset(item.recording_id for item in listed)
        new = len(ids - self.ids)
        self.ids |= ids
        return Added(new=new, changed=0, ids=ids)

    async def finish_pass(self, source, kind, results, *, watermark):
        self.results += results
        self.watermark = watermark or self.watermark

    async def record_problem(self, source, kind, problem):
        """Of no interest here."""

    async def ended_between(self, source, start, end):
        return []

    async def open_recordings(self, source, *, limit):
        return []

    async def rooms_missing(self, source, *, limit):
        return []


class Shifting:
    """A provider of one list, and with every page that is fetched of it one record vanishes, or one comes at its front."""

    source, kind, listings = "rooms", "telnyx-rooms", (ENDED,)

    def __init__(self, page_size, seed, *, insertions):
        self.rows = list(EVERYTHING)
        self.asked = 0
        self._page_size = page_size
        self._random = random.Random(seed)
        self._insertions = insertions

    async def pages(self, listing, window, *, backward=False):
        if not window.start <= NOON < window.end:
            yield Page(number=1, recordings=(), total=0, pages=1, last=True)
            return
        page = self._page(1)
        yield replace(page, last=page.last or (backward and page.pages == 1))
        numbers = range(page.pages, 0, -1) if backward else itertools.count(2)
        for number in numbers if page.pages > 1 else ():
            page = self._page(number)
            page = replace(page, last=number == 1) if backward else page
            yield page
            if page.last:
                return

    def _page(self, number):
        self.asked += 1
        if self._insertions and self._random.random() < 0.5:
            self.rows.insert(0, recording(f"new{self.asked}"))
        else:
            del self.rows[self._random.randrange(400)]
        start = (number - 1) * self._page_size
        pages = -(-len(self.rows) // self._page_size)
        shown = tuple(self.rows[start : start + self._page_size])
        return Page(number=number, recordings=shown, total=len(self.rows), pages=pages, last=number >= pages)


@pytest.mark.parametrize("insertions", [False, True], ids=["deletions", "both"])
@pytest.mark.parametrize(("page_size", "seeds"), [(20, 50), (250, 120)])
async def test_of_two_thousand_records_none_that_stays_is_missed_though_one_comes_or_goes_with_every_page(
    page_size, seeds, insertions
):
    missed, requests, complete = 0, 0, 0
    for seed in range(seeds):
        provider, catalog = Shifting(page_size, seed, insertions=insertions), Memory()
        seen = await Discovery(provider=provider, catalog=catalog, clock=VirtualClock(), lookback=LOOKBACK).poll()
        missed += len({item.recording_id for item in provider.rows} & IDS - catalog.ids)
        complete += seen.complete
        requests += provider.asked
        assert (catalog.watermark is not None) == seen.complete
    assert missed == 0
    assert complete == (0 if insertions else seeds)  # with arrivals on every page no two walks are quiet, and the pass says so
    assert requests / seeds <= (7 if insertions else 4.6) * RECORDS / page_size


@pytest.mark.parametrize("page_size", [20, 250])
async def test_a_single_walk_over_the_same_lists_misses_records(page_size):
    """The test of the test: without it, a churn that does nothing would prove everything."""
    for seed in range(5):
        provider = Shifting(page_size, seed, insertions=False)
        seen = {item.recording_id async for page in provider.pages(ENDED, DAY) for item in page.recordings}
        assert {item.recording_id for item in provider.rows} - seen


# -- the same through the real adapters, against the simulated providers


def changing(action, source, *, first_pages):
    """The list of a source changes before its first so many pages."""
    path = {"telnyx-rooms": "room_recordings[?]", "telnyx-calls": "/recordings[?]", "twilio-video": "/v1/Recordings[?]"}[source]
    return Rule(name="shift", action=action, path=path, times=first_pages)


@pytest.mark.parametrize("change", [inserts, deletes])
@pytest.mark.parametrize("page_size", [20, 100])
@pytest.mark.parametrize("source", list(Source))
async def test_behind_the_adapters_no_list_that_shifts_loses_a_recording(sqlite_url, source, page_size, change):
    clock = VirtualClock()
    world = world_of(clock, source, 60 if page_size == 20 else 210)
    shifting = over(page_size_ignored(page_size), first(change(source)))
    faults = Faults([changing(shifting, source, first_pages=8), changing(page_size_ignored(page_size), source, first_pages=None)])
    async with over_simulation(sqlite_url, source, world, clock, faults) as stage:
        await stage.poll()
        clock.advance(minutes=5)
        seen = await stage.poll()
        known = set(await stage.states())
    assert faults.fired["shift"] >= 8
    assert seen.complete
    assert {each.id for each in world.recordings.values() if each.is_listed(clock.now())} <= known


@pytest.mark.parametrize(
    ("fault", "sources"),
    [
        (endless(), list(Source)),
        (stuck(), list(Source)),
        (next_page_at("http://127.0.0.1:9"), [Source.TWILIO_VIDEO]),
    ],
    ids=["endless", "stuck", "foreign"],
)
async def test_a_list_that_ends_nowhere_stops_the_pass_within_a_bound_and_names_itself(sqlite_url, fault, sources):
    for source in sources:
        clock = VirtualClock()
        faults = Faults([changing(fault, source, first_pages=None)])
        async with over_simulation(sqlite_url, source, world_of(clock, source, 5), clock, faults) as stage:
            with pytest.raises(ContractBroken):
                await stage.poll()
            state = await stage.source()
        assert state.watermark is None
        assert "page" in state.problem
        assert len(stage.simulation.audit) <= 25


async def test_totals_that_announce_more_than_the_pages_hold_leave_the_pass_incomplete(sqlite_url):
    clock = VirtualClock()
    source = Source.TELNYX_ROOMS
    faults = Faults([changing(wrong_totals(results=9), source, first_pages=None)])
    async with over_simulation(sqlite_url, source, world_of(clock, source, 5), clock, faults) as stage:
        seen = await stage.poll()
        state = await stage.source()
    assert not seen.complete
    assert "announces 9, its pages list" in state.problem
    assert state.watermark is None
