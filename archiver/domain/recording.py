"""What a provider lists, and what the archive makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class ProviderStatus(StrEnum):
    """How far the provider is, in our words; its own word is kept raw beside it."""

    PROCESSING = "processing"  # still being captured or converted
    COMPLETED = "completed"  # media may be asked for
    DELETED = "deleted"  # the provider says so, or no longer knows the id
    FAILED = "failed"  # the provider could not make a recording
    UNKNOWN = "unknown"  # a word we do not know: kept, waited for, alarmed


class State(StrEnum):
    """Where a rendition is on its way into the archive and out of it again."""

    WAITING = "waiting"  # the provider is still processing
    DUE = "due"  # to be transferred from due_at on
    TRANSFERRING = "transferring"  # claimed by a worker until its lease ends
    STORED = "stored"  # the object exists, its proof is outstanding
    VERIFIED = "verified"  # the stored bytes are proved to be the ones received
    EXPIRING = "expiring"  # deletion from the archive is intended and recorded
    EXPIRED = "expired"  # deleted from the archive by policy
    FAILED = "failed"  # attempts used up or refused at once; an operator may retry
    LOST = "lost"  # the provider deleted it before it was archived
    UNAVAILABLE = "unavailable"  # completed, but the provider has no media for it
    EXTERNAL = "external"  # the media lies in the customer's own bucket
    DAMAGED = "damaged"  # gone from the archive, or not the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One recording as a provider lists it, translated; every fact beyond the id may be missing.

    `renditions` names the media files wanted of it (`media`, or `mp3`/`wav`). `raw` is the provider's own JSON
    with the query cut off every URL and with NUL and lone surrogates escaped, so that it can be stored anywhere.
    """

    recording_id: str
    status: ProviderStatus
    status_raw: str
    renditions: tuple[str, ...]
    raw: Mapping[str, Any]
    started_at: datetime | None = None
    ended_at: datetime | None = None  # Twilio has none: date_created + duration
    duration: float | None = None  # seconds
    size: int | None = None  # exact bytes where the provider knows them; never Telnyx's size_mb
    media_type: str = ""  # audio, video, call … as the provider says it
    codec: str = ""
    container: str = ""
    room_id: str = ""
    room_name: str = ""
    session_id: str = ""
    participant_id: str = ""
    participant_name: str = ""
    external_url: str = ""  # where the media lies when the provider does not hold it; query cut off
    flags: tuple[str, ...] = ()  # what looked wrong without being fatal, e.g. "started after it ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row of a page that cannot be catalogued; kept raw (at most 64 KiB of JSON text) and counted."""

    reason: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a provider's list.

    `total` is the provider's own count for the whole window, None where it gives none. `last` says that the
    provider announced no further page. `number` counts from 1 in the order in which the pages were fetched.
    """

    number: int
    recordings: tuple[Listed, ...]
    rejected: tuple[Rejected, ...] = ()
    total: int | None = None
    pages: int | None = None
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room with its settings, kept with the recordings made in it; `raw` as in `Listed`."""

    room_id: str
    name: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One rendition as the catalog holds it: what a worker needs to act on it, fenced by `revision`.

    Sizes in bytes; `attempts` counts failed ones since the last success or operator's retry.
    `listed_size` is the provider's exact size where known. `upload_id` names a multipart upload under way.
    """

    id: int
    recording_pk: int
    source: str
    recording_id: str
    rendition: str
    state: State
    revision: int
    attempts: int = 0
    gone_looks: int = 0  # how often in a row the provider said it does not know the recording
    priority: int = 0  # 0 live, 1 retries, 2 backfill, 3 fixity
    status: ProviderStatus = ProviderStatus.UNKNOWN
    started_at: datetime | None = None
    ended_at: datetime | None = None
    first_seen_at: datetime | None = None
    listed_size: int | None = None
    media_type: str = ""
    codec: str = ""
    container: str = ""
    external_url: str = ""
    provider: str = ""
    room_id: str = ""
    room_name: str = ""
    participant_id: str = ""
    participant_name: str = ""
    key: str = ""
    version_id: str = ""
    size: int | None = None
    sha256: str = ""
    token: str = ""
    content_type: str = ""
    upload_id: str = ""
    upload: Mapping[str, Any] = field(default_factory=dict)  # what the catalog knows of that upload, see pipeline/multipart.py
    proof: Mapping[str, Any] = field(default_factory=dict)  # what the store itself attested, see ports.StoredObject
    metadata: Mapping[str, str] = field(default_factory=dict)  # a provider's decryption headers, carried over
    retain_until: datetime | None = None
    lock_mode: str = ""
    store_hold: bool = False  # the store's own legal hold is set on its objects
    archived_at: datetime | None = None
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRef:
    """What a provider needs to find one recording again."""

    source: str
    recording_id: str
    room_id: str = ""
