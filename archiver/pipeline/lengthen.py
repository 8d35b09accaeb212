"""Retention that grows: a policy that asks for longer than before is put on what lies in the archive already; nothing shrinks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from archiver.domain import errors
from archiver.domain.keeping import Longer
from archiver.domain.ports import Lock
from archiver.domain.retention import LONGEST_LOCK, birth_lock, first_match, lock_problem, retention
from archiver.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from archiver.domain.keeping import Keeping
    from archiver.domain.plan import Candidate
    from archiver.domain.ports import Storage
    from archiver.domain.retention import Policy

log = structlog.get_logger()

WORTH = timedelta(days=30)  # less is not asked of the store for what is locked as long as a store takes, every day anew


@dataclass(slots=True)
class Grown:
    """How many renditions are kept for longer now, and why some are not that should be."""

    extended: int = 0
    problems: list[str] = field(default_factory=list)


class Lengthening:
    """One run over the archive. `mode` is the lock that objects are born with, "" where locks are off."""

    def __init__(self, *, storage: Storage, keeping: Keeping, policies: Sequence[Policy], mode: str) -> None:
        self._storage = storage
        self._keeping = keeping
        self._policies = policies
        self._mode = mode

    async def run(self, now: datetime) -> Grown:
        """Lengthens whatever is kept for less than its policy says by now; raises StorageUnavailable, CatalogUnavailable."""
        grown = Grown()
        if not self._policies and not self._mode:
            return grown  # nothing can ask for anything
        async for portion in self._keeping.candidates():
            wanted = [longer for one in portion if (longer := self._longer(one, now)) is not None]
            if self._mode:
                wanted = await self._locked(wanted, grown)
            await self._keeping.retained(wanted)
            grown.extended += len(wanted)
        if grown.extended:
            log.info("retention_extended", renditions=grown.extended)
        return grown

    def _longer(self, one: Candidate, now: datetime) -> Longer | None:
        """What is missing, None where nothing is. What is over already is not locked once more."""
        kept = retention(one, self._policies, now=now)
        if kept.until is not None and kept.until <= now:
            return None
        policy = first_match(self._policies, one)
        if not self._mode:
            if kept.until is None or (one.retain_until is not None and kept.until <= one.retain_until):
                return None
            return Longer(pk=one.pk, until=kept.until, reason=kept.why, policy=policy)
        lock, why = birth_lock(kept, one, mode=self._mode, now=now)
        have = one.locked_until
        if have is not None and lock.retain_until <= have:
            return None
        as_long_as_possible = lock.retain_until >= now + LONGEST_LOCK
        if have is not None and as_long_as_possible and lock.retain_until - have < WORTH:
            return None
        return Longer(pk=one.pk, until=lock.retain_until, reason=why, lock_mode=self._mode, policy=policy)

    async def _locked(self, wanted: Sequence[Longer], grown: Grown) -> list[Longer]:
        """Those that the store has locked for as long, every object of them, as it shows itself."""
        if not wanted:
            return []
        if not (await self._storage.later()).retention:
            grown.problems.append(f"{len(wanted)} renditions should be locked for longer, and this store takes no lock later")
            return []
        done: list[Longer] = []

        async def lock(longer: Longer) -> None:
            problem = await self._extend(longer)
            if problem is None:
                done.append(longer)
            else:
                grown.problems.append(problem)

        await side_by_side(wanted, lock)
        return sorted(done, key=lambda longer: longer.pk)

    async def _extend(self, longer: Longer) -> str | None:
        found = await self._keeping.custody(longer.pk)
        lock = Lock(mode=self._mode, retain_until=longer.until)
        for ref in found.objects if found else ():
            try:
                seen = await self._storage.head(ref.key, ref.version_id)
                if lock_problem(lock, mode=seen.lock_mode, until=seen.retain_until) is None:
                    continue
                await self._storage.extend(ref.key, ref.version_id, lock)
                seen = await self._storage.head(ref.key, ref.version_id)
            except (errors.ObjectMissing, errors.StorageRefused) as error:
                return f"not locked for longer: {error}"
            problem = lock_problem(lock, mode=seen.lock_mode, until=seen.retain_until)
            if problem is not None:
                return f"{ref.key}: {problem}"
        return None
