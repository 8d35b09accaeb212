"""From stored to verified: what the store holds against what the catalog says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archiver.domain import errors, integrity
from archiver.domain.lifecycle import Event
from archiver.domain.work import Outcome
from archiver.pipeline.transfer import read_sha256

if TYPE_CHECKING:
    from archiver.domain.ports import Observer, Storage, StoredObject
    from archiver.domain.recording import Entry


class Verifier:
    """Checks stored entries; `mode` is `storage.verify`: auto, checksum or read-back."""

    def __init__(self, *, storage: Storage, mode: str, observer: Observer) -> None:
        self._storage = storage
        self._mode = mode
        self._observer = observer

    async def check(self, entry: Entry) -> Outcome:
        """VERIFIED or DAMAGED; raises StorageUnavailable, StorageRefused.

        Where the store was seen to refuse wrong checksums, its own attestation of size, digest and our token is the proof;
        everywhere else every byte is read back (I7).
        """
        try:
            found = await self._storage.head(entry.key, entry.version_id)
        except errors.ObjectMissing as error:
            self._observer.fixity_checked("missing")
            return Outcome(entry=entry, event=Event.DAMAGED, reason=f"missing: {error}", kind="ObjectMissing")
        attested = self._attested(entry, found)
        problem = integrity.difference(entry, size=found.size, sha256=found.sha256 or None, metadata=found.metadata)
        how = "checksum"
        if problem is None and not attested:
            problem, how = await self._read_back(entry), "read-back"
        self._observer.fixity_checked("ok" if problem is None else "mismatched")
        if problem is not None:
            return Outcome(entry=entry, event=Event.DAMAGED, reason=problem, kind="Mismatch")
        return Outcome(entry=entry, event=Event.VERIFIED, data={"how": how})

    def promised(self, outcome: Outcome) -> bool:
        """Whether the store's own word will do for what a STORED outcome tells of, so that `confirm` is worth calling."""
        proof = outcome.facts.get("proof") or outcome.entry.proof
        able = self._storage.abilities
        enough = able.refuses_wrong_checksum if proof.get("sha256") else able.proves_whole and bool(proof.get("checksums"))
        return self._mode != "read-back" and (enough or self._mode == "checksum")

    async def confirm(self, entry: Entry, *, seen: StoredObject | None = None) -> Outcome | None:
        """VERIFIED, or None where the store's word is not enough or something differs: then `check` has to say what that means.

        `seen` is what the store showed a moment ago; asked for where there is none. Raises StorageUnavailable, StorageRefused.
        """
        try:
            found = seen or await self._storage.head(entry.key, entry.version_id)
        except errors.ObjectMissing:
            return None
        problem = integrity.difference(entry, size=found.size, sha256=found.sha256 or None, metadata=found.metadata)
        if problem is not None or not self._attested(entry, found):
            return None
        self._observer.fixity_checked("ok")
        return Outcome(entry=entry, event=Event.VERIFIED, data={"how": "checksum"})

    def _attested(self, entry: Entry, found: StoredObject) -> bool:
        """Whether the store's own word covers every byte."""
        if self._mode == "read-back":
            return False
        able = self._storage.abilities
        if found.sha256:
            return (able.refuses_wrong_checksum or self._mode == "checksum") and found.sha256 == entry.sha256
        known = entry.proof.get("checksums", {})
        same = bool(known) and all(found.checksums.get(name) == value for name, value in known.items())
        return same and (able.proves_whole or self._mode == "checksum")

    async def _read_back(self, entry: Entry) -> str | None:
        """How the bytes read back differ."""
        digest = await read_sha256(self._storage, entry.key, entry.version_id, expected=entry.sha256)
        return None if digest == entry.sha256 else f"SHA-256 {digest} read back, {entry.sha256} in the catalog"
