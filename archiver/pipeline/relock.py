"""A lock that somebody took away or shortened is put back, for as long as the catalog says, and proved by a look at the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.domain import errors
from archiver.domain.ports import Lock
from archiver.domain.retention import instant, lock_problem, whole_second

if TYPE_CHECKING:
    from datetime import datetime

    from archiver.domain.fixity import Unlocked
    from archiver.domain.ports import Storage, StoredObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocked:
    """How it ended: the lock before and after as the store showed it; `problem` says why it is still short, else ""."""

    before: dict[str, Any]
    after: dict[str, Any]
    problem: str = ""


async def relock(storage: Storage, item: Unlocked) -> Relocked:
    """Locks an object again; never for less, or in a weaker mode, than it is locked now. Raises StorageUnavailable."""
    try:
        found = await storage.head(item.key, item.version_id)
        before = shown(found)
        lock = _wanted(item, found)
        if lock_problem(lock, mode=found.lock_mode, until=found.retain_until) is None:
            return Relocked(before=before, after=before)
        if not (await storage.later()).retention:
            return Relocked(before=before, after=before, problem="this store takes no lock for an object that exists already")
        await storage.extend(item.key, item.version_id, lock)
        found = await storage.head(item.key, item.version_id)
    except (errors.ObjectMissing, errors.StorageRefused) as error:
        return Relocked(before={}, after={}, problem=str(error))
    problem = lock_problem(lock, mode=found.lock_mode, until=found.retain_until)
    return Relocked(before=before, after=shown(found), problem=problem or "")


def _wanted(item: Unlocked, found: StoredObject) -> Lock:
    """What the catalog says, or what is there where that is more."""
    until: datetime = whole_second(item.until)
    if found.retain_until is not None and found.retain_until > until:
        until = found.retain_until
    mode = "compliance" if "compliance" in (item.mode, found.lock_mode) else item.mode
    return Lock(mode=mode, retain_until=until)


def shown(found: StoredObject) -> dict[str, Any]:
    """A lock as the history tells it."""
    return {"mode": found.lock_mode, "until": instant(found.retain_until) if found.retain_until else None}
