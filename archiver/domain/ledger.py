"""The history as it is sealed: lines, segments, what may be wrong with them, and what sealing asks of the catalog.

A line is written with the change it tells of, and numbered and chained later: `seq` counts from 1 without a gap in the order
in which lines were sealed, and a segment is one object of them whose first line holds the SHA-256 of the segment before.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

SEGMENTS, MANIFESTS = "_ledger/", "_recordings/"  # where in the archive
SCHEMA = "archiver.segment/1"
LEASE = "seal"  # of whoever writes segments or manifests
MOST_LINES = 5_000  # of a segment: one object holds all that five busy minutes bring, and fits into memory many times over
MOST_RECORDINGS = 1_000  # of a manifest; their raw JSON is larger, and erasing one recording rewrites all of it
NO_SEGMENT = ""  # what the first segment names as the digest of the one before

_NUMBERED = re.compile(r"(\d{12})\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the history; `data` as the change brought it, None where it brought nothing."""

    seq: int
    at: datetime
    actor: str
    event: str
    source: str
    recording_id: str
    rendition: str
    from_state: str
    to_state: str
    reason: str
    data: Mapping[str, Any] | None

    def document(self) -> dict[str, Any]:
        """The line as it is sealed (contract.md, documents)."""
        return {
            "seq": self.seq,
            "at": instant(self.at),
            "actor": self.actor,
            "event": self.event,
            "source": self.source,
            "recording_id": self.recording_id,
            "rendition": self.rendition,
            "from": self.from_state,
            "to": self.to_state,
            "reason": self.reason,
            "data": self.data,
        }


def line(document: Mapping[str, Any]) -> Line:
    """The line that a sealed document tells; raises ValueError where it is none."""
    try:
        data = document["data"]
        found = Line(
            seq=document["seq"],
            at=moment(document["at"]),
            from_state=document["from"],
            to_state=document["to"],
            data=data,
            **{name: document[name] for name in ("actor", "event", "source", "recording_id", "rendition", "reason")},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a line of the history: {error}") from None
    texts = (found.actor, found.event, found.source, found.recording_id, found.rendition, found.reason)
    right = isinstance(found.seq, int) and isinstance(data, dict | None)
    if not right or not all(isinstance(text, str) for text in (*texts, found.from_state, found.to_state)):
        raise ValueError("not a line of the history: a field has another type than it must have")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line of a segment."""

    segment: int
    first_seq: int
    last_seq: int
    count: int
    previous_sha256: str

    def document(self) -> dict[str, Any]:
        """The header as it is sealed."""
        return {"schema": SCHEMA, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What the next segment holds. The catalog gives the same piece again until it is told that it was sealed."""

    header: Header
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A segment as the catalog knows it."""

    header: Header
    sha256: str
    key: str
    version_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """How much of the history nobody has sealed yet, and since when."""

    count: int
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with the history and where: a line of a segment's file (the first is 1), None for no line of it."""

    segment: int | None
    line: int | None
    what: str


def segment_key(number: int) -> str:
    """Where a segment lies; twelve digits sort as numbers do."""
    return f"{SEGMENTS}{number:012d}.jsonl"


def manifest_key(number: int) -> str:
    """Where a manifest lies."""
    return f"{MANIFESTS}{number:012d}.jsonl"


def number_of(key: str, folder: str) -> int | None:
    """The number of a segment or manifest; None for what has no such name."""
    found = _NUMBERED.fullmatch(key.removeprefix(folder))
    return int(found[1]) if found and int(found[1]) else None


def instant(at: datetime) -> str:
    """An instant in UTC with microseconds and Z."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"


def moment(text: str) -> datetime:
    """The instant that a text names; raises ValueError for one without a zone."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"the instant {text!r} has no zone")
    return found.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One recording for a manifest: its columns as JSON has them, and the names of its renditions. `pk` is its row."""

    pk: int
    columns: Mapping[str, Any]
    renditions: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest in the archive."""

    manifest: int
    key: str
    version_id: str
    sha256: str
    count: int


class History(Protocol):
    """The sealed and unsealed history in the catalog. Every method is one transaction and raises CatalogUnavailable."""

    async def piece(self, limit: int) -> Piece | None:
        """The next segment's content, its lines numbered for good; None where nothing waits.

        Raises HistoryForked where lines that were numbered before have gone.
        """

    async def sealed(self, piece: Piece, *, sha256: str, key: str, version_id: str, locked_until: datetime | None = None) -> None:
        """Notes that a piece lies in the archive, locked as the store shows it; also when it was noted already.

        Raises HistoryForked for another digest.
        """

    async def segments(self, *, after: int, limit: int) -> Sequence[Sealed]:
        """Sealed segments behind number `after`, in order."""

    async def known(self, numbers: Collection[int]) -> frozenset[int]:
        """Which of these segments the catalog knows."""

    async def lines(self, *, after: int, limit: int) -> Sequence[tuple[int | None, Line]]:
        """Numbered lines behind `after`, in order, each with the segment that its row names."""

    async def unsealed(self) -> Unsealed:
        """What was written since the last seal."""

    async def disordered(self, *, limit: int) -> Sequence[tuple[int | None, int]]:
        """(segment, seq) of lines that are read in another order than they were sealed in, and of rows half taken out of it."""


class RecordingFacts(Protocol):
    """The recordings' facts on their way into manifests. Every method is one transaction and raises CatalogUnavailable."""

    async def next_manifest(self) -> int:
        """The number of the next manifest."""

    async def unwritten(self, limit: int) -> Sequence[Facts]:
        """Recordings that no manifest holds as they are now."""

    async def written(self, manifest: Manifest, facts: Sequence[Facts]) -> None:
        """Notes a manifest; recordings that changed since they were read stay unwritten."""

    async def manifests_holding(self, recordings: Collection[tuple[str, str]]) -> Sequence[Manifest]:
        """The manifests that may hold lines of any of these (source, recording_id), in order."""

    async def rewritten(self, old: Manifest, new: Manifest) -> None:
        """Notes `new`, which is to take the place of `old`; `old` stays known until `removed`."""

    async def removed(self, old: Manifest) -> None:
        """Notes that a manifest is gone from the archive."""

    async def forget(self, recordings: Collection[tuple[str, str]]) -> None:
        """Marks recordings as held by no manifest: what is left of them is written anew."""
