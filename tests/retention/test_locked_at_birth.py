"""With locks on, nothing counts as stored before the store shows its lock; and retention only ever grows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.evidence_tables import policies as policies_table
from archiver.domain.errors import StorageUnavailable
from archiver.domain.keeping import Longer
from archiver.domain.lifecycle import Event
from archiver.domain.ports import Later
from archiver.domain.recording import State
from archiver.pipeline.pump import as_stored
from archiver.pipeline.verify import Verifier
from tests.pipeline.memory_store import STRICT
from tests.retention.archive import archive, policy, source
from tests.retention.locking_store import NO_LOCKS, LockingStore

BIG = 5 * 1024**2 + 100  # two parts


async def stored(it, recording_id="r1"):
    return await it.store.head((await it.row(recording_id)).key)


@pytest.mark.parametrize("mode", ["governance", "compliance"])
@pytest.mark.parametrize("size", [300, BIG])
async def test_every_object_is_born_locked_until_its_policy_ends(sqlite_url, mode, size):
    async with archive(sqlite_url, policies=[policy("calls", "7y")], mode=mode) as it:
        await it.listed("r1")
        it.provider.has("r1", b"OggS" + bytes(size - 4))
        await it.work()
        seen, row = await stored(it), await it.row()
        assert (seen.lock_mode, seen.retain_until) == (mode, datetime(2033, 3, 10, 11, tzinfo=UTC))
        assert (row.lock_mode, row.retain_until, row.policy, row.state) == (mode, seen.retain_until, "calls", "verified")
        assert row.policy_fingerprint == it.custody._rules.policies[0].fingerprint()
        assert it.store.counts["extend"] == 0
        (line,) = await it.lines("stored")
        assert (line.data["retain_until"], line.data["policy"]) == ("2033-03-10T11:00:00.000000Z", "calls")
        assert line.data["lock"] == "calls keeps it 7y from its end 2026-03-10T11:00:00Z"


@pytest.mark.parametrize("size", [300, BIG])
async def test_one_look_proves_the_lock_and_the_bytes(locked, size):
    await locked.listed("r1")
    locked.provider.has("r1", b"OggS" + bytes(size - 4))
    (entry,) = await locked.catalog.claim(1, sources=["rooms"])
    stored_now = await locked.transfer().archive(entry)
    looks = locked.store.counts["head"]
    assert looks == 1
    verifier = Verifier(storage=locked.store, mode="auto", observer=locked.observed)
    verified = await verifier.confirm(as_stored(stored_now), seen=stored_now.seen)
    assert (verified.event, locked.store.counts["head"]) == (Event.VERIFIED, looks)
    other = replace(stored_now.seen, sha256="00" * 32, checksums={})
    assert await verifier.confirm(as_stored(stored_now), seen=other) is None


async def test_without_locks_the_decision_is_recorded_all_the_same(it):
    await it.archived("r1")
    row = await it.row()
    assert (row.lock_mode, row.policy, row.retain_until) == ("", "year", datetime(2027, 3, 10, 11, tzinfo=UTC))
    await it.custody.job()
    assert [found.name for found in await it.rows(sa.select(policies_table.c.name))] == ["year"]


async def test_what_was_over_before_it_was_archived_is_locked_for_a_day_with_the_reason(locked):
    await locked.archived("r1", ended_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert (await locked.row()).retain_until == locked.clock.now() + timedelta(days=1)
    (line,) = await locked.lines("stored")
    assert "was over on 2021-01-01" in line.data["lock"]
    locked.clock.advance(days=2)
    assert [item.deleted for item in (await locked.apply()).expired] == [True]


@pytest.mark.parametrize("size", [300, BIG])
async def test_an_endpoint_that_ignores_lock_headers_gets_nothing_stored(locked, size):
    locked.store.ignores = True
    await locked.listed("r1")
    locked.provider.has("r1", b"OggS" + bytes(size - 4))
    (outcome,) = await locked.work()
    assert await locked.state() is State.DUE
    assert (await locked.row()).error.startswith("lock_missing: no lock, wanted governance until 2027-03-10T11:00:00Z")
    assert outcome.kind == "LockMissing"
    locked.store.ignores = False
    locked.store.objects.clear()  # the operator saw to the bucket
    locked.clock.advance(minutes=20)
    await locked.work()
    assert await locked.state() is State.VERIFIED


async def test_one_that_goes_on_ignoring_them_is_parked_for_an_operator(locked):
    locked.store.ignores = True
    await locked.listed("r1")
    for _ in range(3):
        await locked.work()
        locked.clock.advance(minutes=20)
    row = await locked.row()
    assert (row.state, row.attempts) == ("failed", 3)
    assert row.error.startswith("lock_missing")


async def test_where_the_probe_found_no_locks_nothing_is_even_downloaded(sqlite_url):
    store = LockingStore(abilities=NO_LOCKS, later=Later())
    async with archive(sqlite_url, policies=[policy("p", "1y")], mode="governance", store=store) as it:
        store._clock = it.clock
        await it.listed("r1")
        await it.work()
        row = await it.row()
        assert (row.state, row.attempts, it.provider.calls["media r1"]) == ("due", 0, 0)
        assert row.error == "lock_missing: this store does not keep a governance lock that is given at creation"


async def test_a_lock_later_needs_the_word_that_it_is_wanted_and_a_store_that_keeps_it(sqlite_url):
    store = LockingStore(abilities=NO_LOCKS)
    store.ignores = True
    async with archive(sqlite_url, policies=[policy("p", "1y")], mode="governance", late=True, store=store) as it:
        store._clock = it.clock
        await it.listed("r1")
        store.later_works = Later()
        await it.work()
        assert "neither at creation nor later" in (await it.row()).error
        store.later_works = Later(retention=True)
        it.clock.advance(minutes=20)
        await it.work()
        assert (await it.state(), (await it.row()).lock_mode) == (State.VERIFIED, "governance")
        assert len(store.extended) == 1
        assert (await stored(it)).retain_until == (await it.row()).retain_until


async def test_a_late_lock_is_tried_once_and_looked_at(sqlite_url):
    async with archive(sqlite_url, policies=[policy("p", "1y")], mode="governance", late=True) as it:
        it.store.ignores = True
        await it.listed("r1")

        async def extend(key, _version_id, _lock):
            it.store.extended.append(key)

        it.store.extend = extend
        await it.work()
        assert (len(it.store.extended), await it.state()) == (1, State.DUE)


async def test_an_object_of_an_earlier_attempt_with_a_shorter_lock_is_lengthened(locked):
    await locked.listed("r1")
    locked.store.before["head"].append(StorageUnavailable("killed behind the put"))
    entries = await locked.catalog.claim(1, sources=["rooms"])
    with pytest.raises(StorageUnavailable):
        await locked.transfer().archive(entries[0])
    locked.catalog._let_go(entries)  # the process that held it is gone
    locked.change(policies=[policy("longer", "2y")])
    locked.clock.advance(minutes=1)
    await locked.work()
    assert (await stored(locked)).retain_until == datetime(2028, 3, 10, 11, tzinfo=UTC)


async def test_the_row_that_a_failed_look_left_is_the_one_that_the_outcome_fits(locked):
    """A large transfer notes its parts: the row has moved on since it was claimed."""
    await locked.listed("r1")
    locked.provider.has("r1", b"OggS" + bytes(BIG))
    (entry,) = await locked.catalog.claim(1, sources=["rooms"])
    transfer = locked.transfer()
    locked.store.before["head"].append(StorageUnavailable("no answer"))
    with pytest.raises(StorageUnavailable):
        await transfer.archive(entry)
    assert transfer.as_noted(entry).revision == (await locked.row()).revision > entry.revision


# -- only longer


async def test_a_longer_policy_lengthens_what_is_there_and_a_shorter_one_changes_nothing(locked):
    await locked.archived("r1", "r2")
    locked.change(policies=[policy("long", "7y")])
    applied = await locked.custody.job()
    assert applied.extended == 2
    for recording_id in ("r1", "r2"):
        row = await locked.row(recording_id)
        assert (row.retain_until, row.policy) == (datetime(2033, 3, 10, 11, tzinfo=UTC), "long")
        assert (await stored(locked, recording_id)).retain_until == row.retain_until
    lines = await locked.lines("retention_extended")
    assert [line.data["before"] for line in lines] == ["2027-03-10T11:00:00Z"] * 2
    locked.change(policies=[policy("short", "30d")])
    assert (await locked.custody.job()).extended == 0
    assert (await locked.row()).retain_until.year == 2033
    assert len(locked.store.extended) == 2


async def test_what_a_store_locks_for_less_shortens_nothing_that_is_on_record(locked):
    await locked.archived("r1")
    before = await locked.row()
    less = Longer(
        pk=before.id, until=before.retain_until - timedelta(days=1), lock_mode=before.lock_mode, reason="the store says so"
    )
    await locked.keeping.retained([less])
    assert (await locked.row()).retain_until == before.retain_until
    assert await locked.lines("retention_extended") == []


async def test_earlier_objects_of_a_rendition_are_lengthened_too(locked):
    await locked.archived("r1")
    first = (await locked.row()).key
    locked.provider.put(replace(locked.provider.listed["r1"], size=77))
    locked.provider.has("r1", b"OggS" + b"x" * 73)
    await locked.catalog.add_page("rooms", "telnyx-rooms", [locked.provider.listed["r1"]])
    await locked.work()
    locked.change(policies=[policy("long", "7y")])
    await locked.custody.job()
    assert {key for key, _until in locked.store.extended} == {first, (await locked.row()).key}


async def test_locks_that_are_switched_on_reach_what_lay_there_without(it):
    await it.archived("r1")
    it.change(mode="compliance", policies=it.settings.policies)
    await it.custody.job()
    assert ((await it.row()).lock_mode, (await stored(it)).lock_mode) == ("compliance", "compliance")


async def test_a_store_that_takes_no_lock_later_is_told_of_and_the_catalog_does_not_pretend(sqlite_url):
    store = LockingStore(abilities=STRICT, later=Later())
    async with archive(sqlite_url, policies=[policy("p", "1y")], mode="governance", store=store) as it:
        store._clock = it.clock
        await it.archived("r1")
        it.change(policies=[policy("p", "2y")])
        applied = await it.custody.job()
        assert applied.problems == ["1 renditions should be locked for longer, and this store takes no lock later"]
        assert (await it.row()).retain_until.year == 2027
        it.clock.advance(days=400)
        assert (await it.plan()).items[0].action == "keep"  # the policy holds all the same


async def test_what_is_locked_for_ever_is_not_asked_for_a_day_more_every_day(sqlite_url):
    async with archive(sqlite_url, mode="governance", sources=[source()]) as it:
        await it.archived("r1")
        for _ in range(3):
            it.clock.advance(days=5)
            assert (await it.custody.job()).extended == 0
        it.clock.advance(days=40)
        assert (await it.custody.job()).extended == 1
        assert (await it.plan()).items[0].action == "keep"
