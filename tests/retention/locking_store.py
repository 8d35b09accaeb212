"""A store in memory that enforces locks and legal holds as S3 does, against its own clock, and writes down every deletion asked for."""

from dataclasses import dataclass, replace
from datetime import timedelta

from archiver.domain.errors import ObjectMissing, StorageRefused
from archiver.domain.ports import Later
from tests.pipeline.memory_store import STRICT, MemoryStore

NO_LOCKS = replace(STRICT, lock=False)


@dataclass(frozen=True)
class Deletion:
    """One call to delete, with what stood there when it was made."""

    key: str
    version_id: str
    at: object
    locked_until: object
    legal_hold: bool


class LockingStore(MemoryStore):
    """`ignores`: lock headers at creation are taken and not kept. `enforces`: off, locks are shown and mean nothing.

    `later_works`: what can be put on existing objects. `skew`: its clock is ahead of ours by so much. `may_delete`: off, this role
    has no permission to. `clockless`: it does not say what time it is.
    """

    def __init__(self, *args, abilities=STRICT, later=None, **rest):
        super().__init__(*args, abilities=abilities, **rest)
        self.ignores = False
        self.enforces = True
        self.may_delete = True
        self.shown = True
        self.later_works = Later(retention=True, hold=True) if later is None else later
        self.skew = timedelta(0)
        self.clockless = False
        self.deletions = []
        self.extended = []

    def now(self):
        return self._clock.now() + self.skew

    async def put(self, new, body, *, sha256):
        self._check_lock(new)
        stored = await super().put(new, body, sha256=sha256)
        return self._born(new, stored)

    async def begin(self, new):
        self._check_lock(new)
        return await super().begin(new)

    def _check_lock(self, new):
        if new.lock is not None and not self.ignores and new.lock.retain_until <= self.now():
            raise StorageRefused(f"{new.key}: the retain until date must be in the future")

    async def complete(self, new, upload_id, parts):
        begun = self.begun[upload_id].new if upload_id in self.begun else new
        stored = await super().complete(new, upload_id, parts)
        return self._born(begun, stored)

    def _born(self, new, stored):
        if new.lock is not None and not self.ignores:
            return self._change(new.key, lock_mode=new.lock.mode, retain_until=new.lock.retain_until)
        return stored

    def _change(self, key, **values):
        kept = self.objects[key]
        kept.stored = replace(kept.stored, **values)
        return kept.stored

    async def head(self, key, version_id=""):
        found = await super().head(key, version_id)
        return found if self.shown else replace(found, lock_mode="", retain_until=None, legal_hold=False)

    async def delete(self, key, version_id):
        kept = self.objects.get(key)
        if kept is not None and version_id in ("", kept.stored.version_id):
            stored = kept.stored
            self.deletions.append(Deletion(key, version_id, self.now(), stored.retain_until, stored.legal_hold))
            locked = stored.retain_until is not None and stored.retain_until > self.now()
            if not self.may_delete or (self.enforces and (locked or stored.legal_hold)):
                self.log.append(f"delete refused {key}")
                raise StorageRefused(f"{key}: AccessDenied")
        await super().delete(key, version_id)

    async def later(self):
        return self.later_works

    async def extend(self, key, version_id, lock):
        async with self._asked("extend", key):
            if not self.later_works.retention:
                raise StorageRefused(f"{key}: no locks here")
            stored = self._there(key, version_id)
            if stored.retain_until is not None and lock.retain_until < stored.retain_until:
                raise StorageRefused(f"{key}: a lock is never shortened")
            self.extended.append((key, lock.retain_until))
            self._change(key, lock_mode=lock.mode, retain_until=lock.retain_until)

    async def hold(self, key, version_id, *, on):
        async with self._asked("hold", key):
            if not self.later_works.hold:
                raise StorageRefused(f"{key}: no legal holds here")
            self._there(key, version_id)
            self._change(key, legal_hold=on)

    async def ahead(self):
        return None if self.clockless else self.skew.total_seconds()

    def _there(self, key, version_id):
        kept = self.objects.get(key)
        if kept is None or version_id not in ("", kept.stored.version_id):
            raise ObjectMissing(f"{key} is not there")
        return kept.stored
