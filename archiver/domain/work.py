"""What the pipeline asks of the catalog: values that cross that seam, and the port itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    from archiver.domain.lifecycle import Event
    from archiver.domain.ports import StoredObject
    from archiver.domain.recording import Entry, Listed, RecordingRef, Rejected, Room
    from archiver.domain.windows import Window

LEASE = timedelta(seconds=45)  # a dead worker's claims are free again within a minute, polling interval included
HEARTBEAT = 15.0  # seconds between renewals: two may fail before a lease is lost
PRIORITY_LIVE, PRIORITY_RETRY, PRIORITY_BACKFILL, PRIORITY_FIXITY = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What a page brought: recordings new and changed, and the ids it listed; `lost` new ones were deleted before we saw them."""

    new: int
    changed: int
    ids: frozenset[str]
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """One pass over one window (None for lists without one), as it is kept for reports and attestations."""

    listing: str
    window: Window | None
    started_at: datetime
    complete: bool
    listed: int
    new: int
    requests: int
    ids_sha256: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Where a source stands: up to when everything was listed, since when, and what went wrong last."""

    source: str
    watermark: datetime | None = None
    covered_since: datetime | None = None
    last_complete_pass: datetime | None = None
    last_started: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A recording the catalog holds, as far as comparing it with a list needs."""

    ref: RecordingRef
    gone_looks: int
    gone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt on an entry ended: one event, one state change, one ledger line.

    `delay` is when the entry is due again (RETRY_SCHEDULED, RELEASED). `facts` are columns of the rendition to set
    (key, version_id, size, sha256, token, proof, …); `counts` says whether the attempt is used up. `seen` is what the store
    showed of a new object, where it was asked already: one look proves its lock and its bytes.
    """

    entry: Entry
    event: Event
    reason: str = ""
    kind: str = ""  # the class of the error, for grouping: "MediaIncomplete"
    delay: timedelta = timedelta(0)
    counts: bool = True
    gone: bool = False  # the provider said it does not know the recording
    facts: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)  # for the ledger line only
    seen: StoredObject | None = None


class Gone(IntEnum):
    """What a look at which the provider did not know a recording came to; what is not 0 changed something."""

    COUNTED = 0  # one look of two, or nothing left to say
    DELETED = 1  # archived here, deleted there
    LOST = 2  # deleted before it was archived


class UploadOwner(StrEnum):
    """Whose an unfinished multipart upload is."""

    BUSY = "busy"  # a worker with a live claim is at it
    OURS = "ours"
    FOREIGN = "foreign"


class Catalog(Protocol):
    """The SQL catalog. Every method is one transaction unless it says otherwise, and raises CatalogUnavailable
    when the database cannot be reached; each may then be repeated: nothing is ever applied twice.
    """

    # -- discovery ---------------------------------------------------------------------------------------------

    async def source_state(self, source: str) -> SourceState:
        """Where a source stands; an unknown source has an empty state."""

    async def add_page(
        self,
        source: str,
        kind: str,
        listed: Sequence[Listed],
        *,
        rejected: Sequence[Rejected] = (),
        priority: int = PRIORITY_LIVE,
    ) -> Added:
        """Stores what a page lists: new recordings with their renditions, changed ones, with their ledger events.

        Unchanged recordings are not written at all.
        """

    async def finish_pass(self, source: str, kind: str, results: Sequence[PassResult], *, watermark: datetime | None) -> None:
        """Records walks; moves the watermark (never back) when one is given: that is, only after a complete pass."""

    async def record_problem(self, source: str, kind: str, problem: str) -> None:
        """Notes why the source's last pass did not complete; an empty text clears it."""

    async def confirmed_ids(self, source: str, listing: str, window: Window | None) -> str:
        """`ids_sha256` of the last complete pass over exactly this window, "" where there is none."""

    async def ended_between(self, source: str, start: datetime, end: datetime) -> Sequence[Known]:
        """Recordings that ended in [start, end) and that the provider, as far as we know, still holds."""

    async def open_recordings(self, source: str, *, limit: int) -> Sequence[RecordingRef]:
        """Recordings whose provider status is not final, the longest not looked at first; marks them as looked at."""

    async def record_gone(self, source: str, recording_id: str, *, looks: int) -> Gone:
        """Counts `looks` at which the provider did not know the recording; at the second its renditions become `lost`,
        or its provider status `deleted` where they are archived. Says which.
        """

    async def rooms_missing(self, source: str, *, limit: int) -> Sequence[str]:
        """Ids of rooms that nobody has asked for yet, or not for a day, when a recording named them."""

    async def save_rooms(self, source: str, rooms: Mapping[str, Room | None]) -> None:
        """Keeps rooms with their recordings; None remembers that the provider has no such room."""

    async def finished_slices(self, source: str) -> frozenset[date]:
        """Days that a backfill has finished."""

    async def finish_slice(self, source: str, kind: str, day: date, result: PassResult) -> None:
        """Remembers a backfilled day. Never touches the live watermark."""

    # -- leases ------------------------------------------------------------------------------------------------

    async def acquire(self, name: str, *, seconds: float) -> bool:
        """Takes or renews the lease row `name` for this worker; False while another worker has it."""

    async def surrender(self, name: str) -> None:
        """Gives a lease back, if it is still ours."""

    async def heartbeat(self) -> None:
        """Renews this worker's claims and row."""

    async def hand_back(self) -> int:
        """Returns every claim of this worker to `due`; for the end of a drain. Says how many."""

    # -- work --------------------------------------------------------------------------------------------------

    async def claim(self, limit: int, *, sources: Collection[str]) -> Sequence[Entry]:
        """Claims up to `limit` due entries of `sources` (and those whose lease is over), live before retries before backfill,
        the sources taking turns.
        """

    async def claim_stored(self, limit: int, *, sources: Collection[str]) -> Sequence[Entry]:
        """Stored entries whose verification is due; they are not given out again for LEASE."""

    async def save(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Applies outcomes whose entry is still at its revision; returns the others, which changed nothing."""

    async def note_upload(self, entry: Entry, *, facts: Mapping[str, Any]) -> Entry:
        """Records a multipart upload (key, token, upload_id, …) before its first part is sent; returns the entry to go on with.

        Raises StaleEntry when the claim is lost.
        """

    async def upload_owner(self, upload_id: str, key: str) -> UploadOwner:
        """Whose an unfinished upload is."""

    async def forget_upload(self, upload_id: str) -> None:
        """Notes that an upload was aborted."""

    async def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Renditions by source and state."""

    async def next_due(self, *, sources: Collection[str]) -> float | None:
        """Seconds until the next entry is due for a transfer or a verification (0 when one is), None when none ever will be."""
