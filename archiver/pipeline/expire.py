"""Deletion from the archive: the intention first, then exactly the versions that are known, then the end of it.

Killed anywhere, the rendition is `expiring` and the next run goes on, if a hold, a lock or a policy has not come in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from archiver.domain import errors
from archiver.domain.keeping import AUTHORISED, Custody, Longer
from archiver.domain.recording import State
from archiver.domain.retention import instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from archiver.domain.keeping import Confirm, Keeping, ObjectRef
    from archiver.domain.plan import Name
    from archiver.domain.ports import Clock, Storage, StoredObject
    from archiver.pipeline.clocks import Time

log = structlog.get_logger()

FRESH = AUTHORISED / 4  # seconds within which a deletion that was authorised is begun; a process that was stopped asks again


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a deletion ended: `deleted`, or why not."""

    name: Name
    deleted: bool
    reason: str


class Expiry:
    """Deletes renditions one at a time. `confirm` makes the decision once more inside the transaction that authorises it."""

    def __init__(self, *, storage: Storage, keeping: Keeping, clock: Clock, confirm: Confirm, time: Time) -> None:
        self._storage = storage
        self._keeping = keeping
        self._clock = clock
        self._confirm = confirm
        self._time = time

    async def one(self, pk: int, *, data: Mapping[str, Any]) -> Ended | None:
        """Deletes the objects of a rendition, earlier ones too; None where there is no such rendition any more.

        Raises StorageRefused where the store does not let us delete (the intention is taken back), StorageUnavailable,
        CatalogUnavailable (it stays, and a later run goes on).
        """
        found = await self._keeping.custody(pk)
        if found is None or found.one.state is State.EXPIRED:
            return None
        there = await self._look(found.objects)
        if found.one.state is State.EXPIRING and not there:
            return await self._gone(found, data)  # deleted before we were killed; a hold that came later came too late
        protected = self._protection(there)
        if protected is not None:
            await self._note_longer(found, there)
            return await self._kept(found, protected)
        began = self._clock.monotonic()
        authorised = await self._keeping.authorise(pk, self._confirm, data=data)
        if isinstance(authorised, str):
            return await self._kept(found, authorised)
        return await self._delete(authorised, data, began)

    async def _look(self, objects: Sequence[ObjectRef]) -> list[StoredObject]:
        """The objects that are there now."""
        found = []
        for ref in objects:
            try:
                found.append(await self._storage.head(ref.key, ref.version_id))
            except errors.ObjectMissing:
                continue
        return found

    def _protection(self, there: Sequence[StoredObject]) -> str | None:
        """What the store itself says against a deletion: no call is made that it would have to refuse (I11)."""
        for stored in there:
            if stored.legal_hold:
                return f"the store has a legal hold on {stored.key}"
            if stored.retain_until is not None and stored.retain_until > self._time.store:
                return f"the store locks {stored.key} until {instant(stored.retain_until)}"
        return None

    async def _note_longer(self, found: Custody, there: Sequence[StoredObject]) -> None:
        """Keeps in the catalog that the store locks for longer: the next plan knows it."""
        locked = [stored for stored in there if stored.retain_until is not None]
        last = max(locked, key=lambda stored: stored.retain_until or self._time.now, default=None)
        if last is not None and last.retain_until is not None:
            longer = Longer(
                pk=found.one.pk, until=last.retain_until, lock_mode=last.lock_mode, reason="the store locks it for longer"
            )
            await self._keeping.retained([longer])

    async def _kept(self, found: Custody, reason: str) -> Ended:
        if found.one.state is State.EXPIRING:
            await self._keeping.spared(found.one.pk, reason=reason)
        log.warning("deletion_refused", **_fields(found), reason=reason)
        return Ended(name=found.one.name, deleted=False, reason=reason)

    async def _delete(self, found: Custody, data: Mapping[str, Any], began: float) -> Ended:
        for ref in found.objects:
            if self._clock.monotonic() - began > FRESH:
                began = self._clock.monotonic()
                again = await self._keeping.authorise(found.one.pk, self._confirm, data=data)
                if isinstance(again, str):
                    return await self._kept(_as_expiring(found), again)
            try:
                await self._storage.delete(ref.key, ref.version_id)
            except errors.StorageRefused as error:
                await self._keeping.spared(found.one.pk, reason=f"the store refused: {error}")
                raise
        left = await self._look(found.objects)
        if left:
            return await self._kept(_as_expiring(found), f"the store said that {left[0].key} was deleted, and it is still there")
        return await self._gone(found, data)

    async def _gone(self, found: Custody, data: Mapping[str, Any]) -> Ended:
        reason = f"{len(found.objects)} objects deleted" if len(found.objects) != 1 else "1 object deleted"
        await self._keeping.expired(found.one.pk, reason=reason, data=data)
        log.info("expired", **_fields(found), objects=len(found.objects))
        return Ended(name=found.one.name, deleted=True, reason=reason)


def _as_expiring(found: Custody) -> Custody:
    return replace(found, one=replace(found.one, state=State.EXPIRING))


def _fields(found: Custody) -> dict[str, str]:
    one = found.one
    return {"source": one.source, "recording_id": one.recording_id, "rendition": one.rendition}
