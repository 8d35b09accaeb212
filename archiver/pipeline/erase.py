"""Erasure on a person's request: dated while locks and holds stand against it, then carried out to the end, with a certificate.

The order survives being killed anywhere: objects, then names in the catalog, then manifests, then the certificate in the
archive, then the note that it is over. Every step may be repeated.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from archiver.domain import errors
from archiver.domain.keeping import Certificate, Erasing
from archiver.domain.lifecycle import ARCHIVED
from archiver.domain.ports import NewObject
from archiver.domain.retention import canonical, instant

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from archiver.domain.keeping import Keeping
    from archiver.domain.ports import Lock, Storage
    from archiver.pipeline.expire import Expiry

log = structlog.get_logger()

FOLDER = "_erasure/"
SCHEMA = "archiver.erasure/1"


@dataclass(slots=True)
class Erased:
    """How many recordings were forgotten in a run, and how many wait."""

    executed: int = 0
    waiting: int = 0


class Eraser:
    """Carries out what is lawful. `rewrite` takes a recording out of the archive's manifests; `lock` is for certificates."""

    def __init__(
        self,
        *,
        storage: Storage,
        keeping: Keeping,
        expiry: Expiry,
        rewrite: Callable[[str, str], Awaitable[object]],
        lock: Lock | None,
    ) -> None:
        self._storage = storage
        self._keeping = keeping
        self._expiry = expiry
        self._rewrite = rewrite
        self._lock = lock

    async def run(self, *, delete: bool) -> Erased:
        """Dates every request, and finishes those of which no object is left.

        With `delete`, objects that policies say nothing of (damaged ones, those of failed attempts) go too; what is stored or
        verified goes by the plan. Raises the errors of `Expiry.one` and of both ports.
        """
        done = Erased()
        for item in await self._keeping.erasures():
            await self._keeping.erasure_dated(item)
            if not await self._over(item, delete=delete):
                done.waiting += 1
                continue
            await self._finish(item)
            done.executed += 1
        return done

    async def _over(self, item: Erasing, *, delete: bool) -> bool:
        """Whether no object of the recording is left, and none can come."""
        if item.blocked or item.busy or any(one.state in ARCHIVED for one in item.open):
            return False
        if not delete:
            return not item.open
        ended = [await self._expiry.one(one.pk, data={"erasure": item.erasure}) for one in item.open]
        return all(one is None or one.deleted for one in ended)

    async def _finish(self, item: Erasing) -> None:
        await self._keeping.scrub(item)
        await self._rewrite(item.source, item.recording_id)
        certificate = await self._certify(item)
        await self._keeping.erased(item, certificate)
        log.info("erased", source=item.source, recording_id=item.recording_id, certificate=certificate.key)

    async def _certify(self, item: Erasing) -> Certificate:
        """The certificate, written once for a recording however often this is begun."""
        certificate = Certificate(
            key=certificate_key(item.source, item.recording_id),
            source=item.source,
            recording_id=item.recording_id,
            reason=item.reason,
            requested_at=item.requested_at,
            requested_by=item.requested_by,
            executed_at=await self._keeping.now(),
        )
        body = canonical(document(certificate))
        new = NewObject(key=certificate.key, content_type="application/json", metadata={}, lock=self._lock)
        try:
            await self._storage.put(new, body, sha256=hashlib.sha256(body).digest())
        except errors.ObjectExists:  # of an attempt that was killed, or of a catalog that was since restored from a copy
            found = parsed(certificate.key, await _read(self._storage, certificate.key))
            return found if found is not None else certificate
        return certificate


async def recall(storage: Storage, keeping: Keeping) -> int:
    """Takes up every certificate in the archive that the catalog does not know: what was forgotten stays forgotten although the
    catalog was restored from a copy that still remembers. Says how many there were.
    """
    known = await keeping.certified()
    count = 0
    async for stored in storage.keys(FOLDER):
        if stored.key in known:
            continue
        certificate = parsed(stored.key, await _read(storage, stored.key))
        if certificate is None:
            log.error("certificate_unreadable", key=stored.key)
        elif await _contradicted(storage, keeping, certificate):
            log.error("certificate_contradicted", key=stored.key, recording_id=certificate.recording_id)
        elif await keeping.recall(certificate):
            count += 1
            log.warning("erasure_recalled", source=certificate.source, recording_id=certificate.recording_id)
    return count


async def _contradicted(storage: Storage, keeping: Keeping, certificate: Certificate) -> bool:
    """Whether an object of the recording is still there: then nobody erased it, whatever somebody laid down in the archive."""
    found = await keeping.releasable(certificate.source, certificate.recording_id)
    for ref in [ref for item in (found.renditions if found else ()) for ref in item.objects]:
        try:
            await storage.head(ref.key, ref.version_id)
        except errors.ObjectMissing:
            continue
        return True
    return False


def certificate_key(source: str, recording_id: str) -> str:
    """Where a recording's certificate lies: a name that says nothing and is always the same."""
    return f"{FOLDER}{hashlib.sha256(f'{source}/{recording_id}'.encode()).hexdigest()[:32]}.json"


def document(certificate: Certificate) -> dict[str, Any]:
    """`archiver.erasure/1`: who was forgotten, on whose request, when; no names."""
    return {
        "schema": SCHEMA,
        "source": certificate.source,
        "recording_id": certificate.recording_id,
        "reason": certificate.reason,
        "requested_at": instant(certificate.requested_at),
        "requested_by": certificate.requested_by,
        "executed_at": instant(certificate.executed_at),
    }


def parsed(key: str, body: bytes) -> Certificate | None:
    """The certificate in an object; None where it is none, or one of another recording."""
    try:
        found = json.loads(body)
        certificate = Certificate(
            key=certificate_key(str(found["source"]), str(found["recording_id"])),
            source=str(found["source"]),
            recording_id=str(found["recording_id"]),
            reason=str(found["reason"]),
            requested_at=datetime.fromisoformat(found["requested_at"]),
            requested_by=str(found["requested_by"]),
            executed_at=datetime.fromisoformat(found["executed_at"]),
        )
        other = found["schema"] != SCHEMA or certificate.key != key
    except (KeyError, TypeError, ValueError):
        return None
    zoned = certificate.requested_at.tzinfo is not None and certificate.executed_at.tzinfo is not None
    return certificate if zoned and not other else None


async def _read(storage: Storage, key: str) -> bytes:
    return b"".join([chunk async for chunk in storage.read(key)])
