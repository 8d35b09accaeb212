"""The laws about what vanishes: what it takes until a recording counts as deleted, and what a list that lies can do."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import ledger
from archiver.domain.recording import ProviderStatus, State
from tests.pipeline.clock import NOON
from tests.pipeline.fake_provider import DELETED, ENDED, many, processing, recording


async def test_what_was_deleted_before_it_was_archived_is_lost_after_two_looks(stage):
    stage.provider.put(processing("r1"))
    await stage.poll()
    del stage.provider.listed["r1"]
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert await stage.state() is State.WAITING
    stage.clock.advance(minutes=5)
    seen = await stage.poll()
    assert await stage.state() is State.LOST
    assert seen.lost == 1
    (line,) = await stage.rows(sa.select(ledger.c.reason).where(ledger.c.event == "lost"))
    assert "gone at two looks" in line.reason


async def test_what_a_complete_list_no_longer_shows_and_its_own_address_denies_is_lost(stage):
    stage.provider.put(recording("r1"), recording("r2"))
    await stage.poll()
    del stage.provider.listed["r1"]
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert await stage.states() == {"r1": "lost", "r2": "due"}
    assert (await stage.recording("r1")).status == "deleted"


async def test_what_the_list_forgot_and_its_own_address_still_knows_stays_as_it_is(stage):
    stage.provider.put(recording("r1"), recording("r2"))
    await stage.poll()
    stage.provider.hidden.add("r1")
    for _ in range(3):
        stage.clock.advance(minutes=5)
        await stage.poll()
    assert await stage.states() == {"r1": "due", "r2": "due"}
    assert (await stage.recording("r1")).gone_looks == 0


async def test_what_was_deleted_after_it_was_archived_stays_archived_and_says_deleted(stage):
    stage.provider.archivable("r1", "r2")
    await stage.poll()
    await stage.work()
    key = (await stage.row()).key
    del stage.provider.listed["r1"]
    stage.clock.advance(minutes=5)
    seen = await stage.poll()
    assert await stage.state() is State.VERIFIED
    assert (await stage.recording()).status == "deleted"
    assert (await stage.events())[-1] == "provider_deleted"
    assert stage.store.content(key)
    assert seen.complete


async def test_what_is_listed_again_comes_back(stage):
    stage.provider.archivable("archived", "open", "other")
    await stage.poll()
    entries = await stage.catalog.claim(3, sources=["rooms"])
    assert len(entries) == 3
    await stage.catalog.hand_back()
    kept = {name: stage.provider.listed.pop(name) for name in ("archived", "open")}
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert (await stage.states())["open"] == "lost"
    stage.provider.put(*kept.values())
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert await stage.states() == {"archived": "due", "open": "due", "other": "due"}
    assert (await stage.recording("archived")).status == "completed"
    await stage.work()
    assert set((await stage.states()).values()) == {"verified"}


async def test_an_archived_recording_listed_again_is_completed_again_and_fetched_no_second_time(stage):
    stage.provider.archivable("r1", "r2")
    await stage.poll()
    await stage.work()
    kept = stage.provider.listed.pop("r1")
    stage.clock.advance(minutes=5)
    await stage.poll()
    stage.provider.put(kept)
    stage.clock.advance(minutes=5)
    await stage.poll()
    await stage.work()
    assert (await stage.recording()).status == "completed"
    assert await stage.state() is State.VERIFIED
    assert stage.provider.calls["media r1"] == 1


async def test_a_look_that_finds_it_takes_back_an_earlier_one_that_did_not(stage):
    stage.provider.put(processing("r1"))
    await stage.poll()
    stage.provider.hidden.add("r1")
    kept = stage.provider.listed.pop("r1")
    for there in (False, True, False):
        stage.provider.listed = {"r1": kept} if there else {}
        stage.clock.advance(minutes=5)
        await stage.poll()
    assert await stage.state() is State.WAITING


# -- lists that are suddenly empty


@pytest.mark.parametrize("left", [0, 5])
async def test_a_list_that_is_suddenly_empty_or_mostly_gone_marks_nothing_and_leaves_the_watermark(stage, left):
    ended_at = NOON - timedelta(hours=20)
    stage.provider.put(*many(30, ended_at=ended_at))
    await stage.poll()
    before = (await stage.source()).watermark
    stage.clock.advance(minutes=5)
    stage.provider.hidden = {f"r{number}" for number in range(left, 30)}
    seen = await stage.poll()
    state = await stage.source()
    assert not seen.complete
    assert state.watermark == before
    assert f"misses {30 - left} of 30" in state.problem
    assert set((await stage.states()).values()) == {"due"}


async def test_even_when_the_addresses_deny_them_too_a_mass_of_deletions_is_believed_only_an_hour_later(stage):
    ended_at = NOON - timedelta(hours=20)
    stage.provider.put(*many(30, ended_at=ended_at))
    await stage.poll()
    stage.provider.listed.clear()
    for _ in range(3):
        stage.clock.advance(minutes=5)
        await stage.poll()
    assert set((await stage.states()).values()) == {"due"}
    stage.clock.advance(hours=1)
    await stage.poll()
    assert set((await stage.states()).values()) == {"lost"}
    stage.clock.advance(minutes=5)
    assert (await stage.poll()).complete


async def test_an_incomplete_pass_marks_nothing_as_vanished(stage):
    ended_at = NOON - timedelta(hours=20)
    stage.provider.put(*many(4, ended_at=ended_at))
    await stage.poll()
    stage.provider.listed.pop("r1")
    stage.provider.total = lambda total: total + 1
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert (await stage.states())["r1"] == "due"
    assert stage.provider.calls["get r1"] == 0


# -- a list of the deleted ones


async def test_listed_as_deleted_and_denied_by_its_own_address_is_believed(stage):
    stage.provider.listings = (ENDED, DELETED)
    stage.provider.put(recording("r1"), recording("r2"))
    await stage.poll()
    gone = recording("r1", status=ProviderStatus.DELETED)
    stage.provider.put(gone)
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert await stage.states() == {"r1": "lost", "r2": "due"}


async def test_listed_as_deleted_and_completed_at_its_own_address_is_not_believed(stage):
    stage.provider.listings = (ENDED, DELETED)
    stage.provider.put(recording("r1"))
    await stage.poll()
    alive = stage.provider.listed["r1"]
    stage.provider.listed["r1"] = recording("r1", status=ProviderStatus.DELETED)
    get = stage.provider.get

    async def completed(ref):
        await get(ref)
        return alive

    stage.provider.get = completed
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert await stage.states() == {"r1": "due"}


async def test_what_is_first_seen_deleted_is_lost_at_once(stage):
    stage.provider.listings = (ENDED, DELETED)
    stage.provider.put(recording("r1", status=ProviderStatus.DELETED))
    await stage.poll()
    assert await stage.state() is State.LOST
