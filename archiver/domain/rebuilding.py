"""What rebuilding a lost catalog asks of the new one: values that cross that seam, and the port itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from archiver.domain.ledger import Line, Manifest, Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownObject:
    """An object that the history tells of. `pk` is its rendition's row; `current` is False for one that was superseded."""

    pk: int
    source: str
    recording_id: str
    rendition: str
    key: str
    version_id: str
    size: int
    sha256: str
    current: bool

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.source}/{self.recording_id} {self.rendition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the archive shows of a known object: `missing` says why it is not there as it must be, "" where it is."""

    known: KnownObject
    missing: str = ""
    lock_mode: str = ""
    retain_until: datetime | None = None
    legal_hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """An object that the history does not tell of, with what it says of itself; its bytes were read back."""

    source: str
    recording: str  # the id as it stands in the key
    rendition: str
    columns: Mapping[str, Any] = field(default_factory=dict)  # of the rendition, as a transfer would have noted them


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """How much was restored."""

    recordings: int
    renditions: int


class Rebuilding(Protocol):
    """A new catalog being filled. Every method is one or more transactions and raises CatalogUnavailable; what was begun and
    not finished is thrown away by the next `begin`.
    """

    async def begin(self) -> None:
        """Makes sure that nothing is in the catalog, and that nobody works on it; raises UsageError, CatalogHeld."""

    async def segment(self, sealed: Sealed, lines: Sequence[Line]) -> None:
        """Takes the lines of one segment."""

    async def digests(self) -> Mapping[int, str]:
        """The SHA-256 of every manifest that the history tells of and does not tell the end of."""

    async def manifest(self, manifest: Manifest, documents: Sequence[Mapping[str, Any]]) -> None:
        """Takes the facts of one manifest; of several about one recording those with the highest number stay."""

    async def replay(self) -> Replays:
        """Makes renditions, holds, policies, sources and all else from the lines."""

    async def objects(self, *, after: tuple[int, str], limit: int) -> Sequence[KnownObject]:
        """Objects that the archive must hold, in the order of (pk, key), behind `after`."""

    async def seen(self, items: Sequence[Seen]) -> None:
        """Notes what the archive shows: locks, holds, and what is not there."""

    async def unknown(self, keys: Collection[str]) -> frozenset[str]:
        """Those of the keys that no line of the history names."""

    async def adopt(self, stray: Stray) -> str | None:
        """Takes an object as the stored one of its rendition; gives the reason where that cannot be."""

    async def finish(self, told: Mapping[str, Any]) -> None:
        """Ends the rebuild with a line of history."""
