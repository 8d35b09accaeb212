"""Deletion from the archive: exactly what is over, by intention, by version, once, and resumable from everywhere."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import leases
from archiver.domain.errors import StorageRefused, StorageUnavailable
from archiver.domain.plan import Action
from archiver.domain.recording import State
from archiver.domain.retention import RefusedByPolicy


async def test_what_is_over_is_deleted_and_the_rest_stays(it):
    await it.archived("old")
    it.clock.advance(days=200)
    await it.archived("young")
    it.clock.advance(days=200)
    applied = await it.apply()
    assert [item.name[1] for item in applied.expired if item.deleted] == ["old"]
    assert await it.states() == {"old": "expired", "young": "verified"}
    assert len(it.media()) == 1
    assert (await it.events("old"))[-2:] == ["expiring", "expired"]


async def test_an_intention_tells_the_policy_the_plan_and_every_object(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    plan = await it.plan()
    await it.apply(plan)
    (line,) = await it.lines("expiring")
    row = await it.row()
    assert line.data["plan"] == plan.fingerprint()
    assert (line.data["policy"], len(line.data["policy_fingerprint"])) == ("year", 64)
    assert [found["version_id"] for found in line.data["objects"]] == [row.version_id]
    assert line.reason == "year keeps it 1y from its end 2026-03-10T11:00:00Z, which was over on 2027-03-10T11:00:00Z"


async def test_a_plan_applied_three_times_deletes_once(it):
    await it.archived("r1", "r2")
    it.clock.advance(days=400)
    plan = await it.plan()
    for count in (2, 0, 0):
        applied = await it.apply(plan)
        assert (sum(item.deleted for item in applied.expired), applied.problems) == (count, [])
    assert len(it.deleted()) == 2


async def test_objects_that_were_superseded_go_too(it):
    await it.archived("r1")
    it.provider.put(replace(it.provider.listed["r1"], size=77))
    it.provider.has("r1", b"OggS" + b"x" * 73)
    await it.catalog.add_page("rooms", "telnyx-rooms", [it.provider.listed["r1"]])
    await it.work()
    assert len(it.media()) == 2
    it.clock.advance(days=400)
    await it.apply()
    assert it.media() == []
    (line,) = await it.lines("expired")
    assert len(line.data["objects"]) == 2


async def test_a_locked_object_is_not_even_tried(locked):
    await locked.archived("r1")
    row = await locked.row()
    assert (row.lock_mode, row.retain_until.year) == ("governance", 2027)
    locked.store._change(row.key, retain_until=row.retain_until.replace(year=2030))  # somebody locked it for longer
    locked.clock.advance(days=400)
    applied = await locked.apply()
    assert applied.refused
    assert "locks" in applied.refused[0]
    assert locked.deleted() == []
    assert (await locked.row()).retain_until.year == 2030  # and the next plan knows
    (item,) = (await locked.plan()).items
    assert item.action is Action.KEEP


async def test_a_lock_is_held_against_the_stores_clock_and_not_against_ours(locked):
    await locked.archived("r1")
    until = (await locked.row()).retain_until
    locked.store.skew = timedelta(seconds=-50)
    locked.clock.advance(seconds=(until - locked.clock.now()).total_seconds() + 50)
    assert "locks" in (await locked.apply()).refused[0]
    locked.clock.advance(seconds=2)  # S3's Date counts whole seconds
    assert [item.deleted for item in (await locked.apply()).expired] == [True]


async def test_a_legal_hold_that_somebody_else_set_in_the_store_is_obeyed(locked):
    await locked.archived("r1")
    locked.store._change((await locked.row()).key, legal_hold=True)
    locked.clock.advance(days=400)
    applied = await locked.apply()
    assert "legal hold" in applied.refused[0]
    assert locked.deleted() == []
    assert await locked.state() is State.VERIFIED


async def test_a_hold_that_comes_between_plan_and_deletion_wins(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    plan = await it.plan()
    await it.hold("case", ids=("r1",))
    with pytest.raises(RefusedByPolicy, match="stale"):
        await it.apply(plan)
    assert it.deleted() == []


async def test_a_hold_that_comes_while_the_run_is_on_wins_too(it):
    """Behind the plan, the caps and the look at the object; before the transaction that authorises."""
    await it.archived("r1")
    it.clock.advance(days=400)
    plain = it.keeping.authorise

    async def authorise(pk, confirm, *, data):
        await it.hold("case", ids=("r1",))
        return await plain(pk, confirm, data=data)

    it.keeping.authorise = authorise
    applied = await it.apply()
    assert applied.refused == ["rooms/r1/media: held by case"]
    assert it.deleted() == []


async def test_a_process_that_was_stopped_behind_its_authorisation_asks_again(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    plain = it.keeping.authorise
    calls = []

    async def authorise(pk, confirm, *, data):
        found = await plain(pk, confirm, data=data)
        if not calls:
            it.clock.advance(hours=1)  # SIGSTOP, and a hold meanwhile
            await it.hold("case", ids=("r1",))
        calls.append(found)
        return found

    it.keeping.authorise = authorise
    applied = await it.apply()
    assert it.deleted() == []
    assert applied.refused
    assert await it.state() is State.STORED  # to be verified anew


@pytest.mark.parametrize("where", ["before", "after"])
async def test_killed_behind_the_intention_the_next_run_goes_on(it, where):
    await it.archived("r1", "r2")
    it.clock.advance(days=400)
    plan = await it.plan()
    getattr(it.store, where)["delete"].append(StorageUnavailable("killed"))
    with pytest.raises(StorageUnavailable):
        await it.apply(plan)
    assert "expiring" in (await it.states()).values()
    it.restart()
    await it.apply(plan)
    assert set((await it.states()).values()) == {"expired"}
    assert it.media() == []


async def test_a_hold_behind_a_kill_spares_what_is_still_there(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    it.store.before["delete"].append(StorageUnavailable("killed"))
    with pytest.raises(StorageUnavailable):
        await it.apply()
    await it.hold("case", ids=("r1",))
    it.restart()
    await it.custody.job()
    assert await it.state() is State.STORED
    assert len(it.media()) == 1
    assert (await it.events())[-1] == "spared"
    await it.work()
    assert await it.state() is State.VERIFIED


async def test_a_hold_behind_a_deletion_whose_answer_was_lost_comes_too_late_and_nothing_pretends_otherwise(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    it.store.after["delete"].append(StorageUnavailable("killed"))
    with pytest.raises(StorageUnavailable):
        await it.apply()
    await it.hold("case", ids=("r1",))
    it.restart()
    await it.custody.job()
    assert await it.state() is State.EXPIRED


async def test_a_role_that_may_not_delete_takes_its_intention_back_and_says_so(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    it.store.may_delete = False
    with pytest.raises(StorageRefused):
        await it.apply()
    assert await it.state() is State.STORED
    applied = await it.custody.job()
    assert any("does not let this process delete" in problem for problem in applied.problems)
    await it.work()
    assert await it.state() is State.VERIFIED


async def test_a_store_that_says_deleted_and_keeps_it_is_not_believed(it):
    await it.archived("r1")
    it.clock.advance(days=400)

    async def delete(_key, _version_id):
        """Yes, of course."""

    it.store.delete = delete
    applied = await it.apply()
    assert "it is still there" in applied.refused[0]
    assert await it.state() is State.STORED


async def test_more_than_the_caps_is_nothing_at_all_until_somebody_says_the_number(it):
    await it.archived(*(f"r{number}" for number in range(10)))
    it.clock.advance(days=400)
    for limits in ({"max_share": 0.5}, {"max_count": 9}):
        it.change(**{"max_share": 1.0, "max_count": 500, **limits})
        with pytest.raises(RefusedByPolicy, match="--max-count 10 allows them"):
            await it.apply()
        applied = await it.custody.job()
        assert applied.problems
        assert it.deleted() == []
    with pytest.raises(RefusedByPolicy, match="--max-count allows 9"):
        await it.apply(allowed=9)
    assert len((await it.apply(allowed=10)).expired) == 10


async def test_the_daemons_run_deletes_within_the_caps_and_not_twice_a_period(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    await it.custody.daily()
    assert await it.state() is State.EXPIRED
    await it.archived("r2", ended_at=it.clock.now().replace(year=2020))
    it.clock.advance(hours=2)
    await it.custody.daily()
    assert await it.state("r2") is State.VERIFIED
    it.clock.advance(hours=24)
    await it.custody.daily()
    assert await it.state("r2") is State.EXPIRED


async def test_one_run_at_a_time(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    await it.database.write(lambda tx: _taken(tx, "retention", it.clock.now()))
    assert await it.custody.job() is None
    assert it.deleted() == []


async def _taken(tx, name, now):
    await tx.execute(sa.insert(leases), [{"name": name, "worker": "another", "until": now + timedelta(hours=1)}])
