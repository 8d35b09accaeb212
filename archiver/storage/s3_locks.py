"""Locks and legal holds on objects that exist already, given only where a canary showed that the endpoint enforces them.

`rclone serve s3` and others know nothing of the subresources `?retention` and `?legal-hold` and take the call for a put: the
object is then the XML that should have protected it. So the first call of a process goes to a canary of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from archiver.domain.errors import ObjectMissing, StorageError, StorageRefused
from archiver.domain.ports import Later, Lock, NewObject
from archiver.storage import checksums, probe
from archiver.storage.canaries import BODY, FOLDER
from archiver.storage.s3_headers import whole_second

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from archiver.domain.ports import StoredObject
    from archiver.storage.s3_control import Control
    from archiver.storage.s3_requests import Requests

_LOCK = timedelta(seconds=60)  # of a canary, always governance; a later probe removes it


class Locks:
    """What can be changed about an object without touching its bytes. No call here ever shortens or lifts a lock."""

    def __init__(self, requests: Requests, control: Control, token: Callable[[], str], now: Callable[[], datetime]) -> None:
        self._requests = requests
        self._control = control
        self._token = token
        self._now = now
        self._later: Later | None = None

    async def later(self) -> Later:
        """What the canary showed; tried once in a process, again only while the endpoint could not be asked."""
        if self._later is None:
            self._later = await self._try()
        return self._later

    async def extend(self, key: str, version_id: str, lock: Lock) -> None:
        """PutObjectRetention; S3 itself refuses to shorten a lock."""
        if not (await self.later()).retention:
            raise StorageRefused(f"retention of {key}: this store does not keep a lock that is given to an existing object")
        await self._retain(key, version_id, lock)

    async def hold(self, key: str, version_id: str, *, on: bool) -> None:
        """PutObjectLegalHold."""
        if not (await self.later()).hold:
            raise StorageRefused(f"legal hold of {key}: this store keeps none; the catalog's own hold protects it")
        await self._hold(key, version_id, on=on)

    async def ahead(self) -> float:
        """Seconds by which the endpoint's clock is ahead of ours; its Date header counts whole seconds."""
        return (await probe.look(self._requests, self._now))[1]

    async def _try(self) -> Later:
        there, _offset = await probe.look(self._requests, self._now)
        if not await self._requests.versioned():
            return Later()  # S3 locks versions: where none are kept, the call means something else or nothing
        made = await self._canary()
        try:
            hold = await self._shows(made, self._keeps_hold(made))
            until = there.astimezone(UTC) + _LOCK
            wanted = self._requests.settings.object_lock != "off"  # else a canary would stay behind, locked, for nothing
            retention = wanted and await self._shows(made, self._keeps_retention(made, until))
            return Later(retention=retention, hold=hold)
        finally:
            with contextlib.suppress(StorageError):
                await self._requests.delete(made.key, made.version_id)

    async def _canary(self) -> StoredObject:
        new = NewObject(key=f"{FOLDER}/{self._token()}/later", content_type="application/octet-stream", metadata={})
        digest = hashlib.sha256(BODY)
        header = checksums.header(checksums.MD5, checksums.digest(checksums.MD5, BODY))
        return await self._requests.put(new, BODY, sha256=digest.hexdigest(), checksum=header, conditional=False)

    async def _shows(self, made: StoredObject, trial: Awaitable[bool]) -> bool:
        """Whether the trial came out well and the canary's bytes are what they were. A refusal is an answer: no."""
        try:
            return await trial and await self._untouched(made)
        except (StorageRefused, ObjectMissing):
            return False

    async def _keeps_hold(self, made: StoredObject) -> bool:
        await self._hold(made.key, made.version_id, on=True)
        seen = (await self._requests.head(made.key, made.version_id)).legal_hold
        refused = await self._refuses_deletion(made)
        if seen or refused:
            await self._hold(made.key, made.version_id, on=False)
        return seen and refused

    async def _keeps_retention(self, made: StoredObject, until: datetime) -> bool:
        await self._retain(made.key, made.version_id, Lock(mode="governance", retain_until=until))
        seen = await self._requests.head(made.key, made.version_id)
        shown = seen.retain_until is not None and seen.retain_until >= until.replace(microsecond=0)
        return shown and await self._refuses_deletion(made)

    async def _refuses_deletion(self, made: StoredObject) -> bool:
        try:
            await self._requests.delete(made.key, made.version_id)
        except StorageRefused:
            return True
        return False

    async def _untouched(self, made: StoredObject) -> bool:
        found = b"".join([chunk async for chunk in self._requests.read(made.key, made.version_id)])
        return found == BODY

    async def _retain(self, key: str, version_id: str, lock: Lock) -> None:
        until = whole_second(lock.retain_until)
        await self._control.call(
            "put_object_retention",
            f"retention of s3://{self._requests.settings.bucket}/{self._requests.full_key(key)}",
            Key=self._requests.full_key(key),
            **({"VersionId": version_id} if version_id else {}),
            Retention={"Mode": lock.mode.upper(), "RetainUntilDate": until},
        )

    async def _hold(self, key: str, version_id: str, *, on: bool) -> None:
        await self._control.call(
            "put_object_legal_hold",
            f"legal hold of s3://{self._requests.settings.bucket}/{self._requests.full_key(key)}",
            Key=self._requests.full_key(key),
            **({"VersionId": version_id} if version_id else {}),
            LegalHold={"Status": "ON" if on else "OFF"},
        )
