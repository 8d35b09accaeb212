"""Locked at birth: which lock an entry's object is created with, and the proof that it has it before it counts as stored (I9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from archiver.domain import errors
from archiver.domain.lifecycle import Event
from archiver.domain.retention import birth_lock, lock_problem, retention
from archiver.domain.work import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archiver.domain.ports import Clock, Lock, Storage, StoredObject
    from archiver.domain.recording import Entry
    from archiver.domain.retention import Policy, Retention
    from archiver.pipeline.transfer import Transfer

log = structlog.get_logger()

LATER = timedelta(minutes=15)  # until the next try, where the whole store gives no locks: somebody has to look at it first
KIND = "LockMissing"


class Locking:
    """Decides and proves locks. `mode` is governance or compliance, "" where locks are off; `late` allows locking afterwards."""

    def __init__(self, *, storage: Storage, policies: Sequence[Policy], mode: str, late: bool, clock: Clock) -> None:
        self._storage = storage
        self._policies = policies
        self._mode = mode
        self._late = late
        self._clock = clock

    def lock_for(self, entry: Entry) -> Lock | None:
        """The lock to create an object with; none where the store is known to give none at creation."""
        return self._wanted(entry)[1] if self._mode and self._storage.abilities.lock else None

    def _wanted(self, entry: Entry) -> tuple[Retention, Lock | None, str]:
        now = self._clock.now()
        kept = retention(entry, self._policies, now=now)
        if not self._mode:
            return kept, None, kept.why
        lock, why = birth_lock(kept, entry, mode=self._mode, now=now)
        return kept, lock, why

    async def refusal(self) -> str | None:
        """Why nothing can be archived at all now: locks are wanted, and this store gives them neither at creation nor later."""
        if not self._mode or self._storage.abilities.lock:
            return None
        if not self._late:
            return f"lock_missing: this store does not keep a {self._mode} lock that is given at creation"
        if not (await self._storage.later()).retention:
            return f"lock_missing: this store keeps no {self._mode} lock, neither at creation nor later"
        return None

    async def proved(self, outcome: Outcome) -> Outcome | str:
        """The outcome of a new object with what the store shows of its lock, or why it must not count as stored."""
        if outcome.event is not Event.STORED or "key" not in outcome.facts:
            return outcome  # the bytes are those of an object that was looked at when it came
        kept, lock, why = self._wanted(outcome.entry)
        facts: dict[str, Any] = {"policy": kept.policy, "policy_fingerprint": kept.fingerprint}
        key, version_id = outcome.facts["key"], outcome.facts["version_id"]
        if outcome.entry.store_hold:
            await self._storage.hold(key, version_id, on=True)  # as every other object of the rendition
        if lock is None:
            return replace(outcome, facts={**outcome.facts, **facts, "retain_until": kept.until})
        seen = await self._storage.head(key, version_id)
        problem = lock_problem(lock, mode=seen.lock_mode, until=seen.retain_until)
        if problem is not None and (self._late or seen.retain_until is not None):
            seen, problem = await self._again(seen, lock)
        if problem is not None:
            return f"lock_missing: {problem}"
        facts |= {"retain_until": seen.retain_until, "lock_mode": seen.lock_mode}
        return replace(outcome, facts={**outcome.facts, **facts}, data={**outcome.data, "lock": why}, seen=seen)

    async def _again(self, seen: StoredObject, lock: Lock) -> tuple[StoredObject, str | None]:
        """Locks once what is there and not locked for long enough, and looks again.

        An object of an earlier attempt may be locked for less than today's policy says; that is lengthened like any other.
        """
        unlocked = seen.retain_until is None
        try:
            await self._storage.extend(seen.key, seen.version_id, lock)
        except errors.StorageRefused as error:
            return seen, str(error)
        seen = await self._storage.head(seen.key, seen.version_id)
        if unlocked:
            log.warning("locked_late", key=seen.key, degraded=True)
        return seen, lock_problem(lock, mode=seen.lock_mode, until=seen.retain_until)


class LockedTransfer:
    """A Transfer whose objects count as stored only with their lock on; to the pump it is one."""

    def __init__(self, transfer: Transfer, locking: Locking, *, max_attempts: int) -> None:
        self._transfer = transfer
        self._locking = locking
        self._max_attempts = max_attempts
        self._left: dict[int, Entry] = {}  # rows as attempts left them whose lock could not be looked at

    async def archive(self, entry: Entry) -> Outcome:
        """As `Transfer.archive`; without a lock the outcome is another try, and at last `failed`."""
        refused = await self._locking.refusal()
        if refused is not None:  # no recording's fault: it waits, and nothing is downloaded that may not be kept
            log.error("lock_missing", source=entry.source, reason=refused)
            return Outcome(entry=entry, event=Event.RETRY_SCHEDULED, reason=refused, kind=KIND, delay=LATER, counts=False)
        outcome = await self._transfer.archive(entry)
        try:
            proved = await self._locking.proved(outcome)
        except BaseException:
            self._left[entry.id] = outcome.entry
            raise
        if isinstance(proved, Outcome):
            return proved
        log.error("lock_missing", source=entry.source, recording_id=entry.recording_id, reason=proved)
        last = entry.attempts + 1 >= self._max_attempts
        event = Event.FAILED if last else Event.RETRY_SCHEDULED
        anew: dict[str, Any] = {"upload_id": "", "upload": None}  # what it made is complete, and nothing to go on with
        return Outcome(entry=outcome.entry, event=event, reason=proved, kind=KIND, delay=LATER, facts=anew)

    def as_noted(self, entry: Entry) -> Entry:
        """As `Transfer.as_noted`."""
        left = self._left.pop(entry.id, entry)
        return left if left.revision > entry.revision else self._transfer.as_noted(entry)
