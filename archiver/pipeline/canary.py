"""The daily question whether locks still hold: a locked object is made, and deleting it has to be refused.

An endpoint can accept lock headers, show them, and enforce nothing; a bucket can be exchanged for another. What is asked here is
the only thing that counts. Nothing is ever sent that could lift a lock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.domain import errors
from archiver.domain.ports import Lock, NewObject
from archiver.domain.retention import lock_problem

if TYPE_CHECKING:
    from archiver.domain.ports import Clock, Storage, StoredObject

LOCK = timedelta(minutes=2)  # of a canary: short, because under compliance nobody could shorten it
_BODY = b"deleting this has to be refused while it is locked\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sung:
    """What a canary showed: `ok` only where a deletion was refused because of the lock."""

    ok: bool
    says: str


async def sing(storage: Storage, clock: Clock, *, mode: str, late: bool = False) -> Sung:
    """Makes a locked object and an unlocked one and tries to delete both.

    The unlocked one shows that this role may delete at all: otherwise a refusal proves its permissions and not the lock.
    Raises StorageUnavailable, and StorageRefused where nothing can be written.
    """
    folder = f"_probe/{clock.token()}"
    lock = Lock(mode=mode, retain_until=clock.now() + timedelta(seconds=await storage.ahead() or 0.0) + LOCK)
    free = await _put(storage, f"{folder}/free", None)
    if storage.abilities.lock:
        locked = await _put(storage, f"{folder}/locked", lock)
    else:
        locked = await _put(storage, f"{folder}/locked", None)
        if not late or not (await storage.later()).retention:
            await _deleted(storage, free)
            await _deleted(storage, locked)
            return Sung(ok=False, says=f"the store does not keep a {mode} lock")
        await storage.extend(locked.key, locked.version_id, lock)
    seen = await storage.head(locked.key, locked.version_id)
    may_delete = await _deleted(storage, free)
    refused = not await _deleted(storage, locked)
    problem = lock_problem(lock, mode=seen.lock_mode, until=seen.retain_until)
    if problem is not None:
        return Sung(ok=False, says=f"the store took a {mode} lock and shows {problem}")
    if not refused:
        return Sung(ok=False, says=f"an object under a {mode} lock was deleted when we asked for it: locks are not enforced")
    if not may_delete:
        return Sung(ok=True, says=f"the {mode} lock is shown; whether it is enforced this role cannot try, it may delete nothing")
    return Sung(ok=True, says=f"deleting an object under a {mode} lock was refused")


async def _put(storage: Storage, key: str, lock: Lock | None) -> StoredObject:
    new = NewObject(key=key, content_type="text/plain", metadata={"archiver-token": "canary"}, lock=lock)
    return await storage.put(new, _BODY, sha256=hashlib.sha256(_BODY).digest())


async def _deleted(storage: Storage, stored: StoredObject) -> bool:
    """Whether a version can be deleted; a store that answers yes and keeps it has refused."""
    try:
        await storage.delete(stored.key, stored.version_id)
        await storage.head(stored.key, stored.version_id)
    except errors.ObjectMissing:
        return True
    except errors.StorageRefused:
        return False
    return False
