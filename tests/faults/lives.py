"""What becomes of recordings at a provider over days or a year, drawn from a seed, and a Provider port that tells of it.

Times are virtual seconds since the start. A life is a pure function of time, so every process sees the same provider.
"""

import asyncio
import bisect
import contextlib
import random
from dataclasses import dataclass, replace
from datetime import timedelta

from archiver.domain import errors
from archiver.domain.ports import Listing, Media
from archiver.domain.recording import Listed, Page, ProviderStatus, Room
from tests.faults.reach import Row
from tests.faults.virtual_time import START
from tests.pipeline.fake_provider import media_bytes

HOUR, DAY = 3600.0, 86400.0
LATEST = 71 * HOUR  # after its end a recording may turn up in a list this late: an hour within the horizon of I1
ENDED = Listing(name="ended", windowed=True)
PROCESSING = Listing(name="processing", windowed=False)
DELETED = Listing(name="deleted", windowed=True)
S = ProviderStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One recording. It is `processing` from `listed_from` to `completed_at`; `relapse` is a span in which it is so again."""

    recording_id: str
    started_at: float
    ended_at: float
    listed_from: float
    completed_at: float
    size: int
    deleted_at: float = float("inf")
    changed_at: float = float("inf")
    relapse: tuple[float, float] = (0.0, 0.0)
    fate: str = "plain"  # muted, external, failed, odd
    says_size: bool = True
    room_id: str = ""

    def status(self, now):
        """None where the provider shows nothing of it."""
        if now < self.listed_from:
            return None
        if now >= self.deleted_at:
            return S.DELETED
        if now < self.completed_at or self.relapse[0] <= now < self.relapse[1]:
            return S.PROCESSING
        return {"failed": S.FAILED, "odd": S.UNKNOWN}.get(self.fate, S.COMPLETED)

    def body(self, now):
        """The bytes as they are then: other ones of another size after the change."""
        changed = now >= self.changed_at
        return media_bytes(self.size + 7 * changed, f"{self.recording_id}{changed}")

    @property
    def bodies(self):
        """All the bytes it ever had."""
        return [self.body(0.0), self.body(self.changed_at)] if self.changed_at < float("inf") else [self.body(0.0)]

    def listed(self, now):
        status = self.status(now)
        done = status is not S.PROCESSING
        return Listed(
            recording_id=self.recording_id,
            status=status,
            status_raw=status.value,
            renditions=("media",),
            raw={"id": self.recording_id, "status": status.value},
            started_at=START + timedelta(seconds=self.started_at),
            ended_at=START + timedelta(seconds=self.ended_at) if done else None,
            duration=self.ended_at - self.started_at if done else None,
            size=len(self.body(now)) if done and self.says_size else None,
            codec="opus",
            room_id=self.room_id,
            external_url="https://customer.example/media" if self.fate == "external" else "",
        )


def drawn(seed, source, *, days, per_day, part_size):
    """Lives that end from a day before the start until `days` after it, all of them to be had by then, and not changing later."""
    rng = random.Random(f"lives {seed} {source}")
    lives, at, number, end = [], -DAY, 0, days * DAY
    while (at := at + rng.expovariate(per_day / DAY)) < end:
        number += 1
        life = _life(rng, f"{source}-{number:05d}", at, part_size)
        if life.completed_at < end and life.relapse[1] < end and not end <= life.changed_at < float("inf"):
            lives.append(life)
    return lives


def _life(rng, recording_id, ended_at, part_size):
    late = rng.random() < 0.1
    listed_from = ended_at + (rng.uniform(0, LATEST) if late else rng.uniform(-600, 60))
    completed_at = max(ended_at, listed_from) + (rng.uniform(0, 2 * DAY) if rng.random() < 0.05 else rng.uniform(0, 300))
    completed_at = min(completed_at, ended_at + LATEST) if late else completed_at
    life = Life(
        recording_id=recording_id,
        started_at=ended_at - rng.uniform(20, 5400),
        ended_at=ended_at,
        listed_from=completed_at if late else listed_from,
        completed_at=completed_at,
        size=rng.choice((rng.randint(70, part_size), rng.randint(70, 4 * part_size), part_size, 2 * part_size)),
        says_size=rng.random() < 0.5,
        room_id=f"room-{rng.randint(1, 9)}" if rng.random() < 0.5 else "",
        fate=rng.choices(("plain", "muted", "external", "failed", "odd"), (94, 1, 2, 1, 2))[0],
    )
    chance = rng.random()
    if chance < 0.06:
        return replace(life, deleted_at=completed_at + rng.uniform(0, 3 * DAY))
    if chance < 0.10:
        return replace(life, changed_at=completed_at + rng.uniform(0, DAY), says_size=True)
    if chance < 0.13:
        begins = completed_at + rng.uniform(0, DAY)
        return replace(life, relapse=(begins, begins + rng.uniform(60, 6 * HOUR)))
    return life


class Lives:
    """All recordings of one source, found by time."""

    def __init__(self, lives, *, remembers, page_size):
        self.page_size = page_size
        self.remembers = remembers  # lists what was deleted, as Twilio does for a month
        self.by_id = {life.recording_id: life for life in lives}
        self._ordered = sorted(lives, key=lambda life: (life.ended_at, life.recording_id))
        self._ends = [life.ended_at for life in self._ordered]
        self.listings = (ENDED, PROCESSING, DELETED) if remembers else (ENDED, PROCESSING)

    def between(self, start, end):
        """Those that ended in [start, end), newest first."""
        return self._ordered[bisect.bisect_left(self._ends, start) : bisect.bisect_left(self._ends, end)][::-1]

    def shown(self, listing, window, now):
        """What a list shows now."""
        if listing is PROCESSING:
            return [life for life in self.between(now - 12 * DAY, now + DAY) if life.status(now) is S.PROCESSING]
        start, end = ((moment - START).total_seconds() for moment in (window.start, window.end))
        wanted = (S.DELETED,) if listing is DELETED else (S.COMPLETED, S.FAILED, S.UNKNOWN)
        return [life for life in self.between(start, end) if life.status(now) in wanted]


class LivesProvider:
    """The Provider port of one process over `lives`; `process` says how long requests take and which of them fail."""

    kind = "telnyx-rooms"

    def __init__(self, source, lives, process):
        self.source = source
        self.lives = lives
        self.listings = lives.listings
        self._process = process
        self._world = process.world

    async def pages(self, listing, window, *, backward=False):
        number, page = 1, None
        while page is None or not page.last:
            page = await self._page(listing, window, number)
            yield page
            number += 1

    async def _page(self, listing, window, number):
        await self._ask(f"pages {listing.name} {window} {number}")
        now, size = self._process.time(), self.lives.page_size
        rows = self.lives.shown(listing, window, now)
        total = len(rows)
        if listing is ENDED and rows and self._world.fault("wrong total", Row.SHIFTING_PAGES):
            total += 3
        if listing is ENDED and rows and self._world.fault("empty list", Row.SHIFTING_PAGES):
            rows, total = [], 0
            self._world.lied(self.source)
        shown = tuple(life.listed(now) for life in rows[(number - 1) * size : number * size])
        if shown and self._world.fault("row twice", Row.LISTED_TWICE):
            shown += shown[:1]
        pages = max(1, -(-len(rows) // size))
        return Page(number=number, recordings=shown, total=total, pages=pages, last=number >= pages)

    async def get(self, ref):
        await self._ask(f"get {ref.recording_id}")
        life, now = self.lives.by_id[ref.recording_id], self._process.time()
        status = life.status(now)
        gone = status is None or (status is S.DELETED and not self.lives.remembers)
        if gone or self._world.fault("lagging replica", Row.VANISHES):
            raise errors.RecordingGone(f"no recording {ref.recording_id}")
        return life.listed(now)

    async def room(self, room_id):
        await self._ask(f"room {room_id}")
        return Room(room_id=room_id, name=f"name of {room_id}", raw={})

    @contextlib.asynccontextmanager
    async def open_media(self, ref, rendition, *, resume=None):
        await self._ask(f"media {ref.recording_id}")
        life, now = self.lives.by_id[ref.recording_id], self._process.time()
        if life.status(now) in (None, S.DELETED):
            raise errors.RecordingGone(f"no recording {ref.recording_id}")
        if life.fate == "muted" or self._world.fault("404 on media", Row.MEDIA_REFUSED):
            raise errors.MediaUnavailable(f"{ref.recording_id} has no media")
        if self._world.fault("expired link", Row.EXPIRED_LINK):
            raise errors.LinkExpired(f"{ref.recording_id}: the link has expired")
        body, tag = life.body(now), f'"{life.recording_id}-{now >= life.changed_at}"'
        offset = (
            resume.offset if resume and resume.validator == tag and not self._world.fault("range ignored", Row.ODD_RANGES) else 0
        )
        chunks = self._chunks(body, offset)
        announced, kind = len(body), "audio/ogg"
        if self._world.fault("error page", Row.NOT_MEDIA):
            body = b"<html>" + bytes(80)
            chunks, announced, kind, offset = self._chunks(body, 0), len(body), "text/html", 0
        elif life.says_size and self._world.fault("clean cut", Row.CLEAN_CUT):
            chunks, announced = self._chunks(body[: -1 - len(body) // 3], offset), None
        try:
            yield Media(offset=offset, announced=announced, content_type=kind, validator=tag, metadata={}, chunks=chunks)
        finally:
            await chunks.aclose()

    async def _chunks(self, body, at):
        cut = at + int((len(body) - at) * self._world.rng.random()) if self._world.fault("cut body", Row.CUT_BODY) else None
        while at < len(body):
            await self._process.wait(self._world.piece)
            end = min(at + 700, len(body) if cut is None else max(cut, at))
            if end > at:
                yield body[at:end]
            at = end
            if cut is not None and at >= cut:
                raise errors.ProviderUnavailable(f"the connection broke after {at} bytes")

    async def _ask(self, what):
        """One request: told, delayed, failed as the world decides."""
        await self._process.step(f"{self.source} {what}")
        kind = self._world.outage(self.source)
        if kind == "429" or self._world.fault("429", Row.RATE_LIMIT):
            raise errors.RateLimited("slow down", wait=self._world.rng.choice((None, 1.0, 30.0, 600.0)))
        if kind == "401":
            self._world.reach.hit(Row.ACCOUNT_REFUSED)
            raise errors.CredentialsRefused("the key was refused")
        if kind or self._world.fault("500", Row.SERVER_ERRORS):
            raise errors.ProviderUnavailable("503 Service Unavailable")
        await asyncio.sleep(0)

    async def check(self):
        return "fine"

    async def aclose(self):
        """Nothing to close."""
