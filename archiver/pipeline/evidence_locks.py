"""History is kept at least as long as what it tells of: locks of segments and attestations grow when a retention has grown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from archiver.domain import errors
from archiver.domain.ports import Lock
from archiver.domain.retention import LONGEST_LOCK, lock_problem, whole_second
from archiver.pipeline.lengthen import Grown
from archiver.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from archiver.domain.fixity import Evidence
    from archiver.domain.keeping import Keeping
    from archiver.domain.ports import Storage, StoredObject

log = structlog.get_logger()

_SECOND = timedelta(seconds=1)  # stores count locks in whole seconds


class EvidenceLocks:
    """One run over segments and attestations. `mode` is the lock they are born with, "" where locks are off."""

    def __init__(self, *, storage: Storage, keeping: Keeping, mode: str) -> None:
        self._storage = storage
        self._keeping = keeping
        self._mode = mode

    async def run(self, now: datetime) -> Grown:
        """Lengthens every lock that ends before what its object tells of; raises StorageUnavailable, CatalogUnavailable.

        A piece whose lock nobody has looked at yet is looked at once; what was stripped later `verify` finds.
        """
        grown = Grown()
        if not self._mode:
            return grown
        longer: list[tuple[Evidence, datetime]] = []
        async for portion in self._keeping.evidence():
            seen: list[tuple[Evidence, datetime]] = []

            async def one(item: Evidence, seen: list[tuple[Evidence, datetime]] = seen) -> None:
                until, extended = await self._look(item, now, grown)
                if until is not None:
                    seen.append((item, until))
                    longer.extend([(item, until)] if extended else [])

            await side_by_side([item for item in portion if self._due(item, now)], one)
            if seen:
                await self._keeping.evidence_seen(seen)
        grown.extended = len(longer)
        await self._keeping.evidence_lengthened(sorted(longer, key=lambda pair: (pair[0].kind, pair[0].number)))
        if longer:
            log.info("evidence_lengthened", pieces=len(longer))
        return grown

    def _due(self, item: Evidence, now: datetime) -> bool:
        if item.locked_until is None:
            return True
        wanted = self._wanted(item, now)
        return wanted is not None and wanted - item.locked_until >= _SECOND

    def _wanted(self, item: Evidence, now: datetime) -> datetime | None:
        """Until when it has to be locked, never beyond what stores take; None where nothing asks for it any more."""
        if item.needed is None or item.needed <= now:
            return None
        return min(whole_second(item.needed), whole_second(now + LONGEST_LOCK))

    async def _look(self, item: Evidence, now: datetime, grown: Grown) -> tuple[datetime | None, bool]:
        """The end of its lock as the store shows it in the end, and whether it was lengthened."""
        try:
            found = await self._storage.head(item.key, item.version_id)
            wanted = self._wanted(item, now)
            if wanted is None or (found.retain_until is not None and wanted - found.retain_until < _SECOND):
                return found.retain_until, False
            found, problem = await self._extend(found, wanted)
        except errors.ObjectMissing as error:
            grown.problems.append(f"history: {error}")
            return None, False
        if problem is not None:
            grown.problems.append(f"history: {item.key} is not locked for as long as what it tells of: {problem}")
            return found.retain_until, False
        return found.retain_until, True

    async def _extend(self, found: StoredObject, wanted: datetime) -> tuple[StoredObject, str | None]:
        stronger = "compliance" if found.lock_mode == "compliance" else self._mode
        lock = Lock(mode=stronger, retain_until=wanted)
        if not (await self._storage.later()).retention:
            return found, "this store takes no lock later"
        try:
            await self._storage.extend(found.key, found.version_id, lock)
        except errors.StorageRefused as error:
            return found, str(error)
        found = await self._storage.head(found.key, found.version_id)
        return found, lock_problem(lock, mode=found.lock_mode, until=found.retain_until)
