"""One storage of each kind, on real servers, emptied and checked for leaks behind every test."""

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archiver.domain.ports import Storage
from archiver.storage.filesystem import Filesystem
from archiver.storage.s3 import S3
from archiver.storage.settings import S3Settings
from tests.testbed.s3 import Bucket

MIB = 1024 * 1024


def token() -> str:
    return uuid.uuid4().hex


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a storage lies; `open()` is a new process's view of it: it knows nothing of what another instance did."""

    kind: str
    open: Callable[[], Storage]


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3's chain finds on every server of the testbed; nothing of the developer's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def s3(bucket: Bucket, **settings: object) -> S3:
    given = {"bucket": bucket.name, "prefix": "an/archive", "endpoint_url": bucket.endpoint_url, "part_size": 5 * MIB}
    return S3(S3Settings(**(given | settings)), token, now)


KINDS = ("file", "localstack", "localstack-locked", "rclone")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """file: a folder. localstack: the faithful S3. localstack-locked: with versions and lock. rclone: the poor compatible."""
    if request.param == "file":
        return Place(kind="file", open=lambda: Filesystem(tmp_path / "archive", 5 * MIB, token))
    request.getfixturevalue("credentials")
    name = {"localstack": "s3_bucket", "localstack-locked": "locked_bucket", "rclone": "rclone_bucket"}[request.param]
    bucket: Bucket = request.getfixturevalue(name)
    return Place(kind=request.param, open=lambda: s3(bucket))


_probed: dict[str, tuple[object, ...]] = {}


async def probe_once(kind: str, storage: Storage) -> None:
    """What a kind of server enforces does not change within a session; test_probe.py asks every time."""
    if isinstance(storage, S3) and kind in _probed:
        storage._dialect, storage._abilities = _probed[kind]
        return
    await storage.probe()
    if isinstance(storage, S3):
        _probed[kind] = (storage._dialect, storage._abilities)


@pytest.fixture
async def storage(place: Place) -> AsyncIterator[Storage]:
    """A probed storage; afterwards nothing half-done may be left in it."""
    storage = place.open()
    try:
        await probe_once(place.kind, storage)
        yield storage
        assert [upload.key async for upload in storage.uploads()] == []
        assert [stored.key async for stored in storage.keys("_probe/")] == []
    finally:
        await storage.aclose()
