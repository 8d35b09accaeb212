"""What the pipeline asks of providers, stores and clocks; every adapter passes the contract suite of its port.

Errors named here are those of `errors.py`; an adapter lets no foreign error out.

Long, because most of it is what the methods promise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from archiver.domain.recording import Listed, Page, RecordingRef, Room
    from archiver.domain.windows import Window


class Clock(Protocol):
    """Where time, chance and identity come from; the composition root has the real one, simulations their own."""

    def now(self) -> datetime:
        """The time, aware and UTC."""

    def monotonic(self) -> float:
        """Seconds that never go backwards."""

    async def sleep(self, seconds: float) -> None:
        """Waits; raises CancelledError when cancelled."""

    def chance(self) -> float:
        """A random number in [0, 1)."""

    def token(self) -> str:
        """A new identifier nobody else has: 32 hexadecimal digits."""


class Observer(Protocol):
    """Who counts what happens; never given an id of a recording."""

    def transferred(self, *, source: str, result: str, size: int, seconds: float) -> None:
        """An attempt ended: `result` is the event's name, `size` the bytes received."""

    def archived_late(self, seconds: float) -> None:
        """Seconds between a recording's end and its being stored."""

    def fixity_checked(self, result: str) -> None:
        """Stored bytes were compared with the catalog."""

    def lost(self, source: str) -> None:
        """A recording turned out to be lost."""

    def inflight(self, count: int) -> None:
        """How many transfers are under way now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One list that a provider offers and a complete poll has to walk.

    `windowed` lists take a window of days (by end, or by start widened backwards so that it contains the same recordings);
    the others take none and list what is open now.
    """

    name: str  # "ended", "processing", "deleted"
    windowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """From where to go on with a download: `offset` bytes of the body named by the strong ETag `validator` are there already."""

    offset: int
    validator: str


class Spans(Protocol):
    """Further connections to a body that is under way, each for a span of it."""

    @property
    def host(self) -> str:
        """Where they lead, fit for a log line."""

    def open(self, first: int, stop: int) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]:
        """Opens the bytes [first, stop), 0 <= first < stop <= announced, by a guarded request of its own.

        Yields exactly those bytes, or raises what `Media.chunks` raises. Entering raises RateLimited (the host asked to slow
        down), MediaChanged (it has another file now), MediaImplausible (any answer but a 206 for exactly this span of the same
        strong validator), and the errors of `open_media`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """The body of one media file, opened and checked as far as headers go.

    `offset` is where this body starts (0 unless a Resume was honoured); `announced` is the size of the whole file in bytes as
    Content-Length or Content-Range give it, None where neither does. `chunks` raises ProviderUnavailable, MediaIncomplete or
    MediaTooSlow; closed early it gives up the connection. `metadata` holds decryption headers under their wire names in lower
    case. `spans` is there only for a large body of known length and strong validator from a host that serves ranges.
    """

    offset: int
    announced: int | None
    content_type: str
    validator: str
    metadata: Mapping[str, str]
    chunks: AsyncGenerator[bytes, None]
    spans: Spans | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the provider encrypted the bytes with the customer's key."""
        return "x-amz-meta-x-amz-key" in self.metadata


class Provider(Protocol):
    """One source: an account at a provider, seen through one of its APIs."""

    @property
    def source(self) -> str:
        """The configured name."""

    @property
    def kind(self) -> str:
        """The provider's name in the configuration, e.g. `twilio-video`."""

    @property
    def listings(self) -> Sequence[Listing]:
        """The lists that make a complete poll, the windowed ones by end first."""

    def pages(self, listing: Listing, window: Window | None, *, backward: bool = False) -> AsyncGenerator[Page, None]:
        """Walks one list. `backward` walks from the last page to the first where the API can, else forward again.

        Raises ContractBroken (a page without the documented shape, one that does not advance, a foreign-origin link),
        ProviderUnavailable, RateLimited, CredentialsRefused. Never yields a page it does not believe.
        """

    async def get(self, ref: RecordingRef) -> Listed:
        """The provider's own record now; raises RecordingGone on 404 and the errors of `pages`."""

    async def room(self, room_id: str) -> Room | None:
        """A room's name and settings, None where the provider has no such room."""

    def open_media(
        self, ref: RecordingRef, rendition: str, *, resume: Resume | None = None
    ) -> AbstractAsyncContextManager[Media]:
        """Opens a media file by a fresh link.

        Entering raises RecordingGone, MediaUnavailable, LinkExpired, MediaImplausible (status, encoding), UrlRefused and the
        errors of `pages`. A Resume is honoured only by a 206 for exactly that range of the same strong validator; otherwise the
        body starts at 0 and says so in `offset`.
        """

    async def delete(self, ref: RecordingRef) -> None:
        """Deletes one recording at the provider, by id; success is also that it is gone already. Raises the errors of `get`."""

    async def check(self) -> str:
        """Asks the cheapest authenticated question; returns one line for `doctor`, raises the errors of `pages`."""

    async def aclose(self) -> None:
        """Closes connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """An Object Lock to be born with: `mode` governance or compliance, until an instant."""

    mode: str
    retain_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewObject:
    """What an object is created with. `metadata` holds plain names (`archiver-token`); values are printable ASCII."""

    key: str
    content_type: str
    metadata: Mapping[str, str]
    lock: Lock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as the store reports it now. `sha256` is hex and only there where the store itself attests it for the
    whole object; `checksums` holds what else it attests, by algorithm, as the store spells it (`CRC64NVME`: base64).
    """

    key: str
    version_id: str
    size: int
    etag: str = ""
    sha256: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    lock_mode: str = ""
    retain_until: datetime | None = None
    legal_hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a multipart upload: number from 1, size in bytes, the store's ETag and checksum of it."""

    number: int
    size: int
    etag: str
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUpload:
    """A multipart upload that was begun and not finished."""

    key: str
    upload_id: str
    begun_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What an endpoint really enforces, found by `probe.py`; never believed from documentation."""

    refuses_wrong_checksum: bool  # a put with a wrong SHA-256 is refused
    refuses_wrong_part: bool  # a part with a wrong checksum is refused
    proves_whole: bool  # the full-object checksum of a multipart upload is checked and reported
    conditional_put: bool  # If-None-Match: * on put refuses to overwrite
    conditional_complete: bool  # the same on completing a multipart upload
    versioning: bool
    lock: bool  # retention given at creation is there from the start, on puts and multipart uploads
    keeps_metadata: bool
    notes: tuple[str, ...] = ()  # what an operator should know, one sentence each


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """What can be put on an object after its creation and then really protects it; see `Storage.later`."""

    retention: bool = False
    hold: bool = False


class Storage(Protocol):
    """Where objects lie. Creation never overwrites: where another object stands under the key, ObjectExists is raised."""

    @property
    def part_size(self) -> int:
        """Bytes of a part; media up to this size go in one put."""

    @property
    def abilities(self) -> Abilities:
        """What `probe` found; before the first probe, nothing is believed."""

    async def probe(self) -> Abilities:
        """Writes, reads and deletes canaries under `<prefix>/_probe/` and remembers what they showed.

        Raises StorageRefused (credentials, bucket, owner), StorageUnavailable, StorageFull.
        """

    async def put(self, new: NewObject, body: bytes | bytearray | memoryview, *, sha256: bytes) -> StoredObject:
        """Creates an object from bytes whose digest is `sha256` (32 bytes), whole or not at all.

        Raises ObjectExists, ChecksumRefused, StorageRefused, StorageUnavailable, StorageFull.
        """

    async def begin(self, new: NewObject) -> str:
        """Begins a multipart upload and returns its id. Nothing is visible under the key until `complete`."""

    async def put_part(self, key: str, upload_id: str, number: int, body: bytes | bytearray | memoryview) -> Part:
        """Uploads one part (numbers from 1, all but the last at least 5 MiB); raises ObjectMissing where the upload is gone."""

    async def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """The parts the store has, in order; raises ObjectMissing where it does not know the upload."""

    async def complete(self, new: NewObject, upload_id: str, parts: Sequence[Part]) -> StoredObject:
        """Makes the parts one object, whole or not at all; the store checks total size and, where it can, the whole checksum.

        Raises ObjectExists, ObjectMissing (the upload is unknown: completed already, or aborted), ChecksumRefused.
        """

    async def abort(self, key: str, upload_id: str) -> None:
        """Drops an upload and its parts; also when it is gone already."""

    def uploads(self) -> AsyncIterator[OpenUpload]:
        """The unfinished uploads under our prefix."""

    async def head(self, key: str, version_id: str = "") -> StoredObject:
        """What stands under a key (and version); raises ObjectMissing."""

    def read(self, key: str, version_id: str = "") -> AsyncIterator[bytes]:
        """The bytes of an object; raises ObjectMissing, StorageUnavailable."""

    def keys(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Objects whose key starts with `prefix` (relative keys as everywhere here), in key order: key, version_id, size only."""

    async def delete(self, key: str, version_id: str) -> None:
        """Deletes exactly one version; raises StorageRefused where a lock or hold forbids it. Never creates a delete marker."""

    async def later(self) -> Later:
        """What an object that exists can still be given; tried on a canary the first time it is asked.

        Some compatibles take the call for a put and replace the object with its XML, so nothing is tried on a recording.
        Raises StorageRefused (credentials, bucket), StorageUnavailable.
        """

    async def extend(self, key: str, version_id: str, lock: Lock) -> None:
        """Locks a version until `lock.retain_until`, never for less than it is locked already.

        Raises StorageRefused (the store cannot, or the lock would become shorter), ObjectMissing, StorageUnavailable.
        """

    async def hold(self, key: str, version_id: str, *, on: bool) -> None:
        """Sets or clears the legal hold of a version; raises StorageRefused (the store has none), ObjectMissing."""

    async def ahead(self) -> float | None:
        """Seconds by which the store's own clock is ahead of ours, asked now; None where it has none."""

    def full_key(self, key: str) -> str:
        """The key with the configured prefix, as users see it."""

    async def aclose(self) -> None:
        """Closes connections."""
