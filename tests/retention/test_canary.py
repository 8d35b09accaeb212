"""The daily question whether locks still hold, and what happens when they do not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.catalog import reports
from archiver.catalog.alarms import alarms, locks
from archiver.domain.ports import Later
from archiver.pipeline.canary import sing
from tests.retention.locking_store import NO_LOCKS


async def told(it):
    async with it.database.read() as conn:
        return await locks(conn, it.clock.now())


@pytest.mark.parametrize("mode", ["governance", "compliance"])
async def test_a_locked_object_that_cannot_be_deleted_is_a_good_answer(locked, mode):
    sung = await sing(locked.store, locked.clock, mode=mode)
    assert (sung.ok, sung.says) == (True, f"deleting an object under a {mode} lock was refused")
    (left,) = locked.store.keys_now()
    seen = await locked.store.head(left)
    assert (seen.lock_mode, seen.retain_until - locked.clock.now()) == (mode, timedelta(minutes=2))


async def test_locks_that_are_shown_and_not_enforced_are_found_out(locked):
    locked.store.enforces = False
    await locked.custody.canary()
    (problem,) = await told(locked)
    assert "was deleted when we asked for it: locks are not enforced" in problem
    async with locked.database.read() as conn:
        assert problem in (await reports.status(conn, locked.clock.now(), []))["problems"]
    locked.store.enforces = True
    await locked.custody.canary()
    assert await told(locked) == []


@pytest.mark.parametrize("change", ["ignores", "hidden"])
async def test_locks_that_are_not_kept_or_not_shown(locked, change):
    if change == "ignores":
        locked.store.ignores = True
    else:
        locked.store.shown = False
    sung = await sing(locked.store, locked.clock, mode="governance")
    assert sung.ok is False
    assert "shows no lock" in sung.says


async def test_a_refusal_by_a_role_that_may_delete_nothing_proves_no_lock_and_says_so(locked):
    locked.store.may_delete = False
    locked.store.enforces = False
    sung = await sing(locked.store, locked.clock, mode="governance")
    assert (sung.ok, "whether it is enforced this role cannot try" in sung.says) == (True, True)


async def test_a_store_without_locks_at_creation(locked):
    locked.store.abilities = NO_LOCKS
    assert (await sing(locked.store, locked.clock, mode="governance")).ok is False
    assert (await sing(locked.store, locked.clock, mode="governance", late=True)).ok is True
    locked.store.later_works = Later()
    assert (await sing(locked.store, locked.clock, mode="governance", late=True)).ok is False


async def test_an_answer_that_stays_away_for_two_days_is_told(locked):
    await locked.custody.canary()
    locked.clock.advance(hours=48)
    assert await told(locked) == []
    locked.clock.advance(hours=2)
    assert "has not answered since 2026-03-10T12:00:00Z" in (await told(locked))[0]


async def test_where_no_locks_are_wanted_nothing_is_asked_and_an_old_complaint_ends(locked):
    locked.store.enforces = False
    await locked.custody.canary()
    locked.change(mode="", policies=locked.settings.policies)
    before = locked.store.counts["put"]
    await locked.custody.canary()
    locked.clock.advance(days=30)
    assert (locked.store.counts["put"], await told(locked)) == (before, [])


async def test_what_a_run_was_kept_from_is_told_until_one_is_not(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    it.store.skew = timedelta(hours=1)
    await it.custody.job()
    async with it.database.read() as conn:
        (problem,) = await alarms(conn, it.clock.now())
    assert problem.startswith("retention: the clocks of the store and")
    it.store.skew = timedelta(0)
    await it.custody.job()
    async with it.database.read() as conn:
        assert await alarms(conn, it.clock.now()) == []


async def test_the_ledger_is_locked_where_the_store_locks_at_creation(locked):
    now = locked.clock.now()
    assert locked.app.lock_for_ledger(now).retain_until == now.replace(year=2027)
    locked.store.abilities = replace(locked.store.abilities, lock=False)
    assert locked.app.lock_for_ledger(now) is None
