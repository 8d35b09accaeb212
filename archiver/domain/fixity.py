"""What fixity looks at and what it finds: every object that must be in the archive, and every way in which one may not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from archiver.domain.recording import State

if TYPE_CHECKING:
    from datetime import datetime

    from archiver.domain.recording import Entry

KINDS = ("missing", "mismatched", "unlocked", "untracked", "delete_marked")
SEGMENT, STATEMENT = "segment", "attestation"  # kinds of evidence that lie in the archive under locks of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One object that must be there: `entry` is its rendition with the facts of this very object.

    `earlier` is its row among the superseded objects, 0 for the current one.
    """

    entry: Entry
    earlier: int = 0

    @property
    def told_by_state(self) -> bool:
        """Whether bytes that are gone or wrong make the rendition `damaged`; of any other object a finding tells."""
        return not self.earlier and self.entry.state in (State.STORED, State.VERIFIED, State.DAMAGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A segment of the history or an attestation. `number` is its row, `locked_until` what the catalog knows of its lock.

    `needed` is the end of the longest retention of what it tells of, None where it tells of nothing that is kept till a day.
    """

    kind: str
    number: int
    key: str
    version_id: str
    locked_until: datetime | None = None
    needed: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem: its kind, the key it concerns and, where the catalog knows the object, which of a recording's it is."""

    kind: str
    key: str
    says: str
    held: Held | None = None
    evidence: Evidence | None = None

    @property
    def entry(self) -> Entry | None:
        """The rendition it concerns, None for an object that belongs to none."""
        return self.held.entry if self.held is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """An object whose lock fell short when fixity looked, and the lock that the catalog says it has. `pk` is its rendition."""

    key: str
    version_id: str
    mode: str
    until: datetime
    pk: int | None = None
    source: str = ""
    recording_id: str = ""
    rendition: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.source}/{self.recording_id} {self.rendition}" if self.recording_id else self.key
