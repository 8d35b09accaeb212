"""What the product does in a catalog of some size, and what it costs: pages of each question, CPU of each recording.

    python -m benchmarks.catalog_work URL NOW BATCHES

A process of its own for each catalog, so that CPU is the catalog's alone. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

from archiver.catalog import reports
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import Database
from archiver.catalog.leases import this_worker
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Listed, ProviderStatus, State
from archiver.domain.windows import ids_sha256, live_window
from archiver.domain.work import Outcome, PassResult
from benchmarks.catalog_pages import PostgresPages, SqlitePages
from benchmarks.catalog_rows import SOURCES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from archiver.domain.recording import Entry
    from benchmarks.catalog_pages import Pages

T = TypeVar("T")
SOURCE, KIND = "rooms", "telnyx-rooms"
PAGE, BATCH = 250, 50
TIMES = 5  # each question, of which the median counts
DIGEST = "ab" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A source as reports want it."""

    name: str
    provider: str
    poll_every: timedelta = timedelta(minutes=5)


CONFIGURED = [Configured(name=name, provider=kind) for name, kind in SOURCES.items()]


def page(number: int, now: datetime) -> tuple[Listed, ...]:
    """A page of recordings that nobody has listed before; ids as random as a provider's."""
    made = []
    for at in range(number * PAGE, (number + 1) * PAGE):
        mixed = at * 2_654_435_761 & 0xFFFFFFFF
        ident, room = (f"{mixed:08x}-0000-4000-9000-{value:012x}" for value in (at, at // 20))
        ended = now - timedelta(minutes=1, seconds=at % 3600)
        raw = {"id": ident, "status": "completed", "codec": "vp8", "type": "video", "size_mb": 0.4, "ended_at": ended.isoformat()}
        made.append(
            Listed(
                recording_id=ident,
                status=ProviderStatus.COMPLETED,
                status_raw="completed",
                renditions=("media",),
                raw=raw,
                started_at=ended - timedelta(minutes=10),
                ended_at=ended,
                duration=600.0,
                media_type="video",
                codec="vp8",
                room_id=room,
                room_name="a room",
            )
        )
    return tuple(made)


def outcomes(entry: Entry) -> list[Outcome]:
    """Stored, then verified: two lines of history."""
    facts = {
        "key": f"rooms/2026/01/01/{entry.recording_id}/media.webm",
        "size": 250_000,
        "sha256": DIGEST,
        "token": DIGEST[:32],
        "content_type": "video/webm",
        "proof": {"SHA256": DIGEST},
    }
    stored = Outcome(entry=entry, event=Event.STORED, facts=facts, delay=timedelta(minutes=1))
    after = dataclasses.replace(entry, state=State.STORED, revision=entry.revision + 1, **facts)
    return [stored, Outcome(entry=after, event=Event.VERIFIED, facts={}, reason="the store's checksum")]


class Work:
    """A catalog, and how many pages each question looked at."""

    def __init__(self, catalog: SqlCatalog, pages: Pages, now: datetime) -> None:
        self.catalog, self.pages, self.now = catalog, pages, now
        self.looked: dict[str, list[int]] = {}

    async def counted(self, name: str, act: Callable[[], Awaitable[T]]) -> T:
        """Runs one question and counts its pages."""
        await self.pages.settle()
        before = self.pages.read()
        result = await act()
        await self.pages.settle()
        self.looked.setdefault(name, []).append(self.pages.read() - before)
        return result

    async def questions(self) -> None:
        """Everything that a poll and a worker ask, TIMES each; new pages leave work for the claims."""
        for number in range(TIMES):
            listed = page(number, self.now)
            await self.counted("page, 250 new", partial(self.catalog.add_page, SOURCE, KIND, listed))
            await self.counted("page, 250 unchanged", partial(self.catalog.add_page, SOURCE, KIND, listed))
            entries = await self.counted("claim of 50", partial(self.catalog.claim, BATCH, sources=list(SOURCES)))
            done = [item for entry in entries for item in outcomes(entry)]
            await self.counted("50 stored and verified, with history", partial(self.catalog.save, done))
            await self.counted("status", self.status)
            await self._poll()

    async def status(self) -> None:
        """The document behind `archiver status`."""
        await self.catalog.database.ask(lambda conn: reports.status(conn, self.now, CONFIGURED))

    async def _poll(self) -> None:
        """What a poll asks and notes beside its pages, and what a worker asks between its batches."""
        window = live_window(now=self.now, watermark=self.now, lookback=timedelta(hours=48))
        result = PassResult(
            listing="ended",
            window=window,
            started_at=datetime.now(UTC),
            complete=True,
            listed=0,
            new=0,
            requests=1,
            ids_sha256=ids_sha256(frozenset()),
        )
        poll = self.catalog
        await self.counted("poll: state of the source", partial(poll.source_state, SOURCE))
        await self.counted("poll: what was confirmed", partial(poll.confirmed_ids, SOURCE, "ended", window))
        await self.counted("poll: the pass noted", partial(poll.finish_pass, SOURCE, KIND, [result], watermark=self.now))
        await self.counted("poll: what ended in its window", partial(poll.ended_between, SOURCE, window.start, window.end))
        await self.counted("poll: what is open at the provider", partial(poll.open_recordings, SOURCE, limit=200))
        await self.counted("poll: rooms not asked for", partial(poll.rooms_missing, SOURCE, limit=100))
        await self.counted("worker: when something is due", partial(poll.next_due, sources=list(SOURCES)))
        await self.counted("worker: heartbeat", poll.heartbeat)

    async def recordings(self, batches: int) -> dict[str, Any]:
        """CPU of claim, completion and history, for each recording in batches of 50; of a page's items, listed anew and again."""
        found: dict[str, list[float]] = {"claim": [], "completion and history": [], "item new": [], "item unchanged": []}
        for number in range(batches):
            listed = page(TIMES + number, self.now)
            await _timed(found["item new"], PAGE, partial(self.catalog.add_page, SOURCE, KIND, listed))
            await _timed(found["item unchanged"], PAGE, partial(self.catalog.add_page, SOURCE, KIND, listed))
        for _ in range(batches * PAGE // BATCH):
            entries = await _timed(found["claim"], BATCH, partial(self.catalog.claim, BATCH, sources=list(SOURCES)))
            done = [item for entry in entries for item in outcomes(entry)]
            late = await _timed(found["completion and history"], BATCH, partial(self.catalog.save, done))
            if late or len(entries) != BATCH:
                raise RuntimeError(f"{len(entries)} claimed, {len(late)} outcomes came too late")
        together = [a + b for a, b in zip(found["claim"], found["completion and history"], strict=True)]
        return {name: round(1000 * median(each), 4) for name, each in {**found, "recording": together}.items()}


async def _timed(costs: list[float], items: int, act: Callable[[], Awaitable[T]]) -> T:
    before = time.process_time()
    result = await act()
    costs.append((time.process_time() - before) / items)
    return result


async def measured(url: str, now: datetime, batches: int) -> dict[str, Any]:
    """All figures of one catalog."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(url, clock=lambda: now))
        pages: Pages = stack.enter_context(closing(SqlitePages() if database.sqlite else PostgresPages(url, database)))
        catalog = SqlCatalog(database, this_worker("bench", "localhost", "0" * 32))
        await catalog.enter()
        work = Work(catalog, pages, now)
        await work.status()  # what a connection reads when it begins is not the questions'
        work.looked.clear()
        await work.questions()
        began = time.perf_counter()
        await work.status()
        seconds = time.perf_counter() - began
        cpu = await work.recordings(batches) if batches else {}
        await catalog.leave()
    return {
        "pages": {name: median(each) for name, each in work.looked.items()},
        "status_wall_s": round(seconds, 4),
        "cpu_ms": cpu,
    }


def main(words: Sequence[str]) -> None:
    """Prints the figures of the catalog at a URL."""
    url, now, batches = words
    found = asyncio.run(measured(url, datetime.fromtimestamp(float(now), UTC), int(batches)))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
