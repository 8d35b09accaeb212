"""A provider in memory: its lists shift, lie and fail as a test wants, and so do its media."""

import asyncio
import contextlib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from archiver.domain.errors import MediaUnavailable, ProviderUnavailable, RecordingGone
from archiver.domain.ports import Listing, Media
from archiver.domain.recording import Listed, Page, ProviderStatus, Rejected, Room
from tests.pipeline.clock import NOON

ENDED = Listing(name="ended", windowed=True)
PROCESSING = Listing(name="processing", windowed=False)
DELETED = Listing(name="deleted", windowed=True)
OGG = b"OggS\x00\x02" + bytes(58)


def recording(recording_id, *, ended_at=NOON - timedelta(hours=1), **changes):
    """A completed recording, as a list shows it."""
    facts = {
        "status": ProviderStatus.COMPLETED,
        "renditions": ("media",),
        "raw": {"id": recording_id},
        "started_at": ended_at and ended_at - timedelta(minutes=10),
        "ended_at": ended_at,
        "duration": 600.0,
        "codec": "opus",
    } | changes
    return Listed(recording_id=recording_id, **{"status_raw": facts["status"].value, **facts})


def many(count, prefix="r", **facts):
    """Completed recordings r0, r1, …"""
    return [recording(f"{prefix}{number}", **facts) for number in range(count)]


def processing(recording_id, **changes):
    """One that the provider is still at."""
    return recording(recording_id, ended_at=None, **{"status": ProviderStatus.PROCESSING, "duration": None, **changes})


def media_bytes(size, seed="x"):
    """An Ogg file of that size, as far as its first bytes show."""
    block = hashlib.shake_256(seed.encode()).digest(min(max(size, 1), 4096))
    filler = (block * (size // len(block) + 1))[: max(0, size - len(OGG))]
    return (OGG + filler)[:size]


@dataclass
class File:
    """Media as a host serves it: `cut` are byte counts after which one answer each breaks off."""

    body: bytes
    etag: str = '"one"'
    content_type: str = "audio/ogg"
    announce: bool = True
    metadata: dict = field(default_factory=dict)
    chunk: int = 256
    cut: list = field(default_factory=list)
    ranges: str = "same"  # honours a Resume for the same ETag; "any": for whatever it has now; "": never
    wait: float = 0.0  # seconds before each chunk
    on_open: Callable = lambda: None


class FakeProvider:
    """The Provider port over `listed` (newest first), `files` and `rooms`.

    `page_size` rows a page. `on_page` is called with the number of every page fetched, before it is made. `errors` holds for
    "pages", "get <id>", "media <id>" and "room <id>" what the next calls raise, one each; None lets one pass. `calls` counts.
    """

    kind = "telnyx-rooms"

    def __init__(self, *recordings, source="rooms", page_size=250, listings=(ENDED, PROCESSING), clock=None):
        self.source = source
        self.listings = listings
        self.page_size = page_size
        self.clock = clock
        self.listed = {item.recording_id: item for item in recordings}
        self.hidden = set()  # known by id, in no list
        self.files = {}
        self.rooms = {}
        self.errors = defaultdict(list)
        self.broken = {}  # "get <id>": raised every time
        self.calls = Counter()
        self.on_page = lambda number: None
        self.total = lambda total: total
        self.rejected = ()
        self.windows = []

    def put(self, *recordings):
        for item in recordings:
            self.listed[item.recording_id] = item

    def has(self, recording_id, body=None, *, rendition="media", **how):
        """Gives a recording its media; returns the bytes."""
        file = File(body=media_bytes(3000, recording_id) if body is None else body, **how)
        self.files[recording_id, rendition] = file
        return file.body

    def archivable(self, *ids, size=300, **facts):
        """Recordings with media."""
        for recording_id in ids:
            self.put(recording(recording_id, **facts))
            self.has(recording_id, media_bytes(size, recording_id))

    # -- the port

    async def pages(self, listing, window, *, backward=False):
        self.windows.append((listing.name, window))
        first = self._page(listing, window, 1)
        yield replace(first, last=first.pages <= 1) if backward else first
        if backward and first.pages > 1:
            for position, number in enumerate(range(first.pages, 0, -1), start=2):
                yield replace(self._page(listing, window, number), number=position, last=number == 1)
            return
        number = 1
        while not backward and not first.last:
            number += 1
            first = self._page(listing, window, number)
            yield first

    def _page(self, listing, window, number):
        self.calls["pages"] += 1
        self._maybe_raise("pages")
        self.on_page(self.calls["pages"])
        rows = [item for item in self.listed.values() if item.recording_id not in self.hidden and _in(listing, window, item)]
        start = (number - 1) * self.page_size
        shown = tuple(rows[start : start + self.page_size])
        pages = max(1, -(-len(rows) // self.page_size))
        rejected = self.rejected if number == 1 and listing is self.listings[0] else ()
        total = self.total(len(rows) + len(rejected))
        return Page(number=number, recordings=shown, rejected=rejected, total=total, pages=pages, last=number >= pages)

    async def get(self, ref):
        self.calls[f"get {ref.recording_id}"] += 1
        self._maybe_raise(f"get {ref.recording_id}")
        if ref.recording_id not in self.listed:
            raise RecordingGone(f"no recording {ref.recording_id}")
        return self.listed[ref.recording_id]

    async def room(self, room_id):
        self.calls[f"room {room_id}"] += 1
        self._maybe_raise(f"room {room_id}")
        name = self.rooms.get(room_id)
        return Room(room_id=room_id, name=name, raw={"name": name}) if name else None

    @contextlib.asynccontextmanager
    async def open_media(self, ref, rendition, *, resume=None):
        self.calls[f"media {ref.recording_id}"] += 1
        self._maybe_raise(f"media {ref.recording_id}")
        if ref.recording_id not in self.listed:
            raise RecordingGone(f"no recording {ref.recording_id}")
        file = self.files.get((ref.recording_id, rendition))
        if file is None:
            raise MediaUnavailable(f"{ref.recording_id} has no media")
        file.on_open()
        loyal = file.ranges == "any" or (file.ranges == "same" and resume is not None and resume.validator == file.etag)
        offset = resume.offset if resume and loyal else 0
        chunks = self._chunks(file, offset)
        try:
            yield Media(
                offset=offset,
                announced=len(file.body) if file.announce else None,
                content_type=file.content_type,
                validator=file.etag,
                metadata=file.metadata,
                chunks=chunks,
            )
        finally:
            await chunks.aclose()

    async def _chunks(self, file, at):
        body, stop = file.body, file.cut.pop(0) if file.cut else None
        while at < len(body):
            await (self.clock.sleep(file.wait) if file.wait else asyncio.sleep(0))
            end = min(at + file.chunk, len(body), len(body) if stop is None else max(stop, at))
            if end > at:
                yield body[at:end]
            at = end
            if stop is not None and at >= stop:
                raise ProviderUnavailable(f"the connection broke after {at} bytes")

    async def check(self):
        return "fine"

    async def delete(self, ref):
        self.listed.pop(ref.recording_id, None)

    async def aclose(self):
        """Nothing to close."""

    def _maybe_raise(self, what):
        if what in self.broken:
            raise self.broken[what]
        if self.errors[what]:
            error = self.errors[what].pop(0)
            if error is not None:
                raise error


def _in(listing, window, item):
    if listing is PROCESSING:
        return item.status is ProviderStatus.PROCESSING
    if listing is DELETED:
        return item.status is ProviderStatus.DELETED
    moment = item.ended_at
    deleted = item.status is ProviderStatus.DELETED
    return moment is not None and not deleted and window.start <= moment < window.end


def bad_row(reason="id is missing"):
    return Rejected(reason=reason, raw='{"id": null}')
