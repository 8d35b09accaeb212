"""Segments under Object Lock, on a server that enforces it: nobody takes them away, and what is laid over them is seen."""

import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from archiver.catalog.ledger import SqlHistory
from archiver.catalog.rebuilt import SqlRebuild
from archiver.domain.errors import StorageRefused
from archiver.domain.ledger import segment_key
from archiver.domain.ports import Lock, NewObject
from archiver.pipeline.audit import audit
from archiver.pipeline.rebuild import Rebuild
from tests.catalog.world import SOURCE, World, stored
from tests.ledger.vault import SealClock, Vault
from tests.storage.conftest import s3, shared_session


@pytest.fixture
async def locked(lite, locked_bucket, monkeypatch):
    """A vault in a locked bucket; every segment is locked for a month."""
    monkeypatch.setattr("boto3.session.Session", shared_session)
    store = s3(locked_bucket, object_lock="governance")
    await store.probe()
    lite.clock.now = datetime.now(UTC)
    until = lite.clock.now + timedelta(days=30)
    yield Vault(world=lite, storage=store, limit=5, lock=Lock(mode="governance", retain_until=until))
    await store.aclose()


async def test_sealed_segments_are_locked_and_what_is_laid_over_or_before_them_is_found(locked, locked_bucket):
    await locked.happens(12)
    assert (await locked.seal()).unlocked == ()
    assert (await locked.audit()).problems == []
    seen = await locked.storage.head(segment_key(2))
    assert (seen.lock_mode, seen.retain_until >= locked.lock.retain_until) == ("governance", True)
    with pytest.raises(StorageRefused):
        await locked.storage.delete(seen.key, seen.version_id)
    at = {"Bucket": locked_bucket.name, "Key": locked.storage.full_key(segment_key(2))}
    forged = (await locked.body(segment_key(2))).replace(b"reason 6", b"reason X")
    locked_bucket.client.put_object(**at, Body=forged)
    (problem,) = (await locked.audit()).problems
    assert (problem.segment, "another version" in problem.what) == (2, True)
    marker = {"Bucket": locked_bucket.name, "Key": locked.storage.full_key(segment_key(3))}
    locked_bucket.client.delete_object(**marker)
    assert any(problem.segment == 3 and "delete marker" in problem.what for problem in (await locked.audit()).problems)


async def test_a_segment_whose_lock_the_store_did_not_keep_is_told_of(locked, logged):
    class Forgetful:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

        async def put(self, new, body, *, sha256):
            return await self._inner.put(dataclasses.replace(new, lock=None), body, sha256=sha256)

    await locked.happens(3)
    assert (await locked.seal(storage=Forgetful(locked.storage))).unlocked == (segment_key(1),)
    assert "segment_not_locked" in {line["event"] for line in logged}


async def test_a_rebuild_takes_locks_and_holds_from_the_objects_as_they_are_now(locked, locked_bucket, sqlite_catalogs):
    world, store = locked.world, locked.storage
    until = world.clock.now + timedelta(days=5)
    for entry in await world.claimed("r1", "r2"):
        new = NewObject(
            key=f"rooms/2026/03/02/{entry.recording_id}/media.ogg",
            content_type="audio/ogg",
            metadata={},
            lock=Lock(mode="governance", retain_until=until),
        )
        made = await store.put(new, b"OggS", sha256=hashlib.sha256(b"OggS").digest())
        facts = {"key": made.key, "version_id": made.version_id, "size": 4, "retain_until": until, "lock_mode": "governance"}
        await world.me.save([stored(entry, **facts)])
    await locked.seal()
    row = await world.row("r1")
    at = {"Bucket": locked_bucket.name, "Key": store.full_key(row.key), "VersionId": row.version_id}
    longer = until.replace(microsecond=0) + timedelta(days=400)
    locked_bucket.client.put_object_retention(**at, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": longer})
    with sqlite_catalogs() as url:
        async with World.at(url) as fresh:
            fresh.clock.now = world.clock.now
            run = Rebuild(
                target=SqlRebuild(fresh.me.database, "me", {SOURCE: "telnyx-rooms"}),
                catalog=fresh.me,
                storage=store,
                clock=SealClock(fresh),
                locks=True,
            )
            assert (await run.run()).problems == []
            assert (await fresh.row("r1")).retain_until == longer
            after = await fresh.row("r2")
            names = ("key", "version_id", "retain_until", "lock_mode", "state")
            assert [getattr(after, name) for name in names] == [getattr(await world.row("r2"), name) for name in names]
            assert (await audit(SqlHistory(fresh.me.database), store)).problems == []
