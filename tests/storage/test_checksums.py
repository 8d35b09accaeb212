"""Checksums of parts give the checksum of the whole, as S3 spells it."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from archiver.domain.ports import Lock, NewObject, Part
from archiver.storage import checksums
from archiver.storage.checksums import CRC64NVME, MD5, NONE, SHA256
from archiver.storage.s3_headers import creation_headers, stored_object
from archiver.storage.settings import S3Settings


def test_the_values_are_those_of_the_published_catalogue():
    """CRC-64/NVME of "123456789" is ae8b14860a799888; SHA-256 and MD5 of the empty string are known to everybody."""
    assert base64.b64decode(checksums.digest(CRC64NVME, b"123456789")).hex() == "ae8b14860a799888"
    assert base64.b64decode(checksums.digest(SHA256, b"")) == hashlib.sha256(b"").digest()
    assert checksums.digest(MD5, b"") == "1B2M2Y8AsgTpgAmY7PhCfg=="
    assert checksums.digest(NONE, b"x") == ""


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8))
def test_parts_combine_to_the_checksum_of_the_whole(bodies):
    parts = [
        Part(number=n, size=len(body), etag="e", checksum=checksums.digest(CRC64NVME, body)) for n, body in enumerate(bodies, 1)
    ]
    assert checksums.whole(parts) == checksums.digest(CRC64NVME, b"".join(bodies))


def test_a_part_without_a_checksum_leaves_the_whole_without_one():
    one = Part(number=1, size=1, etag="e", checksum=checksums.digest(CRC64NVME, b"a"))
    assert checksums.whole([one, Part(number=2, size=1, etag="e")]) == ""
    assert checksums.whole([Part(number=1, size=1, etag="e", checksum=checksums.digest(SHA256, b"a"))]) == ""


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(9000, 1, 1)), st.integers(-14, 14))
def test_retention_is_sent_in_utc_and_never_shorter_than_asked_for(local, hours):
    until = local.replace(tzinfo=timezone(timedelta(hours=hours)))
    new = NewObject(key="k", content_type="x/y", metadata={}, lock=Lock(mode="compliance", retain_until=until))
    settings = S3Settings(bucket="b")
    by_header = datetime.fromisoformat(creation_headers(new, settings)["x-amz-object-lock-retain-until-date"])
    assert until <= by_header < until + timedelta(seconds=1)


def test_head_tells_a_sha256_only_of_the_whole_object():
    value = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    head = {"Content-Length": "1", "ETag": '"e"', "x-amz-checksum-sha256": value}
    assert stored_object("k", head | {"x-amz-checksum-type": "FULL_OBJECT"}).sha256 == hashlib.sha256(b"x").hexdigest()
    assert stored_object("k", head).sha256 == hashlib.sha256(b"x").hexdigest()
    assert stored_object("k", head | {"x-amz-checksum-type": "COMPOSITE"}).sha256 == ""
    assert stored_object("k", head | {"x-amz-checksum-sha256": value + "-1"}).sha256 == ""


def test_head_tells_lock_hold_and_metadata_whatever_the_case_of_the_names():
    head = {
        "CONTENT-LENGTH": "7",
        "X-Amz-Version-Id": "null",
        "X-Amz-Meta-Archiver-Token": "T",
        "X-Amz-Object-Lock-Mode": "COMPLIANCE",
        "X-Amz-Object-Lock-Retain-Until-Date": "2033-02-28T12:00:00.000Z",
        "X-Amz-Object-Lock-Legal-Hold": "ON",
    }
    seen = stored_object("k", head)
    assert (seen.size, seen.version_id, seen.metadata) == (7, "", {"archiver-token": "T"})
    assert (seen.lock_mode, seen.retain_until, seen.legal_hold) == ("compliance", datetime(2033, 2, 28, 12, tzinfo=UTC), True)
