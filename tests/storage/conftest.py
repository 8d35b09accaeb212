"""One storage of each kind, on real servers, emptied and checked for leaks behind every test."""

import asyncio
import functools
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import boto3
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


async def until(condition: Callable[[], object]) -> None:
    """Let the loop and other threads go on until something has happened there that nobody tells about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a storage lies; `open()` is a new process's view of it: it knows nothing of what another instance did."""

    kind: str
    open: Callable[[], Storage]


def s3(bucket: Bucket, **settings: object) -> S3:
    given = {"bucket": bucket.name, "prefix": "an/archive", "endpoint_url": bucket.endpoint_url, "part_size": 5 * MIB}
    return S3(S3Settings(**(given | settings)), token, now)


KINDS = ("file", "localstack", "localstack-locked", "rclone")


# Reading the S3 model costs 60 ms; a program does it once, a test suite a hundred times.
shared_session = functools.cache(boto3.session.Session)


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest) -> str:
    """Of the session, so that a server's own sockets are there before a test's are counted."""
    if request.param != "file":
        request.getfixturevalue("rclone_s3" if request.param == "rclone" else "localstack")
    return request.param


@pytest.fixture
def place(server: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """file: a folder. localstack: the faithful S3. localstack-locked: with versions and lock. rclone: the poor compatible."""
    if server == "file":
        return Place(kind=server, open=lambda: Filesystem(tmp_path / "archive", 5 * MIB, token))
    monkeypatch.setattr("boto3.session.Session", shared_session)
    name = {"localstack": "s3_bucket", "localstack-locked": "locked_bucket", "rclone": "rclone_bucket"}[server]
    bucket: Bucket = request.getfixturevalue(name)
    return Place(kind=server, open=lambda: s3(bucket))


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
