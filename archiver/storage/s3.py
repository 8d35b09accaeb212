"""An archive in an S3 bucket: what is asked of the endpoint, given what the probe found it to enforce."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ChecksumRefused, ObjectExists, ObjectMissing, StorageUnavailable
from archiver.storage import checksums, probe, remembered
from archiver.storage.canaries import Dialect
from archiver.storage.checksums import CRC64NVME
from archiver.storage.keys import check_prefix
from archiver.storage.s3_control import Control
from archiver.storage.s3_errors import S3Refused
from archiver.storage.s3_locks import Locks
from archiver.storage.s3_requests import Requests
from archiver.storage.s3_wire import Wire
from archiver.storage.unprobed import UNPROBED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime

    from archiver.domain.ports import Abilities, Later, Lock, NewObject, OpenUpload, Part, StoredObject
    from archiver.storage.s3_requests import Body
    from archiver.storage.settings import S3Settings

_NO_SUCH_LIST = frozenset({"MethodNotAllowed", "NotImplemented", "XNotImplemented"})
_PART_ATTEMPTS = 3
_PART_PAUSE = 0.2  # seconds before a part is sent again, four times as long each time


class S3:
    """Implements `ports.Storage`. `token` gives names nobody else has, `now` the time requests are signed with.

    Bodies are sent from the caller's buffer and never copied whole: leave them unchanged until the call returns or raises.
    """

    def __init__(self, settings: S3Settings, token: Callable[[], str], now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._token = token
        self._now = now
        self._control = Control(settings)
        self._wire = Wire(settings, self._control, now)
        self._requests = Requests(settings, self._control, self._wire)
        self._locks = Locks(self._requests, self._control, token, now)
        self._dialect = Dialect()
        self._abilities: Abilities = UNPROBED
        self._clock_offset: float | None = None
        self._algorithms: dict[str, str] = {}  # of the uploads this process has seen

    @property
    def part_size(self) -> int:
        return self._settings.part_size

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    @property
    def clock_offset(self) -> float | None:
        """Seconds by which the endpoint's clock is ahead of ours (its `Date` header: to the second), None before the probe."""
        return self._clock_offset

    def full_key(self, key: str) -> str:
        return self._requests.full_key(key)

    async def probe(self) -> Abilities:
        found = await probe.probe(self._requests, token=self._token(), now=self._now)
        self._dialect, self._clock_offset, self._abilities = found.dialect, found.clock_offset, found.abilities
        return found.abilities

    def memory(self) -> dict[str, Any]:
        """What the last probe found, to be given to `recall` by a later run."""
        return remembered.written(self._settings, self._abilities, self._dialect)

    async def recall(self, memory: Mapping[str, Any]) -> bool:
        """Takes up what a probe of an earlier run found, and asks only to be let in and what time it is there.

        False where the memory is of another endpoint or program. Raises StorageRefused, StorageUnavailable.
        """
        found = remembered.read(self._settings, memory)
        if found is None:
            return False
        _there, self._clock_offset = await probe.look(self._requests, self._now)
        self._abilities, self._dialect = found
        return True

    async def put(self, new: NewObject, body: Body, *, sha256: bytes) -> StoredObject:
        if not self._abilities.conditional_put:
            await self._refuse_existing(new.key)
        checksum = checksums.sha256_header(sha256)
        if self._dialect.put_checksum != checksums.SHA256:
            checksum = checksums.header(self._dialect.put_checksum, await _digest(self._dialect.put_checksum, body))
        return await self._requests.put(
            new, body, sha256=sha256.hex(), checksum=checksum, conditional=self._dialect.if_none_match
        )

    async def begin(self, new: NewObject) -> str:
        upload_id = await self._requests.begin(new, algorithm=self._dialect.part_checksum)
        self._algorithms[upload_id] = self._dialect.part_checksum
        return upload_id

    async def put_part(self, key: str, upload_id: str, number: int, body: Body) -> Part:
        algorithm = self._algorithms.get(upload_id, self._dialect.part_checksum)
        checksum = await _digest(algorithm, body)
        for attempt in range(1, _PART_ATTEMPTS + 1):
            try:
                return await self._requests.put_part(key, upload_id, number, body, algorithm=algorithm, checksum=checksum)
            except (StorageUnavailable, ChecksumRefused):
                # A part may be sent again: under its number the last one counts, and nothing is visible before completion.
                if attempt == _PART_ATTEMPTS:
                    raise
                await asyncio.sleep(_PART_PAUSE * 4 ** (attempt - 1))
        raise AssertionError("unreachable")

    async def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        found, algorithm = await self._requests.parts(key, upload_id)
        self._algorithms[upload_id] = algorithm or self._plain()
        return found

    async def complete(self, new: NewObject, upload_id: str, parts: Sequence[Part]) -> StoredObject:
        if not parts:
            raise ObjectMissing(f"{new.key}: the upload has no parts to complete")
        if not self._abilities.conditional_complete:
            await self._refuse_existing(new.key)
        algorithm = self._algorithms.get(upload_id, self._dialect.part_checksum)
        stored = await self._requests.complete(
            new.key,
            upload_id,
            parts,
            algorithm=algorithm,
            whole=checksums.whole(parts) if algorithm == CRC64NVME else "",
            conditional=self._dialect.if_none_match,
        )
        self._algorithms.pop(upload_id, None)
        return stored

    async def abort(self, key: str, upload_id: str) -> None:
        """Aborts until no part is left: one that was under way may have landed after the first time (finding F8)."""
        self._algorithms.pop(upload_id, None)
        for _ in range(_PART_ATTEMPTS):
            await self._requests.abort(key, upload_id)
            try:
                left, _algorithm = await self._requests.parts(key, upload_id)
            except ObjectMissing:
                return
            if not left:
                return
        raise StorageUnavailable(f"abort of s3://{self._settings.bucket}/{self.full_key(key)}: parts keep arriving")

    def uploads(self) -> AsyncIterator[OpenUpload]:
        return self._requests.uploads()

    async def head(self, key: str, version_id: str = "") -> StoredObject:
        """Gives only checksums that the probe saw refused when wrong: some endpoints repeat any header they were sent."""
        found = await self._requests.head(key, version_id)
        believed = dict(found.checksums)
        if not self._abilities.refuses_wrong_checksum:
            believed.pop(checksums.SHA256, None)
        if not self._abilities.proves_whole:
            believed.pop(CRC64NVME, None)
        return replace(found, checksums=believed, sha256=found.sha256 if checksums.SHA256 in believed else "")

    def read(self, key: str, version_id: str = "") -> AsyncIterator[bytes]:
        return self._requests.read(key, version_id)

    async def keys(self, prefix: str) -> AsyncIterator[StoredObject]:
        """The current versions; where the endpoint cannot list versions, the objects."""
        check_prefix(prefix)
        versions = aiter(self._requests.versions(prefix))
        try:
            first = await anext(versions, None)
        except S3Refused as refused:
            if refused.code not in _NO_SUCH_LIST:
                raise
            async for stored in self._requests.objects(prefix):
                yield stored
            return
        if first is not None:
            yield first[0]
            async for stored, _at in versions:
                yield stored

    async def delete(self, key: str, version_id: str) -> None:
        await self._requests.delete(key, version_id)

    async def later(self) -> Later:
        return await self._locks.later()

    async def extend(self, key: str, version_id: str, lock: Lock) -> None:
        await self._locks.extend(key, version_id, lock)

    async def hold(self, key: str, version_id: str, *, on: bool) -> None:
        await self._locks.hold(key, version_id, on=on)

    async def ahead(self) -> float:
        return await self._locks.ahead()

    async def aclose(self) -> None:
        await self._wire.aclose()
        await self._control.aclose()

    async def _refuse_existing(self, key: str) -> None:
        """Where the endpoint would overwrite, look first. Two writers within the same moment still can; the probe says so."""
        try:
            found = await self._requests.head(key)
        except ObjectMissing:
            return
        raise ObjectExists(f"put of s3://{self._settings.bucket}/{self.full_key(key)}: {found.size} bytes stand there already")

    def _plain(self) -> str:
        """What an upload without a checksum algorithm was begun for: MD5 travels without being announced."""
        return self._dialect.part_checksum if self._dialect.part_checksum in (checksums.MD5, checksums.NONE) else checksums.NONE


async def _digest(algorithm: str, body: Body) -> str:
    if algorithm in checksums.SLOW:
        return await asyncio.to_thread(checksums.digest, algorithm, body)
    return checksums.digest(algorithm, body)
