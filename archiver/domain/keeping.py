"""What retention, legal hold, release and erasure ask of the catalog: values that cross that seam, and the port itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from archiver.domain.fixity import Evidence
    from archiver.domain.plan import Candidate, Item, Name
    from archiver.domain.recording import Listed, RecordingRef
    from archiver.domain.retention import Policy

    Confirm = Callable[[Candidate, datetime], Item]

AUTHORISED = 60.0  # seconds for which a deletion that was authorised may be under way


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """One object of a rendition: the current one, or one that was superseded. `size` in bytes, `sha256` hex."""

    key: str
    version_id: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """A rendition with all the objects that it has."""

    one: Candidate
    objects: tuple[ObjectRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Longer:
    """A retention that has grown. `lock_mode` is that of the store's lock, "" where it has none; `policy` the one that asks for
    it, None where the store was found to lock for longer.
    """

    pk: int
    until: datetime
    reason: str
    lock_mode: str = ""
    policy: Policy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasable:
    """What the catalog knows of a recording that may be deleted at the provider."""

    ref: RecordingRef
    known: Listed
    renditions: tuple[Custody, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHold:
    """A rendition whose legal hold in the store is not what the catalog says: to be set (`on`) or cleared."""

    pk: int
    name: Name
    on: bool
    objects: tuple[ObjectRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasing:
    """A recording on its way to being forgotten: the request, and where its objects stand.

    `open` are renditions that still have objects, `blocked` why it cannot go on now ("" where nothing stands against it),
    `lawful_at` the end of its latest lock.
    """

    erasure: int
    source: str
    recording_id: str
    reason: str
    requested_at: datetime
    requested_by: str
    open: tuple[Candidate, ...] = ()
    objects: tuple[ObjectRef, ...] = ()
    blocked: str = ""
    lawful_at: datetime | None = None
    busy: bool = False  # a worker transfers one of its renditions now


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What an object under `_erasure/` says: which recording was forgotten, on whose request, and when. No names."""

    key: str
    source: str
    recording_id: str
    reason: str
    requested_at: datetime
    requested_by: str
    executed_at: datetime


class Keeping(Protocol):
    """The catalog as far as deletion is concerned. Every method is one transaction unless it says otherwise, and raises
    CatalogUnavailable; each may then be repeated.
    """

    # -- policies and plans -------------------------------------------------------------------------------------

    async def remember(self, policies: Sequence[Policy]) -> None:
        """Keeps every policy that was ever decided by, under its fingerprint."""

    def candidates(self, *, as_of: datetime | None = None) -> AsyncIterator[Sequence[Candidate]]:
        """Every stored or verified rendition, in portions; with `as_of`, those that were archived by then."""

    async def archived(self) -> int:
        """How many renditions are stored or verified: what a share of the catalog is a share of."""

    async def settled(self, names: Collection[Name]) -> frozenset[Name]:
        """Those of the renditions that are expiring or expired, or whose recording was deleted at the provider by us."""

    async def now(self) -> datetime:
        """The instant the catalog goes by."""

    # -- expiry ---------------------------------------------------------------------------------------------------

    async def custody(self, pk: int) -> Custody | None:
        """A rendition and its objects as they are now."""

    async def unfinished(self) -> Sequence[Custody]:
        """Renditions whose deletion was begun and not ended."""

    async def authorise(self, pk: int, confirm: Confirm, *, data: Mapping[str, Any]) -> Custody | str:
        """Records the intention to delete a rendition's objects, if `confirm` still says so of what this transaction reads.

        Gives what may be deleted now, within AUTHORISED seconds, or why nothing may. Also goes on with one begun before.
        """

    async def expired(self, pk: int, *, reason: str, data: Mapping[str, Any]) -> None:
        """Notes that every object of an expiring rendition is gone."""

    async def spared(self, pk: int, *, reason: str) -> None:
        """Takes back an intention: the rendition is stored again, to be verified anew."""

    async def retained(self, longer: Sequence[Longer]) -> None:
        """Notes longer retentions; a shorter one than the one on record changes nothing (I10)."""

    # -- locks of the history itself --------------------------------------------------------------------------------

    def evidence(self) -> AsyncIterator[Sequence[Evidence]]:
        """Every segment and attestation, in portions, with the end of the longest retention of what it tells of."""

    async def evidence_seen(self, items: Sequence[tuple[Evidence, datetime]]) -> None:
        """Keeps until when the store locks each of these."""

    async def evidence_lengthened(self, items: Sequence[tuple[Evidence, datetime]]) -> None:
        """Tells in the history which of them are locked for longer now."""

    # -- deletion at the provider ---------------------------------------------------------------------------------

    async def releasable(self, source: str, recording_id: str) -> Releasable | None:
        """A recording with all its renditions and objects."""

    async def authorise_release(
        self, source: str, recording_id: str, confirm: Callable[[Sequence[Candidate], datetime], str | None]
    ) -> str | None:
        """Records the intention to delete a recording at the provider, if `confirm` (renditions, now) has no objection.

        Gives the objection otherwise.
        """

    async def release_ended(self, source: str, recording_id: str, *, gone: bool, reason: str, data: Mapping[str, Any]) -> None:
        """Notes what a look at the provider, and at our object, showed after a deletion was tried."""

    # -- legal hold in the store ----------------------------------------------------------------------------------

    async def hold_differences(self, *, limit: int) -> Sequence[StoreHold]:
        """Renditions with objects whose hold in the store has to be set or cleared."""

    async def store_held(self, item: StoreHold) -> bool:
        """Notes what was done in the store; False where the catalog wants something else by now."""

    async def sweep_holds(self) -> int:
        """Holds whatever matches a hold with --future and is not held yet; says how many renditions."""

    # -- erasure --------------------------------------------------------------------------------------------------

    async def erasures(self) -> Sequence[Erasing]:
        """Every recording whose erasure is requested and not executed, with what stands against it now."""

    async def erasure_dated(self, item: Erasing) -> None:
        """Keeps why an erasure waits, and until when."""

    async def scrub(self, item: Erasing) -> None:
        """Takes names and the provider's own JSON out of the catalog."""

    async def erased(self, item: Erasing, certificate: Certificate) -> None:
        """Notes that a recording is forgotten for good; from now on it is never archived again."""

    async def recall(self, certificate: Certificate) -> bool:
        """Takes up a certificate that this catalog does not know (it was restored from a copy); says whether it was new."""

    async def certified(self) -> frozenset[str]:
        """Keys of the certificates that the catalog knows."""

    # -- notes ----------------------------------------------------------------------------------------------------

    async def note(self, name: str, value: Mapping[str, Any]) -> None:
        """Remembers a small fact."""

    async def noted(self, name: str) -> tuple[Mapping[str, Any], datetime] | None:
        """A small fact and when it was noted, None where it never was."""

    async def last_event(self) -> datetime | None:
        """The latest instant in the end of the history, None where there is none."""

    async def last_segment(self) -> int:
        """Number of the last sealed segment of the history that the catalog knows, 0 for none."""
