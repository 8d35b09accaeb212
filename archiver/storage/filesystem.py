"""An archive in a folder: whole files or none, never overwritten, their metadata beside them.

A folder proves nothing by itself, so whatever lies in it is verified by reading it back. It keeps no versions and no locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, TypeVar

from archiver.domain.errors import ObjectExists, ObjectMissing, StorageError, StorageRefused, StorageUnavailable
from archiver.domain.ports import Abilities, Later, NewObject, StoredObject
from archiver.storage import file_objects, file_uploads
from archiver.storage.file_tree import META, Stop, translated
from archiver.storage.keys import check_key, check_metadata, check_prefix
from archiver.storage.unprobed import UNPROBED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from archiver.domain.ports import Lock, OpenUpload, Part

Body = bytes | bytearray | memoryview
T = TypeVar("T")
_CHUNK = 1024 * 1024  # bytes read at once
_ABILITIES = Abilities(
    refuses_wrong_checksum=False,
    refuses_wrong_part=False,
    proves_whole=False,
    conditional_put=True,
    conditional_complete=True,
    versioning=False,
    lock=False,
    keeps_metadata=True,
    notes=(
        "A folder proves nothing by itself: objects are verified by reading them back.",
        "A folder keeps no versions and no locks: whoever may write to it can change the archive.",
    ),
)


class Filesystem:
    """Implements `ports.Storage`. `root` is made when it is missing; `token` gives names nobody else has (alphanumeric)."""

    def __init__(self, root: Path, part_size: int, token: Callable[[], str]) -> None:
        self._root = root
        self._part_size = part_size
        self._token = token
        self._abilities = UNPROBED

    @property
    def part_size(self) -> int:
        return self._part_size

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    def full_key(self, key: str) -> str:
        _check(key)
        return key

    async def probe(self) -> Abilities:
        """Writes a canary, reads it back, and tries to write another in its place."""
        key, body = f"_probe/{self._token()}/put", bytes(range(256))
        new = NewObject(key=key, content_type="application/octet-stream", metadata={"archiver-token": "canary"})
        await self.put(new, body, sha256=b"")
        try:
            seen = await self.head(key)
            read = b"".join([chunk async for chunk in self.read(key)])
            if read != body or seen.metadata != new.metadata:
                raise StorageRefused(f"{self._root}: what was written is not what is read")
            await self.put(new, body, sha256=b"")
        except ObjectExists:
            self._abilities = _ABILITIES
            return _ABILITIES
        finally:
            await self.delete(key, "")
        raise StorageRefused(f"{self._root}: a second object took the place of the first")

    async def put(self, new: NewObject, body: Body, *, sha256: bytes) -> StoredObject:  # noqa: ARG002 - nothing here could check it
        _check_new(new)
        what, view, token = self._what("put", new.key), memoryview(body).cast("B"), self._token()

        def put(stop: Stop) -> None:
            file_objects.put(self._root, new, view, token=token, stop=stop)

        await _in_thread(what, put, missing=StorageUnavailable)
        return StoredObject(key=new.key, version_id="", size=len(view), metadata=dict(new.metadata))

    async def begin(self, new: NewObject) -> str:
        _check_new(new)
        upload_id = self._token()

        def begin(_stop: Stop) -> None:
            file_uploads.begin(self._root, new.key, upload_id, slot=self._part_size)

        await _in_thread(self._what("multipart upload", new.key), begin, missing=StorageUnavailable)
        return upload_id

    async def put_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        _check(key)
        view = memoryview(body).cast("B")
        return await _in_thread(
            f"{self._what('put', key)}, part {number}",
            lambda stop: file_uploads.put_part(self._root, key, upload_id, number, view, stop),
        )

    async def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        _check(key)
        return await _in_thread(self._what("parts", key), lambda _stop: file_uploads.parts(self._root, key, upload_id))

    async def complete(self, new: NewObject, upload_id: str, parts: Sequence[Part]) -> StoredObject:
        _check_new(new)
        what, token = self._what("completion", new.key), self._token()

        def complete(stop: Stop) -> None:
            file_objects.complete(self._root, new, upload_id, parts, token=token, stop=stop)

        await _in_thread(what, complete)
        size = sum(part.size for part in parts)
        return StoredObject(key=new.key, version_id="", size=size, metadata=dict(new.metadata))

    async def abort(self, key: str, upload_id: str) -> None:
        _check(key)
        await _in_thread(self._what("abort", key), lambda _stop: file_uploads.drop(self._root, key, upload_id))

    async def uploads(self) -> AsyncIterator[OpenUpload]:
        for upload in await _in_thread(f"uploads in {self._root}", lambda _stop: file_uploads.unfinished(self._root)):
            yield upload

    async def head(self, key: str, version_id: str = "") -> StoredObject:
        _check(key)
        self._no_versions(key, version_id)
        return await _in_thread(self._what("head", key), lambda _stop: file_objects.head(self._root, key))

    async def read(self, key: str, version_id: str = "") -> AsyncIterator[bytes]:
        _check(key)
        self._no_versions(key, version_id)
        what = self._what("read", key)
        handle = await _in_thread(what, lambda _stop: file_objects.open_object(self._root, key))
        try:
            while chunk := await _in_thread(what, lambda _stop: os.read(handle, _CHUNK)):
                yield chunk
        finally:
            os.close(handle)

    async def keys(self, prefix: str) -> AsyncIterator[StoredObject]:
        check_prefix(prefix)
        *parents, start = prefix.split("/")
        async for stored in self._below(parents, start):
            yield stored

    async def delete(self, key: str, version_id: str) -> None:
        _check(key)
        if version_id:
            return  # a folder keeps no versions, so that one is gone
        await _in_thread(self._what("delete", key), lambda _stop: file_objects.delete(self._root, key))

    async def later(self) -> Later:
        return Later()

    async def extend(self, key: str, version_id: str, lock: Lock) -> None:  # noqa: ARG002 - a folder has no way to
        raise StorageRefused(f"{self._what('retention', key)}: a folder cannot lock objects")

    async def hold(self, key: str, version_id: str, *, on: bool) -> None:  # noqa: ARG002 - a folder has no way to
        raise StorageRefused(f"{self._what('legal hold', key)}: a folder keeps none; the catalog's own hold protects it")

    async def ahead(self) -> float | None:
        return None

    async def aclose(self) -> None:
        """Nothing stays open."""

    async def _below(self, parents: Sequence[str], start: str) -> AsyncIterator[StoredObject]:
        what = f"list of {self._root}/{'/'.join(parents)}"
        for name, size in await _in_thread(what, lambda _stop: file_objects.entries(self._root, parents, start)):
            if size is not None:
                yield StoredObject(key="/".join((*parents, name)), version_id="", size=size)
            else:
                async for stored in self._below((*parents, name), ""):
                    yield stored

    def _no_versions(self, key: str, version_id: str) -> None:
        if version_id:
            raise ObjectMissing(f"{key}: a folder keeps no versions, so none {version_id!r}")

    def _what(self, operation: str, key: str) -> str:
        return f"{operation} of {self._root}/{key}"


def _check(key: str) -> None:
    """Refuses, besides what no archive may hold, the names that a folder needs for itself."""
    check_key(key)
    if key.endswith(META) or any(name.startswith(".") for name in key.split("/")):
        raise StorageRefused(f"key {key[:80]!r}: in a folder, names that begin with a dot or end in {META} are taken")


def _check_new(new: NewObject) -> None:
    _check(new.key)
    for name, value in new.metadata.items():
        check_metadata(new.key, name, value)
    if new.lock is not None:
        raise StorageRefused(f"{new.key}: a folder cannot lock objects", hint='set storage.object_lock = "off"')


async def _in_thread(what: str, act: Callable[[Stop], T], *, missing: type[StorageError] = ObjectMissing) -> T:
    """Runs one blocking operation as a whole in a thread.

    A cancelled caller waits until the thread has let go of his buffer: a thread cannot be stopped, only asked (finding F8).
    """
    stop = Stop()

    def run() -> T:
        with translated(what, missing=missing):
            return act(stop)

    running = asyncio.ensure_future(asyncio.to_thread(run))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        running.exception()  # looked at, so that nobody complains that it never was
        raise
