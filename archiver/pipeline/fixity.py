"""Whether the archive still holds what the catalog says: missing, mismatched, unlocked, hidden and untracked told apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archiver.domain import errors, integrity
from archiver.domain.fixity import Finding, Held
from archiver.domain.recording import State
from archiver.domain.retention import instant
from archiver.pipeline.side_by_side import side_by_side
from archiver.pipeline.transfer import read_sha256

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from archiver.domain.fixity import Evidence
    from archiver.domain.ports import Observer, Storage, StoredObject
    from archiver.domain.recording import Entry

OURS = "_"  # keys that begin with it are history, statements and canaries, which have checks of their own
BATCH = 500  # keys compared with the catalog at once


@dataclass(slots=True)
class Result:
    """What a run found; `checked` counts recordings' objects that were looked at, earlier ones too, `evidence` the others."""

    checked: int = 0
    ok: int = 0
    evidence: int = 0
    findings: list[Finding] = field(default_factory=list)
    passed: list[Held] = field(default_factory=list)

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

    async def check(self, objects: Sequence[Held], result: Result) -> None:
        """Checks objects side by side; raises StorageUnavailable, StorageRefused."""

        async def one(held: Held) -> None:
            findings = await self._findings(held)
            result.checked += 1
            result.ok += not findings
            result.findings += findings
            if not findings:
                result.passed.append(held)
            self._observer.fixity_checked(findings[0].kind if findings else "ok")

        await side_by_side(objects, one)

    async def _findings(self, held: Held) -> list[Finding]:
        entry = held.entry
        try:
            found = await self._storage.head(entry.key, entry.version_id)
        except errors.ObjectMissing as error:
            return [Finding(kind="missing", key=entry.key, says=str(error), held=held)]
        problem = integrity.difference(entry, size=found.size, sha256=found.sha256 or None, metadata=found.metadata)
        if problem is None and (self._read_back or not self._attested(entry, found)):
            digest = await read_sha256(self._storage, entry.key, entry.version_id, expected=entry.sha256)
            if digest != entry.sha256:
                problem = f"SHA-256 {digest} read back, {entry.sha256} in the catalog"
        if problem is not None:
            return [Finding(kind="mismatched", key=entry.key, says=problem, held=held)]
        says = unlocked(found, mode=entry.lock_mode, until=entry.retain_until, now=self._now)
        locked = [] if says is None else [Finding(kind="unlocked", key=entry.key, says=says, held=held)]
        return locked + await self._hidden(held)

    def _attested(self, entry: Entry, found: StoredObject) -> bool:
        able = self._storage.abilities
        if found.sha256:
            return able.refuses_wrong_checksum
        known = entry.proof.get("checksums", {})
        return bool(known) and able.proves_whole and all(found.checksums.get(name) == value for name, value in known.items())

    async def _hidden(self, held: Held) -> list[Finding]:
        """A delete marker that somebody put over the object: it is there by its version, and nobody finds it by its key (I12)."""
        entry = held.entry
        if not entry.version_id or not self._storage.abilities.versioning:
            return []
        try:
            await self._storage.head(entry.key)
        except errors.ObjectMissing:
            says = "a delete marker hides it; we never make one, so somebody else did"
            return [Finding(kind="delete_marked", key=entry.key, says=says, held=held)]
        return []

    async def check_evidence(self, items: Sequence[Evidence], result: Result, *, mode: str) -> None:
        """Whether segments and attestations are there, locked as the catalog knows; what is in them `ledger verify` says."""

        async def one(item: Evidence) -> None:
            result.evidence += 1
            kind = "unlocked"
            try:
                found = await self._storage.head(item.key, item.version_id)
                says = unlocked(found, mode=mode, until=item.locked_until, now=self._now)
            except errors.ObjectMissing as error:
                kind, says = "missing", str(error)
            if says is not None:
                result.findings.append(Finding(kind=kind, key=item.key, says=says, evidence=item))
            self._observer.fixity_checked(kind if says is not None else "ok")

        await side_by_side(items, one)

    async def untracked(self, known: Callable[[Sequence[str]], Awaitable[frozenset[str]]], result: Result) -> None:
        """Looks for objects under our prefix that the catalog does not know; `known` says which of some keys it does."""
        batch: list[str] = []

        async def compare() -> None:
            there = await known(batch)
            says = "in the archive, not in the catalog"
            for key in (key for key in batch if key not in there):
                result.findings.append(Finding(kind="untracked", key=key, says=says))
                self._observer.fixity_checked("untracked")
            batch.clear()

        async for item in self._storage.keys(""):
            if not item.key.startswith(OURS):
                batch.append(item.key)
            if len(batch) >= BATCH:
                await compare()
        if batch:
            await compare()


def unlocked(found: StoredObject, *, mode: str, until: datetime | None, now: datetime) -> str | None:
    """How an object's lock falls short of what the catalog says of it; None where it does not, or the time is over."""
    if not mode or until is None or until <= now:
        return None
    if not found.lock_mode or found.retain_until is None:
        return f"no lock on it, {mode} until {instant(until)} in the catalog"
    if found.retain_until < until.replace(microsecond=0):
        return f"locked until {instant(found.retain_until)} only, {instant(until)} in the catalog"
    if found.lock_mode.lower() != mode.lower() and mode.lower() == "compliance":
        return f"locked as {found.lock_mode.lower()}, {mode} in the catalog"
    return None


def damaged(finding: Finding) -> bool:
    """Whether a finding says that bytes are gone or wrong, and so changes the entry's state."""
    held = finding.held
    if held is None or finding.kind not in ("missing", "mismatched"):
        return False
    return held.told_by_state and held.entry.state is not State.DAMAGED
