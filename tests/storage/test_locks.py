"""Object Lock as LocalStack enforces it, which is as AWS does (testbed.md): there from birth, and never let go."""

import hashlib
from datetime import timedelta

import pytest

from archiver.domain.errors import ObjectExists, ObjectMissing, StorageRefused
from archiver.domain.ports import Lock, NewObject
from tests.storage.conftest import now, s3

BODY = b"OggS and what follows"


@pytest.fixture
async def store(locked_bucket):
    store = s3(locked_bucket, object_lock="compliance")
    yield store
    await store.aclose()


def new(mode: str, until) -> NewObject:
    return NewObject(key="s/1/media.ogg", content_type="audio/ogg", metadata={}, lock=Lock(mode=mode, retain_until=until))


async def create(store, made_by: str, new: NewObject):
    if made_by == "put":
        return await store.put(new, BODY, sha256=hashlib.sha256(BODY).digest())
    upload_id = await store.begin(new)
    part = await store.put_part(new.key, upload_id, 1, BODY)
    return await store.complete(new, upload_id, [part])


@pytest.mark.parametrize("mode", ["governance", "compliance"])
@pytest.mark.parametrize("made_by", ["put", "multipart"])
async def test_an_object_is_born_locked_and_its_version_cannot_be_deleted(store, mode, made_by):
    until = now() + timedelta(days=365)
    made = await create(store, made_by, new(mode, until))
    seen = await store.head(made.key, made.version_id)
    assert seen.lock_mode == mode
    assert until <= seen.retain_until <= until + timedelta(seconds=1)  # whole seconds, rounded up: only ever longer (I10)
    with pytest.raises(StorageRefused, match="AccessDenied"):
        await store.delete(made.key, made.version_id)
    assert b"".join([chunk async for chunk in store.read(made.key, made.version_id)]) == BODY


async def test_a_legal_hold_is_seen_and_forbids_deletion(store, locked_bucket):
    made = await store.put(NewObject(key="k", content_type="audio/ogg", metadata={}), BODY, sha256=hashlib.sha256(BODY).digest())
    at = {"Bucket": locked_bucket.name, "Key": store.full_key("k"), "VersionId": made.version_id}
    locked_bucket.client.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    assert (await store.head("k")).legal_hold is True
    with pytest.raises(StorageRefused):
        await store.delete("k", made.version_id)
    locked_bucket.client.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    await store.delete("k", made.version_id)
    with pytest.raises(ObjectMissing):
        await store.head("k", made.version_id)


async def test_a_foreign_delete_marker_hides_the_object_but_not_its_version(store, locked_bucket):
    made = await create(store, "put", new("governance", now() + timedelta(days=1)))
    locked_bucket.client.delete_object(Bucket=locked_bucket.name, Key=store.full_key(made.key))
    with pytest.raises(ObjectMissing):
        await store.head(made.key)
    assert (await store.head(made.key, made.version_id)).size == len(BODY)
    assert [stored.key async for stored in store.keys("")] == []


async def test_a_put_repeated_after_a_lost_answer_makes_no_second_version(store, locked_bucket):
    """Under compliance it could not be deleted for years (finding F9). One after the other: LocalStack keeps no two puts of
    the same instant apart, as AWS does."""
    await store.probe()
    await create(store, "put", new("governance", now() + timedelta(days=1)))
    for made_by in ("put", "multipart"):
        with pytest.raises(ObjectExists):
            await create(store, made_by, new("governance", now() + timedelta(days=1)))
    [left] = [upload async for upload in store.uploads()]
    await store.abort(left.key, left.upload_id)
    listed = locked_bucket.client.list_object_versions(Bucket=locked_bucket.name, Prefix="an/archive/s/")
    assert len(listed["Versions"]) == 1
