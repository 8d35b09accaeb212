"""What the probe says of each server is what testbed.md says of it; and what it says of servers that nobody should use."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from archiver.domain.errors import StorageRefused, StorageUnavailable
from archiver.domain.ports import NewObject
from archiver.storage import canaries, probe
from archiver.storage.canaries import Dialect
from archiver.storage.filesystem import Filesystem
from archiver.storage.s3 import S3
from archiver.storage.settings import S3Settings
from archiver.storage.unprobed import UNPROBED
from tests.storage.conftest import MIB, now, s3, token
from tests.storage.endpoint import Poor, endpoint, error


def abilities(found) -> dict[str, bool]:
    return {name: getattr(found, name) for name in found.__slots__ if name != "notes"}


GOOD = {
    "refuses_wrong_checksum": True,
    "refuses_wrong_part": True,
    "proves_whole": True,
    "conditional_put": True,
    "conditional_complete": True,
    "versioning": False,
    "lock": False,
    "keeps_metadata": True,
}


async def probed(store):
    assert store.abilities == UNPROBED
    try:
        found = await store.probe()
        assert store.abilities == found
        return found, [stored.key async for stored in store.keys("")], [upload async for upload in store.uploads()]
    finally:
        await store.aclose()


async def test_localstack_enforces_everything_that_a_plain_bucket_can(s3_bucket):
    store = s3(s3_bucket)
    found, left, uploads = await probed(store)
    assert abilities(found) == GOOD
    assert found.notes == ("The bucket keeps no versions.",)
    assert store._dialect == Dialect()
    assert abs(store.clock_offset) < 60
    assert (left, uploads) == ([], [])


async def test_localstack_locks_at_birth_and_the_canaries_stay_until_their_minute_is_over(locked_bucket):
    found, left, uploads = await probed(s3(locked_bucket, object_lock="compliance"))
    assert abilities(found) == GOOD | {"versioning": True, "lock": True}
    [note] = found.notes
    assert note.startswith("2 canaries under _probe/ stay behind, locked for 60 s")
    assert (len(left), uploads) == (2, [])
    held = locked_bucket.client.head_object(Bucket=locked_bucket.name, Key=f"an/archive/{left[0]}")
    assert held["ObjectLockMode"] == "GOVERNANCE"  # nothing irreversible is tried out


async def test_without_a_wish_for_locks_no_canary_is_locked(locked_bucket):
    found, left, _uploads = await probed(s3(locked_bucket))
    assert abilities(found) == GOOD | {"versioning": True}
    assert (found.notes, left) == ((), [])


async def test_a_bucket_that_locks_by_default_keeps_its_canaries_no_longer_than_a_minute(locked_bucket):
    locked_bucket.client.put_object_lock_configuration(
        Bucket=locked_bucket.name,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 7}},
        },
    )
    found, left, _uploads = await probed(s3(locked_bucket))
    assert any("default retention" in note for note in found.notes)
    assert left
    for key in left:
        held = locked_bucket.client.head_object(Bucket=locked_bucket.name, Key=f"an/archive/{key}")
        assert held["ObjectLockMode"] == "GOVERNANCE"
        assert held["ObjectLockRetainUntilDate"] < now() + timedelta(minutes=2)


async def test_a_lock_that_is_shown_but_not_held_is_no_lock(s3_bucket):
    """LocalStack takes lock headers on a bucket without lock, shows them, and deletes the object."""
    found, left, _uploads = await probed(s3(s3_bucket, object_lock="governance"))
    assert abilities(found) == GOOD
    assert any("shows its retention, and was deleted all the same" in note for note in found.notes)
    assert left == []


async def test_rclone_is_recognised_as_poor(rclone_bucket):
    store = s3(rclone_bucket, object_lock="governance")
    found, left, uploads = await probed(store)
    assert abilities(found) == {name: name in ("refuses_wrong_part", "keeps_metadata") for name in GOOD}
    assert store._dialect == Dialect(put_checksum="MD5", part_checksum="MD5")
    for said in (
        "wrong SHA-256 is stored",
        "parts travel with their MD5",
        "If-None-Match is not enforced",
        "no versions",
        "retention",
    ):
        assert any(said in note for note in found.notes), said
    assert (left, uploads) == ([], [])


async def test_a_folder_claims_only_what_it_can_hold(tmp_path):
    store = Filesystem(tmp_path / "archive", 5 * MIB, token)
    found, left, uploads = await probed(store)
    assert abilities(found) == {name: name in ("conditional_put", "conditional_complete", "keeps_metadata") for name in GOOD}
    assert (left, uploads, [path for path in tmp_path.rglob("*") if path.is_file()]) == ([], [], [])


async def test_old_canaries_are_swept_and_young_ones_left_to_their_probe(s3_bucket):
    store = s3(s3_bucket)
    dead = NewObject(key="_probe/dead/put", content_type="x/y", metadata={})
    await store.put(dead, b"x", sha256=bytes.fromhex("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"))
    upload_id = await store.begin(dead)
    await probe._sweep(store._requests, now() - timedelta(hours=1))
    assert [stored.key async for stored in store.keys("_probe/")] == ["_probe/dead/put"]
    await probe._sweep(store._requests, now() + timedelta(seconds=5))
    assert [stored.key async for stored in store.keys("_probe/")] == []
    assert upload_id not in [upload.upload_id async for upload in store.uploads()]
    await store.aclose()


# Servers of our own, for what no server of the testbed does


def poor(here, **settings):
    return S3(S3Settings(bucket="bucket", prefix="p", endpoint_url=here.url, **settings), token, now)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda body: b"%x\r\n" % len(body) + body + b"\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n", "chunk framing"),
        (lambda body: body.replace(b"\r\n", b"\n"), "of them"),
        (lambda body: body[:-1], "of them"),
    ],
)
async def test_an_endpoint_that_stores_other_bytes_than_it_is_sent_is_refused(spoil, said):
    """Seen in the wild: aws-chunked framing inside the object (finding F14)."""
    async with endpoint(Poor(spoil=spoil)) as here:
        store = poor(here)
        with pytest.raises(StorageRefused, match=f"stores other bytes than it is sent.*{said}"):
            await store.probe()
        assert store.abilities == UNPROBED
        await store.aclose()


async def test_what_an_endpoint_answers_with_not_implemented_is_left_out_from_then_on():
    unknown = ("if-none-match", "x-amz-checksum-sha256", "x-amz-object-lock-mode")
    async with endpoint(Poor(unknown=unknown)) as here:
        store = poor(here, object_lock="governance")
        found = await store.probe()
        assert abilities(found) == GOOD | dict.fromkeys(GOOD, False) | {"keeps_metadata": True}
        assert any("refuses retention at creation (NotImplemented)" in note for note in found.notes)
        assert store._dialect == Dialect(if_none_match=False, put_checksum="MD5", part_checksum="")
        here.seen.clear()
        await store.put(NewObject(key="k", content_type="x/y", metadata={}), b"x", sha256=bytes(32))
        assert here.requests == ["HEAD /bucket/p/k", "PUT /bucket/p/k"]
        await store.aclose()


async def test_a_clock_that_differs_by_more_than_a_minute_is_told():
    async with endpoint(Poor()) as here:
        for ahead, told in ((timedelta(seconds=300), True), (timedelta(seconds=-90), True), (timedelta(seconds=20), False)):
            here.script = Poor(date=format_datetime(now() + ahead, usegmt=True))
            store = poor(here)
            found = await store.probe()
            assert any("clock" in note for note in found.notes) == told
            assert store.clock_offset == pytest.approx(ahead.total_seconds(), abs=20)
            await store.aclose()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AccessDenied", StorageRefused),
        (403, "RequestTimeTooSkewed", StorageRefused),
        (404, "NoSuchBucket", StorageRefused),
        (503, "SlowDown", StorageUnavailable),
    ],
)
async def test_a_probe_that_cannot_be_made_says_why(status, code, expected):
    async with endpoint(lambda _seen: error(status, code)) as here:
        store = poor(here)
        with pytest.raises(expected, match=code):
            await store.probe()
        await store.aclose()


def test_the_canary_shows_the_damage_seen_in_the_wild():
    assert b"\r\n" in canaries.BODY
    assert b"\x00" in canaries.BODY
    assert len(set(canaries.BODY)) == 256
