"""Whether the archive still holds what the catalog says: missing, mismatched, unlocked, hidden and untracked told apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archiver.domain import errors, integrity
from archiver.domain.recording import State
from archiver.pipeline.side_by_side import side_by_side
from archiver.pipeline.transfer import read_sha256

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from archiver.domain.ports import Observer, Storage, StoredObject
    from archiver.domain.recording import Entry

KINDS = ("missing", "mismatched", "unlocked", "untracked", "delete_marked")
OURS = "_"  # keys that begin with it are history, statements and canaries, which have checks of their own
BATCH = 500  # keys compared with the catalog at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem: its kind, the key it concerns and, where the catalog knows the object, whose it is."""

    kind: str
    key: str
    says: str
    entry: Entry | None = None


@dataclass(slots=True)
class Result:
    """What a run found; `checked` counts objects of the catalog that were looked at."""

    checked: int = 0
    ok: int = 0
    findings: list[Finding] = field(default_factory=list)
    passed: list[Entry] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Findings of one kind."""
        return sum(finding.kind == kind for finding in self.findings)


class Fixity:
    """Compares objects with the catalog; `read_back` reads every byte, else a proved attestation of the store serves."""

    def __init__(self, *, storage: Storage, observer: Observer, read_back: bool, now: datetime) -> None:
        self._storage = storage
        self._observer = observer
        self._read_back = read_back
        self._now = now

    async def check(self, entries: Sequence[Entry], result: Result) -> None:
        """Checks entries side by side; raises StorageUnavailable, StorageRefused."""

        async def one(entry: Entry) -> None:
            findings = await self._findings(entry)
            result.checked += 1
            result.ok += not findings
            result.findings += findings
            if not findings:
                result.passed.append(entry)
            self._observer.fixity_checked(findings[0].kind if findings else "ok")

        await side_by_side(entries, one)

    async def _findings(self, entry: Entry) -> list[Finding]:
        try:
            found = await self._storage.head(entry.key, entry.version_id)
        except errors.ObjectMissing as error:
            return [Finding(kind="missing", key=entry.key, says=str(error), entry=entry)]
        problem = integrity.difference(entry, size=found.size, sha256=found.sha256 or None, metadata=found.metadata)
        if problem is None and (self._read_back or not self._attested(entry, found)):
            digest = await read_sha256(self._storage, entry.key, entry.version_id, expected=entry.sha256)
            if digest != entry.sha256:
                problem = f"SHA-256 {digest} read back, {entry.sha256} in the catalog"
        if problem is not None:
            return [Finding(kind="mismatched", key=entry.key, says=problem, entry=entry)]
        says = unlocked(entry, found, now=self._now)
        locked = [] if says is None else [Finding(kind="unlocked", key=entry.key, says=says, entry=entry)]
        return locked + await self._hidden(entry)

    def _attested(self, entry: Entry, found: StoredObject) -> bool:
        able = self._storage.abilities
        if found.sha256:
            return able.refuses_wrong_checksum
        known = entry.proof.get("checksums", {})
        return bool(known) and able.proves_whole and all(found.checksums.get(name) == value for name, value in known.items())

    async def _hidden(self, entry: Entry) -> list[Finding]:
        """A delete marker that somebody put over the object: it is there by its version, and nobody finds it by its key (I12)."""
        if not entry.version_id or not self._storage.abilities.versioning:
            return []
        try:
            await self._storage.head(entry.key)
        except errors.ObjectMissing:
            says = "a delete marker hides it; we never make one, so somebody else did"
            return [Finding(kind="delete_marked", key=entry.key, says=says, entry=entry)]
        return []

    async def untracked(self, known: Callable[[Sequence[str]], Awaitable[frozenset[str]]], result: Result) -> None:
        """Looks for objects under our prefix that the catalog does not know; `known` says which of some keys it does."""
        batch: list[str] = []

        async def compare() -> None:
            there = await known(batch)
            missing = [key for key in batch if key not in there]
            says = "in the archive, not in the catalog"
            result.findings += [Finding(kind="untracked", key=key, says=says) for key in missing]
            batch.clear()

        async for item in self._storage.keys(""):
            if not item.key.startswith(OURS):
                batch.append(item.key)
            if len(batch) >= BATCH:
                await compare()
        if batch:
            await compare()


def unlocked(entry: Entry, found: StoredObject, *, now: datetime) -> str | None:
    """How an object's lock falls short of what the catalog says; None where it does not, or the time is over."""
    if not entry.lock_mode or entry.retain_until is None or entry.retain_until <= now:
        return None
    if not found.lock_mode or found.retain_until is None:
        return f"no lock on it, {entry.lock_mode} until {entry.retain_until.isoformat()} in the catalog"
    if found.retain_until < entry.retain_until.replace(microsecond=0):
        return f"locked until {found.retain_until.isoformat()} only, {entry.retain_until.isoformat()} in the catalog"
    if found.lock_mode.lower() != entry.lock_mode.lower() and entry.lock_mode.lower() == "compliance":
        return f"locked as {found.lock_mode.lower()}, {entry.lock_mode} in the catalog"
    return None


def damaged(finding: Finding) -> bool:
    """Whether a finding says that bytes are gone or wrong, and so changes the entry's state."""
    return finding.kind in ("missing", "mismatched") and finding.entry is not None and finding.entry.state is not State.DAMAGED
