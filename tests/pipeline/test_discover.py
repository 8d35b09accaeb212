"""The laws of discovery: what a poll brings into the catalog, and when its watermark may move."""

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.catalog.tables import quarantine, recordings
from archiver.domain.errors import ContractBroken, CredentialsRefused, ProviderUnavailable, RateLimited
from archiver.domain.recording import ProviderStatus, State
from tests.pipeline.clock import NOON
from tests.pipeline.fake_provider import bad_row, many, processing, recording

# -- the watermark (I2)


async def test_a_complete_poll_moves_the_watermark_to_the_instant_it_began(stage):
    stage.provider.put(*many(3))
    stage.provider.on_page = lambda _number: stage.clock.advance(seconds=10)
    seen = await stage.poll()
    assert (seen.complete, seen.listed, seen.new) == (True, 3, 3)
    assert (await stage.source()).watermark == NOON


@pytest.mark.parametrize("error", [ProviderUnavailable("reset"), ContractBroken("no list"), CredentialsRefused("401")])
async def test_an_error_in_the_middle_of_a_walk_leaves_the_watermark_and_keeps_what_was_listed(stage, error):
    await stage.poll()
    before = (await stage.source()).watermark
    stage.clock.advance(hours=1)
    stage.provider.page_size = 10
    stage.provider.put(*many(25))
    stage.provider.errors["pages"] = [None, None, error]
    with pytest.raises(type(error)):
        await stage.poll()
    state = await stage.source()
    assert (state.watermark, state.problem) == (before, str(error))
    assert await stage.count(recordings) == 10


async def test_an_error_in_the_second_list_leaves_the_watermark_too(stage):
    stage.provider.errors["pages"] = [None, RateLimited("slow down", wait=3.0)]
    with pytest.raises(RateLimited):
        await stage.poll()
    assert (await stage.source()).watermark is None


async def test_the_next_poll_after_an_outage_lists_everything_since_the_watermark_and_the_overlap(stage):
    await stage.poll()
    stage.clock.advance(days=9)
    stage.provider.windows.clear()
    await stage.poll()
    window = stage.provider.windows[0][1]
    assert window.first <= (NOON - timedelta(hours=48)).date()
    assert window.last >= (NOON + timedelta(days=9)).date()


async def test_what_arrives_late_is_found_by_the_overlap(stage):
    await stage.poll()
    for late in (1, 12, 47):
        stage.clock.advance(hours=1)
        stage.provider.put(recording(f"late{late}", ended_at=stage.clock.now() - timedelta(hours=late)))
        assert (await stage.poll()).new == 1


async def test_a_problem_is_forgotten_with_the_next_complete_poll(stage):
    stage.provider.errors["pages"] = [ProviderUnavailable("reset")]
    with pytest.raises(ProviderUnavailable):
        await stage.poll()
    await stage.poll()
    assert (await stage.source()).problem == ""


# -- passes (I1, I3)


async def test_a_recording_listed_twice_on_a_page_on_two_pages_and_in_two_lists_is_one(stage):
    stage.provider.page_size = 2
    stage.provider.put(recording("r1"), recording("r2"), recording("r3"))
    twice = stage.provider._page

    def doubled(listing, window, number):
        page = twice(listing, window, number)
        return replace(page, recordings=(*page.recordings, *page.recordings, *twice(listing, window, 1).recordings))

    stage.provider._page = doubled
    seen = await stage.poll()
    assert (seen.complete, seen.new, seen.listed) == (True, 3, 3)
    assert await stage.count(recordings) == 3


async def test_a_day_on_one_page_is_walked_once(stage):
    stage.provider.put(*many(3))
    await stage.poll()
    assert stage.provider.calls["pages"] == 2  # one for each list


async def test_a_day_on_several_pages_is_walked_until_two_walks_in_a_row_bring_nothing_new(stage):
    stage.provider.page_size = 10
    stage.provider.put(*many(25))
    seen = await stage.poll()
    assert seen.complete
    (result,) = [r for r in seen.results if r.listed]
    assert (result.listed, result.new) == (25, 15)  # ten came with the first page of the undivided window
    assert result.requests == 3 + 4 + 3


async def test_a_calm_day_is_walked_once_a_poll_from_then_on(stage):
    stage.provider.page_size = 10
    stage.provider.put(*many(25))
    await stage.poll()
    await stage.poll()
    stage.provider.calls.clear()
    stage.provider.windows.clear()
    await stage.poll()
    days = [window for name, window in stage.provider.windows if name == "ended"]
    assert len(days) == len(set(map(str, days)))


async def test_an_announced_total_that_the_pages_do_not_reach_makes_the_pass_incomplete_and_is_named(stage):
    stage.provider.put(*many(3))
    stage.provider.total = lambda total: total + 4
    seen = await stage.poll()
    assert not seen.complete
    state = await stage.source()
    assert state.watermark is None
    assert "announces 7, its pages list 3" in state.problem
    assert "ended" in state.problem


async def test_rows_that_cannot_be_catalogued_are_kept_raw_once_and_do_not_hold_the_pass_up(stage):
    stage.provider.put(*many(3))
    stage.provider.rejected = (bad_row(), bad_row("no SID"))
    seen = await stage.poll()
    await stage.poll()
    assert (seen.complete, seen.rejected) == (True, 2)
    rows = await stage.rows(quarantine.select())
    assert [row.raw for row in rows] == ['{"id": null}']
    assert (await stage.source()).watermark == NOON


async def test_a_list_that_changes_with_every_walk_is_given_up_as_incomplete_after_six(stage):
    stage.provider.page_size = 10
    stage.provider.put(*many(25))
    stage.provider.on_page = lambda number: stage.provider.put(recording(f"new{number}"))
    stage.provider.total = lambda _total: None
    seen = await stage.poll()
    assert not seen.complete
    assert "after 6 walks the pages still brought something new" in (await stage.source()).problem
    assert (await stage.source()).watermark is None


# -- still processing


async def test_what_is_still_processing_waits_and_is_asked_for_by_id_until_it_ends(stage):
    stage.provider.put(processing("r1"))
    await stage.poll()
    assert await stage.state() is State.WAITING
    stage.provider.hidden.add("r1")  # an ended-at filter cannot see it, and it left the list of open ones
    for expected in (1, 2):
        stage.clock.advance(minutes=5)
        await stage.poll()
        assert stage.provider.calls["get r1"] == expected
        assert await stage.state() is State.WAITING
    stage.provider.put(recording("r1"))
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert await stage.state() is State.DUE
    stage.provider.hidden.clear()
    asked = stage.provider.calls["get r1"]
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert stage.provider.calls["get r1"] == asked


async def test_what_the_lists_show_is_not_asked_for_by_id(stage):
    stage.provider.put(processing("r1"), recording("r2"))
    await stage.poll()
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert not [call for call in stage.provider.calls if call.startswith("get")]


async def test_a_status_nobody_knows_keeps_it_waiting_and_is_asked_for(stage):
    stage.provider.put(recording("r1", status=ProviderStatus.UNKNOWN, status_raw="archiving"))
    await stage.poll()
    stage.provider.hidden.add("r1")
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert await stage.state() is State.WAITING
    assert stage.provider.calls["get r1"] == 1
    assert (await stage.recording()).status_raw == "archiving"


async def test_a_recording_whose_record_always_fails_does_not_keep_the_others_from_being_asked_for(stage):
    stage.provider.put(*(processing(f"r{number}") for number in range(8)))
    await stage.poll()
    stage.provider.hidden |= set(stage.provider.listed)
    stage.provider.broken["get r3"] = ProviderUnavailable("500 for ever")
    stage.provider.broken["get r4"] = ContractBroken("not its record")
    for number in (0, 1, 2, 5, 6, 7):
        stage.provider.put(recording(f"r{number}", room_id="room1"))
    stage.clock.advance(minutes=5)
    await stage.poll()
    states = await stage.states()
    assert {key for key, state in states.items() if state == "due"} == {"r0", "r1", "r2", "r5", "r6", "r7"}
    assert stage.provider.calls["room room1"] == 1


async def test_a_provider_that_fails_altogether_is_not_asked_for_every_open_recording(stage):
    stage.provider.put(*(processing(f"r{number}") for number in range(60)))
    await stage.poll()
    stage.provider.hidden |= set(stage.provider.listed)
    for number in range(60):
        stage.provider.broken[f"get r{number}"] = ProviderUnavailable("down")
    stage.clock.advance(minutes=5)
    with pytest.raises(ProviderUnavailable):
        await stage.poll()
    assert sum(count for call, count in stage.provider.calls.items() if call.startswith("get")) <= 12


# -- rooms


async def test_a_room_is_asked_for_once_whatever_the_number_of_recordings_in_it(stage):
    stage.provider.rooms = {"room1": "My Room", "room2": "Other"}
    stage.provider.put(*many(40, room_id="room1"), *many(3, "s", room_id="room2"))
    for _ in range(4):
        await stage.poll()
        stage.clock.advance(minutes=5)
    assert (stage.provider.calls["room room1"], stage.provider.calls["room room2"]) == (1, 1)
    assert (await stage.recording("r7")).room_name == "My Room"
    stage.provider.put(recording("late", room_id="room1"))
    await stage.poll()
    assert stage.provider.calls["room room1"] == 1


@pytest.mark.parametrize("error", [ContractBroken("not a room"), CredentialsRefused("403"), ProviderUnavailable("500")])
async def test_a_room_that_cannot_be_had_does_not_make_the_poll_fail(stage, error):
    stage.provider.rooms = {"good": "Good"}
    stage.provider.put(recording("r1", room_id="bad"), recording("r2", room_id="good"), recording("r3", room_id="none"))
    stage.provider.broken["room bad"] = error
    seen = await stage.poll()
    assert seen.complete
    assert (await stage.recording("r2")).room_name == "Good"
