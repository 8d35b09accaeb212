"""Watermark, coverage, passes, backfilled days, rooms: what a source's lists leave behind (I1, I2)."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import ledger, passes, rooms, slices, sources
from archiver.domain.errors import CatalogError
from archiver.domain.recording import Room
from archiver.domain.windows import Window
from archiver.domain.work import PassResult, SourceState
from tests.catalog.world import KIND, NOON, SOURCE, a_listing

TODAY = NOON.date()
DAYS = Window(first=TODAY - timedelta(days=3), last=TODAY + timedelta(days=1))


def a_pass(**changes):
    facts = {
        "listing": "ended",
        "window": DAYS,
        "started_at": NOON,
        "complete": True,
        "listed": 3,
        "new": 0,
        "requests": 1,
        "ids_sha256": "aa",
    }
    return PassResult(**{**facts, **changes})


def a_day(day: date, **changes):
    return a_pass(window=Window(first=day, last=day), **changes)


async def finish(world, *results, watermark: datetime | None = None, source=SOURCE):
    await world.me.finish_pass(source, KIND, results, watermark=watermark)


async def events(world):
    return [line.event for line in await world.rows(sa.select(ledger.c.event).order_by(ledger.c.id))]


async def test_an_unknown_source_stands_nowhere(world):
    assert await world.me.source_state(SOURCE) == SourceState(source=SOURCE)


async def test_a_complete_pass_moves_the_watermark_and_says_since_when_all_is_covered(world):
    world.clock.advance(seconds=20)
    await finish(world, a_pass(), watermark=NOON)
    state = await world.me.source_state(SOURCE)
    assert (state.watermark, state.covered_since) == (NOON, DAYS.start)
    assert (state.last_complete_pass, state.last_started, state.problem) == (NOON + timedelta(seconds=20), NOON, "")


async def test_an_incomplete_pass_is_kept_with_its_problem_and_moves_nothing(world):
    await finish(world, a_pass(), watermark=NOON)
    before = await world.me.source_state(SOURCE)
    world.clock.advance(minutes=5)
    later = NOON + timedelta(minutes=5)
    await finish(world, a_pass(complete=False, problem="9 announced, 8 listed", started_at=later))
    await world.me.record_problem(SOURCE, KIND, "9 announced, 8 listed")
    after = await world.me.source_state(SOURCE)
    assert after == replace(before, last_started=later, problem="9 announced, 8 listed")
    assert [row.problem for row in await world.rows(sa.select(passes.c.problem).order_by(passes.c.id))] == [
        "",
        "9 announced, 8 listed",
    ]


async def test_passes_that_cannot_be_kept_leave_the_watermark_where_it_was(world):
    with pytest.raises(CatalogError):
        await finish(world, a_pass(), a_pass(listing=None), watermark=NOON)
    assert (await world.me.source_state(SOURCE)).watermark is None
    assert await world.count(passes) == 0


async def test_the_watermark_and_the_coverage_never_move_back(world):
    await finish(world, a_pass(), watermark=NOON)
    await finish(world, a_day(TODAY), watermark=NOON - timedelta(hours=3))
    state = await world.me.source_state(SOURCE)
    assert (state.watermark, state.covered_since) == (NOON, DAYS.start)


async def test_a_complete_pass_clears_the_problem_and_one_can_be_noted_before_the_first(world):
    await world.me.record_problem(SOURCE, KIND, "refused \x00 \ud800")
    assert (await world.me.source_state(SOURCE)).problem == "refused \\x00 \\ud800"
    await finish(world, a_pass(), watermark=NOON)
    assert (await world.me.source_state(SOURCE)).problem == ""
    await world.me.record_problem(SOURCE, KIND, "")


async def test_a_calm_source_keeps_one_row_for_a_window_however_often_it_is_listed(world):
    for _ in range(10):
        await finish(world, a_pass(started_at=world.clock.now), watermark=world.clock.now)
        world.clock.advance(minutes=5)
    (row,) = await world.rows(sa.select(passes))
    assert (row.started_at, row.finished_at) == (NOON, NOON + timedelta(minutes=45))
    assert await events(world) == ["pass_completed"]


async def test_a_pass_with_other_ids_or_something_new_has_a_row_and_a_ledger_line_of_its_own(world):
    await finish(world, a_pass(new=3), watermark=NOON)
    await finish(world, a_pass(ids_sha256="bb", new=1, started_at=NOON + timedelta(minutes=5)), watermark=NOON)
    await finish(world, a_pass(ids_sha256="bb", started_at=NOON + timedelta(minutes=10)), watermark=NOON)
    assert [row.new for row in await world.rows(sa.select(passes.c.new).order_by(passes.c.id))] == [3, 1]
    assert await events(world) == ["pass_completed", "pass_completed"]


async def test_the_first_pass_of_each_day_is_in_the_history_even_when_nothing_is_new(world):
    for _ in range(3):
        await finish(world, a_pass(started_at=world.clock.now), watermark=world.clock.now)
        await finish(world, a_pass(started_at=world.clock.now), watermark=world.clock.now)
        world.clock.advance(days=1)
    assert await events(world) == ["pass_completed"] * 3
    line = (await world.rows(sa.select(ledger)))[0]
    (told,) = line.data.pop("passes")
    assert line.data == {"listed": 3, "new": 0, "watermark": "2026-03-02T12:00:00.000000Z"}
    assert (told["listing"], told["days"], told["listed"]) == ("ended", [str(DAYS.first), str(DAYS.last)], 3)


async def test_a_pass_written_down_again_after_its_answer_was_lost_is_there_once(world):
    results = [
        a_pass(new=2),
        a_pass(listing="processing", window=None, new=1),
        a_pass(complete=False, listing="deleted", problem="x"),
    ]
    for _ in range(2):
        await finish(world, *results, watermark=NOON)
    assert await world.count(passes) == 3
    assert await events(world) == ["pass_completed"]


async def test_confirmed_ids_are_those_of_the_last_complete_pass_over_exactly_that_window(world):
    confirmed = lambda **of: world.me.confirmed_ids(of.get("source", SOURCE), of.get("listing", "ended"), of.get("window", DAYS))  # noqa: E731
    assert await confirmed() == ""
    await finish(world, a_pass(), watermark=NOON)
    world.clock.advance(minutes=5)
    await finish(world, a_pass(ids_sha256="bb", started_at=world.clock.now), watermark=NOON)
    world.clock.advance(minutes=5)
    await finish(world, a_pass(ids_sha256="cc", complete=False, started_at=world.clock.now))
    assert await confirmed() == "bb"
    assert await confirmed(listing="processing") == ""
    assert await confirmed(window=Window(first=DAYS.first, last=TODAY)) == ""
    assert await confirmed(window=None) == ""
    assert await confirmed(source="calls") == ""
    world.clock.advance(minutes=5)
    await finish(world, a_pass(started_at=world.clock.now), watermark=NOON)  # as it was at first
    assert await confirmed() == "aa"
    await finish(world, a_pass(listing="processing", window=None, ids_sha256="dd"), watermark=NOON)
    assert await confirmed(listing="processing", window=None) == "dd"


async def test_backfilled_days_are_remembered_once_and_leave_the_watermark_alone(world):
    await finish(world, a_pass(), watermark=NOON)
    before = await world.me.source_state(SOURCE)
    day = TODAY - timedelta(days=100)
    for _ in range(2):
        await world.me.finish_slice(SOURCE, KIND, day, a_day(day, listed=7, new=7))
    assert await world.me.finished_slices(SOURCE) == {day}
    assert await world.me.finished_slices("calls") == frozenset()
    (row,) = await world.rows(sa.select(slices))
    assert (row.listed, row.new, row.ids_sha256) == (7, 7, "aa")
    assert await world.me.source_state(SOURCE) == before
    assert await world.count(passes) == 2


async def test_coverage_reaches_back_over_backfilled_days_without_a_gap_and_no_further(world):
    await finish(world, a_pass(), watermark=NOON)
    for back in (1, 2, 3, 5):
        await world.me.finish_slice(SOURCE, KIND, DAYS.first - timedelta(days=back), a_day(TODAY))
    assert (await world.me.source_state(SOURCE)).covered_since == DAYS.start - timedelta(days=3)
    await world.me.finish_slice(SOURCE, KIND, DAYS.first - timedelta(days=4), a_day(TODAY))
    assert (await world.me.source_state(SOURCE)).covered_since == DAYS.start - timedelta(days=5)


async def test_days_backfilled_before_the_first_poll_count_once_it_joins_them(world):
    for back in (1, 2):
        await world.me.finish_slice(SOURCE, KIND, DAYS.first - timedelta(days=back), a_day(TODAY))
    assert (await world.me.source_state(SOURCE)).covered_since is None
    await finish(world, a_pass(), watermark=NOON)
    assert (await world.me.source_state(SOURCE)).covered_since == DAYS.start - timedelta(days=2)


async def test_sources_know_nothing_of_each_other(world):
    await finish(world, a_pass(), watermark=NOON)
    assert await world.me.source_state("calls") == SourceState(source="calls")
    assert [row.source for row in await world.rows(sa.select(sources))] == [SOURCE]


# -- rooms


async def test_a_room_is_asked_for_once_a_day_while_recordings_name_it(world):
    await world.lists(a_listing("r1", room_id="a"), a_listing("r2", room_id="a"), a_listing("r3", room_id="b"), a_listing("r4"))
    assert sorted(await world.me.rooms_missing(SOURCE, limit=10)) == ["a", "b"]
    assert len(await world.me.rooms_missing(SOURCE, limit=1)) == 1
    await world.me.save_rooms(SOURCE, {"a": Room(room_id="a", name="Board", raw={"id": "a", "x": [1]}), "b": None})
    assert await world.me.rooms_missing(SOURCE, limit=10) == []
    world.clock.advance(days=2)
    assert await world.me.rooms_missing(SOURCE, limit=10) == []  # nothing new was made in them
    await world.lists(a_listing("r5", room_id="a"))
    assert await world.me.rooms_missing(SOURCE, limit=10) == ["a"]


async def test_a_room_gives_its_name_to_recordings_that_have_none(world):
    await world.lists(a_listing("r1", room_id="a"), a_listing("r2", room_id="a", room_name="theirs"))
    for name in ("Board", "Board 2"):
        await world.me.save_rooms(SOURCE, {"a": Room(room_id="a", name=name, raw={"id": "a"})})
    assert (await world.recording("r1")).room_name == "Board"
    assert (await world.recording("r2")).room_name == "theirs"
    (row,) = await world.rows(sa.select(rooms))
    assert (row.name, row.raw, row.asked_at) == ("Board 2", {"id": "a"}, NOON)


async def test_a_recording_keeps_its_rooms_name_when_it_is_listed_again(world):
    await world.lists(a_listing("r1", room_id="a"))
    await world.me.save_rooms(SOURCE, {"a": Room(room_id="a", name="Board", raw={})})
    await world.lists(a_listing("r1", room_id="a", codec="vp8"))
    assert (await world.recording("r1")).room_name == "Board"


async def test_a_new_recording_in_a_room_that_is_known_has_its_name_at_once(world):
    await world.lists(a_listing("r1", room_id="a"))
    await world.me.save_rooms(SOURCE, {"a": Room(room_id="a", name="Board", raw={})})
    await world.lists(a_listing("r2", room_id="a"), a_listing("r3", room_id="b"), a_listing("r4", room_id="a", room_name="own"))
    assert [(await world.recording(name)).room_name for name in ("r2", "r3", "r4")] == ["Board", "", "own"]
