"""The laws of every storage. Parametrised: file, LocalStack (the faithful S3), LocalStack with versions and lock, rclone (a poor S3)."""

import hashlib
import os

import pytest

from archiver.domain.errors import (
    ChecksumRefused,
    ObjectExists,
    ObjectMissing,
    StorageRefused,
)
from archiver.domain.ports import NewObject, Part, Storage
from tests.storage.conftest import MIB, Place, probe_once

BODY = b"RIFF\r\n\x00\xff" * 40
KEY = "telnyx-calls/2026/02/28/rec-1/media.wav"
METADATA = {"archiver-token": "t" * 32, "archiver-recording": "rec-1", "x-amz-matdesc": '{"kms": "a  b"}'}


def new(key: str = KEY, metadata: dict[str, str] | None = None) -> NewObject:
    return NewObject(key=key, content_type="audio/wav", metadata=METADATA if metadata is None else metadata)


def sha256(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


async def put(storage: Storage, key: str = KEY, body: bytes = BODY):
    return await storage.put(new(key), body, sha256=sha256(body))


async def content(storage: Storage, key: str = KEY, version_id: str = "") -> bytes:
    return b"".join([chunk async for chunk in storage.read(key, version_id)])


async def keys(storage: Storage, prefix: str = "") -> list[str]:
    return [stored.key async for stored in storage.keys(prefix)]


async def upload(storage: Storage, bodies: dict[int, bytes], key: str = KEY):
    upload_id = await storage.begin(new(key))
    parts = [await storage.put_part(key, upload_id, number, body) for number, body in bodies.items()]
    return upload_id, sorted(parts, key=lambda part: part.number)


# Whole objects


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_what_was_put_reads_back_byte_for_byte(storage, kind):
    stored = await storage.put(new(), kind(BODY), sha256=sha256(BODY))
    assert await content(storage) == BODY
    assert await content(storage, version_id=stored.version_id) == BODY


async def test_a_body_of_many_slices_reads_back_byte_for_byte(storage):
    body = os.urandom(2 * MIB + 12345)
    await put(storage, body=body)
    assert sha256(await content(storage)) == sha256(body)


async def test_head_tells_size_version_and_metadata_as_they_were_given(storage):
    made = await put(storage)
    seen = await storage.head(KEY)
    assert (seen.key, seen.size, seen.version_id) == (KEY, len(BODY), made.version_id)
    assert {name: seen.metadata.get(name) for name in METADATA} == METADATA
    assert (seen.lock_mode, seen.retain_until, seen.legal_hold) == ("", None, False)


async def test_head_attests_a_sha256_only_where_a_wrong_one_is_refused(storage):
    await put(storage)
    expected = sha256(BODY).hex() if storage.abilities.refuses_wrong_checksum else ""
    assert (await storage.head(KEY)).sha256 == expected


async def test_a_second_creation_is_refused_and_the_first_object_stays(storage):
    first = await put(storage)
    with pytest.raises(ObjectExists):
        await put(storage, body=b"another")
    assert await content(storage) == BODY
    assert (await storage.head(KEY)).version_id == first.version_id


async def test_before_the_probe_a_second_creation_is_refused_too(place: Place, storage):
    await put(storage)
    fresh = place.open()
    with pytest.raises(ObjectExists):
        await put(fresh, body=b"another")
    await fresh.aclose()


async def test_a_body_that_is_not_its_digest_is_refused_where_that_is_claimed(storage):
    if storage.abilities.refuses_wrong_checksum:
        with pytest.raises(ChecksumRefused):
            await storage.put(new(), BODY, sha256=sha256(b"other bytes"))
        assert await keys(storage) == []
    else:
        await storage.put(new(), BODY, sha256=sha256(b"other bytes"))
        assert any("read" in note and "back" in note for note in storage.abilities.notes)


async def test_an_empty_object_is_an_object(storage):
    await put(storage, body=b"")
    assert (await storage.head(KEY)).size == 0
    assert await content(storage) == b""


async def test_what_is_not_there_is_missing(storage):
    with pytest.raises(ObjectMissing):
        await storage.head(KEY)
    with pytest.raises(ObjectMissing):
        await content(storage)


# Multipart uploads


async def test_parts_put_in_any_order_become_one_object(storage):
    bodies = {3: os.urandom(1000), 1: os.urandom(5 * MIB), 2: os.urandom(5 * MIB)}
    upload_id, parts = await upload(storage, bodies)
    made = await storage.complete(new(), upload_id, parts)
    assert await content(storage) == bodies[1] + bodies[2] + bodies[3]
    seen = await storage.head(KEY)
    assert (seen.size, seen.version_id) == (10 * MIB + 1000, made.version_id)
    assert {name: seen.metadata.get(name) for name in METADATA} == METADATA


async def test_nothing_is_visible_before_completion(storage):
    upload_id, _parts = await upload(storage, {1: BODY})
    assert await keys(storage) == []
    with pytest.raises(ObjectMissing):
        await storage.head(KEY)
    await storage.abort(KEY, upload_id)


async def test_a_new_process_finds_the_upload_and_its_parts_and_finishes_it(place: Place, storage):
    bodies = {1: os.urandom(5 * MIB), 2: b"the end"}
    upload_id, parts = await upload(storage, bodies)
    other = place.open()
    await probe_once(place.kind, other)
    assert [(found.key, found.upload_id) async for found in other.uploads()] == [(KEY, upload_id)]
    listed = list(await other.parts(KEY, upload_id))
    assert [(part.number, part.size) for part in listed] == [(1, 5 * MIB), (2, 7)]
    assert [part.checksum for part in listed] in ([part.checksum for part in parts], ["", ""])
    await other.complete(new(), upload_id, listed)
    await other.aclose()
    assert await content(storage) == bodies[1] + bodies[2]


async def test_a_part_may_be_put_again(storage):
    upload_id, [first] = await upload(storage, {1: BODY})
    again = await storage.put_part(KEY, upload_id, 1, BODY)
    assert again == first
    await storage.complete(new(), upload_id, [again])
    assert await content(storage) == BODY


async def test_a_part_put_again_with_other_bytes_takes_the_place_of_the_first_or_is_refused(storage, place: Place):
    """rclone refuses it."""
    upload_id, parts = await upload(storage, {1: b"first, and longer"})
    if place.kind == "rclone":
        with pytest.raises(StorageRefused):
            await storage.put_part(KEY, upload_id, 1, b"second")
    else:
        parts = [await storage.put_part(KEY, upload_id, 1, b"second")]
    await storage.complete(new(), upload_id, parts)
    assert await content(storage) == (b"first, and longer" if place.kind == "rclone" else b"second")


async def test_an_aborted_upload_is_gone_and_may_be_aborted_again(storage):
    upload_id, parts = await upload(storage, {1: BODY})
    await storage.abort(KEY, upload_id)
    await storage.abort(KEY, upload_id)
    for attempt in (
        storage.put_part(KEY, upload_id, 1, BODY),
        storage.parts(KEY, upload_id),
        storage.complete(new(), upload_id, parts),
    ):
        with pytest.raises(ObjectMissing):
            await attempt
    assert await keys(storage) == []


async def test_completing_twice_never_makes_a_second_object(storage):
    upload_id, parts = await upload(storage, {1: BODY})
    made = await storage.complete(new(), upload_id, parts)
    with pytest.raises((ObjectMissing, ObjectExists)):
        await storage.complete(new(), upload_id, parts)
    assert (await storage.head(KEY)).version_id == made.version_id
    assert await content(storage) == BODY


async def test_completion_does_not_replace_what_was_put_in_the_meantime(storage):
    upload_id, parts = await upload(storage, {1: b"the upload's"})
    await put(storage)
    with pytest.raises(ObjectExists):
        await storage.complete(new(), upload_id, parts)
    assert await content(storage) == BODY
    await storage.abort(KEY, upload_id)


async def test_completion_without_parts_is_refused(storage):
    upload_id = await storage.begin(new())
    with pytest.raises((ObjectMissing, ChecksumRefused)):
        await storage.complete(new(), upload_id, [])
    await storage.abort(KEY, upload_id)


async def test_the_whole_checksum_is_attested_where_that_is_claimed(storage):
    upload_id, parts = await upload(storage, {1: BODY})
    await storage.complete(new(), upload_id, parts)
    assert ("CRC64NVME" in (await storage.head(KEY)).checksums) == storage.abilities.proves_whole


# Listing and deleting


async def test_keys_come_in_their_order_with_sizes_and_versions(storage):
    names = ["a/b", "a-b/c", "a.b/c", "a/b.x", "B/z", "a/c/d", "_ledger/000000000001.jsonl"]
    made = {name: await put(storage, name, name.encode()) for name in names if name != "a/b"}
    listed = [stored async for stored in storage.keys("")]
    assert [stored.key for stored in listed] == sorted(made)
    assert {stored.key: (stored.version_id, stored.size) for stored in listed} == {
        name: (stored.version_id, len(name)) for name, stored in made.items()
    }


async def test_a_prefix_selects_by_the_beginning_of_the_key(storage):
    for name in ("s/1/a", "s/1/b", "s/10/a", "t/1"):
        await put(storage, name)
    assert await keys(storage, "s/") == ["s/1/a", "s/1/b", "s/10/a"]
    assert await keys(storage, "s/1") == ["s/1/a", "s/1/b", "s/10/a"]
    assert await keys(storage, "s/1/") == ["s/1/a", "s/1/b"]
    assert await keys(storage, "s/1/a") == ["s/1/a"]
    assert await keys(storage, "s/1/a/") == []
    assert await keys(storage, "none/") == []


async def test_deleting_takes_exactly_the_version_and_may_be_repeated(storage):
    made = await put(storage)
    await put(storage, "another/key")
    await storage.delete(KEY, made.version_id)
    await storage.delete(KEY, made.version_id)
    with pytest.raises(ObjectMissing):
        await storage.head(KEY)
    assert await keys(storage) == ["another/key"]
    await put(storage, body=b"may be created again")


async def test_deletion_without_a_version_leaves_no_delete_marker(storage, place: Place):
    """On a versioned bucket it is refused or does nothing: the version stays what it was (proved by LocalStack)."""
    made = await put(storage)
    if made.version_id:
        with pytest.raises(StorageRefused):
            await storage.delete(KEY, "")
        assert (await storage.head(KEY)).version_id == made.version_id
    else:
        await storage.delete(KEY, "")
        assert await keys(storage) == []


# What must never be

BAD_KEYS = ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "ä", "a b", "a\\b", "a\n", "a\x00", "%2e%2e/a", "x" * 1025]


async def test_a_key_that_could_be_read_another_way_is_refused_everywhere(storage):
    for key in BAD_KEYS:
        for attempt in (
            put(storage, key),
            storage.begin(new(key)),
            storage.put_part(key, "u", 1, b"x"),
            storage.parts(key, "u"),
            storage.complete(new(key), "u", [Part(number=1, size=1, etag="e")]),
            storage.abort(key, "u"),
            storage.head(key),
            content(storage, key),
            storage.delete(key, ""),
        ):
            with pytest.raises(StorageRefused, match="key"):
                await attempt
        with pytest.raises(StorageRefused, match="key"):
            storage.full_key(key)


async def test_a_prefix_cannot_leave_the_archive(storage):
    for prefix in ("../", "/", "a/../", "a//"):
        with pytest.raises(StorageRefused):
            await keys(storage, prefix)


BAD_METADATA = [{"Upper": "x"}, {"a_b": "x"}, {"a": "ä"}, {"a": "x\r\nx-amz-meta-b: y"}, {"a": " x"}, {"a": "x "}, {"": "x"}]


async def test_metadata_that_would_not_come_back_the_same_is_refused(storage):
    for metadata in BAD_METADATA:
        with pytest.raises(StorageRefused, match="metadata"):
            await storage.put(new(metadata=metadata), BODY, sha256=sha256(BODY))
        with pytest.raises(StorageRefused, match="metadata"):
            await storage.begin(new(metadata=metadata))
    assert await keys(storage) == []


async def test_the_full_key_is_the_one_users_see(storage, place: Place):
    assert storage.full_key(KEY) == (KEY if place.kind == "file" else f"an/archive/{KEY}")
