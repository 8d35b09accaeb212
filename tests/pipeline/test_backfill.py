"""History in day slices: remembered, gone on with, and never in the way of the live watermark."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from archiver.catalog.tables import recordings, renditions, slices
from archiver.domain import errors
from archiver.domain.windows import Window
from archiver.domain.work import PRIORITY_BACKFILL
from archiver.pipeline.backfill import Backfill, plan, preview
from tests.pipeline.clock import NOON
from tests.pipeline.fake_provider import FakeProvider, many
from tests.pipeline.stage import staged

SINCE, UNTIL = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 11, tzinfo=UTC)


def history(stage, days=10, *, each=2):
    """Recordings that ended on each of the days from SINCE on."""
    for day in range(days):
        for number in range(each):
            name = f"d{day}-{number}"
            stage.provider.archivable(name, ended_at=SINCE + timedelta(days=day, hours=9 + number))


async def backfill(stage, *, since=SINCE, until=UNTIL, stop=None, on_day=None, **how):
    plans = [await plan(stage.catalog, name, since=since, until=until) for name in stage.providers]
    run = Backfill(
        discoveries={name: stage.discovery(name) for name in stage.providers},
        pump=stage.pump(**how),
        catalog=stage.catalog,
        health=stage.health,
        clock=stage.clock,
        tally=stage.tally,
        on_day=on_day,
    )
    await run.run(plans, stop=stop or asyncio.Event())
    return plans


def asked(stage):
    """The days that were listed, in order."""
    return [window.first for name, window in stage.provider.windows if name == "ended"]


async def test_a_backfill_archives_what_ended_in_its_days_and_remembers_them(stage):
    history(stage)
    await backfill(stage)
    assert set((await stage.states()).values()) == {"verified"}
    assert len(stage.store.objects) == 20
    assert await stage.catalog.finished_slices("rooms") == {date(2026, 1, 31) + timedelta(days=n) for n in range(12)}
    assert {row.priority for row in await stage.rows(renditions.select())} <= {PRIORITY_BACKFILL}


async def test_newest_days_come_first_with_one_more_on_either_side(stage):
    await backfill(stage)
    assert asked(stage) == [date(2026, 2, 11) - timedelta(days=n) for n in range(12)]


async def test_a_second_run_lists_no_finished_day_and_fetches_nothing_twice(stage):
    history(stage)
    await backfill(stage)
    stage.provider.windows.clear()
    plans = await backfill(stage)
    assert asked(stage) == []
    assert (plans[0].days, plans[0].finished) == ((), 12)
    assert all(stage.provider.calls[f"media d{day}-0"] == 1 for day in range(10))


async def test_days_too_young_for_late_arrivals_to_be_over_are_listed_again(stage):
    await backfill(stage, since=NOON - timedelta(days=5), until=NOON)
    finished = await stage.catalog.finished_slices("rooms")
    assert max(finished) == date(2026, 3, 6)
    stage.provider.windows.clear()
    await backfill(stage, since=NOON - timedelta(days=5), until=NOON)
    assert asked(stage) == [date(2026, 3, 11) - timedelta(days=n) for n in range(5)]


async def test_the_live_watermark_is_left_alone(stage):
    await stage.poll()
    before = await stage.source()
    history(stage)
    stage.clock.advance(hours=1)
    await backfill(stage)
    after = await stage.source()
    assert (after.watermark, after.last_complete_pass) == (before.watermark, before.last_complete_pass)


async def test_killed_between_two_days_it_goes_on_with_the_rest(sqlite_url):
    provider = FakeProvider()
    async with staged(sqlite_url, provider, name="first") as first:
        history(first)
        done = asyncio.Event()
        seen = []

        def day(_source, window, _seen):
            seen.append(window.first)
            if len(seen) == 5:
                done.set()

        running = asyncio.create_task(backfill(first, on_day=day))
        await done.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        finished = await first.catalog.finished_slices("rooms")
        assert finished >= set(seen[:5])
        await first.catalog.hand_back()
        store = first.store
    provider.windows.clear()
    async with staged(sqlite_url, provider, name="second", store=store) as second:
        await backfill(second)
        assert not set(asked(second)) & finished
        assert set((await second.states()).values()) == {"verified"}
        assert len(store.objects) == 20
        assert await second.violations() == []


async def test_a_day_whose_list_fails_for_a_moment_is_tried_again(stage):
    history(stage)
    stage.provider.errors["pages"] = [None, None, errors.ProviderUnavailable("reset"), None]
    await backfill(stage)
    assert stage.tally.sources["rooms"].failure is None
    assert len(await stage.catalog.finished_slices("rooms")) == 12


async def test_a_day_that_cannot_be_listed_ends_the_source_there_and_is_not_remembered(stage):
    history(stage)
    broken = errors.ContractBroken("no list")
    stage.provider.errors["pages"] = [None] * 4 + [broken] * 50
    await backfill(stage)
    assert stage.tally.sources["rooms"].failure is broken
    assert await stage.catalog.finished_slices("rooms") == {date(2026, 2, 11) - timedelta(days=n) for n in range(4)}


async def test_an_incomplete_day_is_named_and_not_remembered(stage):
    history(stage)
    stage.provider.total = lambda total: total + (1 if total else 0)
    await backfill(stage)
    finished = await stage.catalog.finished_slices("rooms")
    assert not finished & {SINCE.date() + timedelta(days=n) for n in range(10)}
    assert len(stage.tally.sources["rooms"].problems) == 10
    assert "announces 3, its pages list 2" in stage.tally.sources["rooms"].problems[0]


async def test_stopped_by_a_budget_it_remembers_its_days_and_a_rerun_finishes(stage):
    history(stage)
    stop = asyncio.Event()
    for file in stage.provider.files.values():
        file.wait = 0.5

    def enough(outcome):
        if stage.tally.total("bytes") >= 1500:
            stop.set()

    await backfill(stage, stop=stop, done=enough, concurrency=2)
    states = await stage.states()
    assert 5 <= sum(state in ("stored", "verified") for state in states.values()) < 20
    await backfill(stage)
    assert set((await stage.states()).values()) == {"verified"}
    assert len(stage.store.objects) == 20


async def test_live_recordings_go_first(stage):
    history(stage, each=4)
    stage.provider.archivable("live", ended_at=NOON - timedelta(minutes=5))
    order = []
    await stage.poll()

    def done(outcome):
        order.append(outcome.entry.recording_id)

    await backfill(stage, done=done, concurrency=1)
    assert order[0] == "live"


async def test_a_dry_run_counts_and_writes_nothing(stage):
    history(stage)
    plans = [await plan(stage.catalog, "rooms", since=SINCE, until=UNTIL)]
    found = await preview(stage.provider, plans[0].days)
    assert (found.recordings, found.bytes_known) == (20, 0)
    assert [await stage.count(table) for table in (recordings, renditions, slices)] == [0, 0, 0]
    assert stage.store.log == []
    assert (await stage.source()).last_started is None


async def test_a_recording_that_two_days_list_is_counted_once_in_a_dry_run(stage):
    stage.provider.put(*many(3, ended_at=SINCE, size=10))
    page = stage.provider._page
    stage.provider._page = lambda listing, _window, number: page(listing, whole, number)
    whole = Window(first=SINCE.date(), last=UNTIL.date())
    plans = [await plan(stage.catalog, "rooms", since=SINCE, until=UNTIL)]
    found = await preview(stage.provider, plans[0].days)
    assert (found.recordings, found.bytes_known) == (3, 30)


async def test_beside_a_daemon_both_archive_everything_once(sqlite_url):
    provider = FakeProvider()
    async with (
        staged(sqlite_url, provider, name="daemon") as daemon,
        staged(sqlite_url, provider, clock=daemon.clock, store=daemon.store, name="me") as me,
    ):
        history(daemon)
        provider.archivable("live", ended_at=NOON - timedelta(minutes=5))
        for file in provider.files.values():
            file.wait = 0.2
        await daemon.poll()
        working = asyncio.create_task(daemon.pump().run())
        before = (await daemon.source()).watermark
        await backfill(me)
        assert set((await me.states()).values()) == {"verified"}
        assert (await daemon.source()).watermark == before
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert all(count == 1 for call, count in provider.calls.items() if call.startswith("media"))
        assert len(daemon.store.objects) == 21
        assert daemon.outcomes
        assert me.outcomes
        assert await me.violations() == []


@pytest.mark.parametrize(("since", "until", "days"), [(SINCE, SINCE, 2), (SINCE, SINCE + timedelta(hours=1), 3)])
async def test_a_plan_covers_its_period_and_a_day_more_on_either_side(stage, since, until, days):
    assert len((await plan(stage.catalog, "rooms", since=since, until=until)).days) == days
