"""A catalog under test: a clock that the test moves, workers, and short ways to bring things in and to look at them."""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from archiver.catalog import leases, tallies
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import Database
from archiver.catalog.leases import Worker
from archiver.catalog.tables import ledger, recordings, renditions
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Entry, Listed, ProviderStatus, State
from archiver.domain.work import Outcome

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SOURCE, KIND = "rooms", "telnyx-rooms"
HOST = "here"
DIGEST = "ab" * 32


_compiled: dict[str, Any] = {}


def opened(url: str, clock: "Clock") -> Database:
    """A database that goes by `clock`. Statements are compiled once in all the tests: that is what most of their time went into."""
    database = Database(url, clock=clock, clock_rules=True)
    engine = database._engine.sync_engine
    engine._compiled_cache = _compiled.setdefault(engine.dialect.name, engine._compiled_cache)
    return database


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


def a_listing(recording_id: str = "r1", **changes: Any) -> Listed:
    """A completed recording of an hour ago, as a provider lists it."""
    facts: dict[str, Any] = {
        "status": ProviderStatus.COMPLETED,
        "status_raw": "completed",
        "renditions": ("media",),
        "raw": {"id": recording_id},
        "started_at": NOON - timedelta(hours=2),
        "ended_at": NOON - timedelta(hours=1),
        "duration": 3600.0,
        "size": 1000,
        "codec": "opus",
    }
    return Listed(recording_id=recording_id, **{**facts, **changes})


def processing(recording_id: str = "r1", **changes: Any) -> Listed:
    """One that the provider is still at."""
    facts = {"status": ProviderStatus.PROCESSING, "status_raw": "processing", "ended_at": None, "duration": None, "size": None}
    return a_listing(recording_id, **{**facts, **changes})


STORED_FACTS = {"key": "rooms/r1/media.ogg", "version_id": "v1", "size": 1000, "sha256": DIGEST, "token": "t1"}


def stored(entry: Entry, **facts: Any) -> Outcome:
    """A transfer that succeeded."""
    return Outcome(
        entry=entry, event=Event.STORED, facts={**STORED_FACTS, "key": f"rooms/{entry.recording_id}/media.ogg", **facts}
    )


def failed_once(entry: Entry, **rest: Any) -> Outcome:
    """A transfer that failed and will be repeated."""
    facts = {"event": Event.RETRY_SCHEDULED, "reason": "reset by peer", "kind": "ProviderUnavailable"}
    return Outcome(**{"entry": entry, **facts, **rest})


def worker(name: str, *, host: str = HOST, pid: int = os.getpid(), born: int = leases.born(os.getpid())) -> Worker:
    """A worker that lives, as far as anybody on this host can see."""
    return Worker(name=name, host=host, pid=pid, born=born, command="test")


@dataclass
class World:
    """`me` and `you` are two workers on one database, each with connections of its own."""

    url: str
    clock: Clock
    me: SqlCatalog
    you: SqlCatalog
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator["World"]:
        clock = Clock()
        async with contextlib.AsyncExitStack() as stack:
            mine, yours = [await stack.enter_async_context(opened(url, clock)) for _ in range(2)]
            me, you = SqlCatalog(mine, worker("me")), SqlCatalog(yours, worker("you"))
            yield cls(url=url, clock=clock, me=me, you=you, _stack=stack)

    async def another(self, name: str, *, url: str | None = None, **who: Any) -> SqlCatalog:
        """A further worker with connections of its own, through `url` where given."""
        database = await self._stack.enter_async_context(opened(url or self.url, self.clock))
        return SqlCatalog(database, worker(name, **who))

    # -- bringing things in

    async def lists(self, *listed: Listed, source: str = SOURCE, **options: Any) -> Any:
        return await self.me.add_page(source, KIND, listed, **options)

    async def claimed(self, *ids: str) -> list[Entry]:
        """Recordings listed and claimed by `me`; one called r1 where none is named."""
        await self.lists(*(a_listing(key) for key in ids or ("r1",)))
        return list(await self.me.claim(50, sources=[SOURCE]))

    async def archived(self, *ids: str) -> None:
        """Recordings that are stored."""
        assert await self.me.save([stored(entry) for entry in await self.claimed(*ids)]) == []

    async def verified(self, *ids: str) -> None:
        """Recordings that are verified."""
        await self.archived(*ids)
        entries = await self.me.claim_stored(50, sources=[SOURCE])
        assert await self.me.save([Outcome(entry=entry, event=Event.VERIFIED) for entry in entries]) == []

    async def put(self, recording_id: str, state: State, *, source: str = SOURCE, **columns: Any) -> Entry:
        """A recording in any state, by force."""
        await self.lists(a_listing(recording_id), source=source)
        held = {"worker": "me", "lease_until": self.clock.now + timedelta(seconds=45)} if state is State.TRANSFERRING else {}
        entry = await self.entry(recording_id, source=source)
        change = sa.update(renditions).where(renditions.c.id == entry.id)
        await self.me.database.write(lambda tx: tx.execute(change.values(state=state.value, **held, **columns)))
        await self.me.database.write(lambda tx: tallies.recount(tx.conn))
        return replace(entry, state=state, **{name: columns[name] for name in columns if name in Entry.__slots__})

    # -- looking

    async def rows(self, query: sa.Select[Any]) -> list[Any]:
        async with self.me.database.read() as conn:
            return list((await conn.execute(query)).all())

    async def count(self, table: sa.Table) -> int:
        return (await self.rows(sa.select(sa.func.count()).select_from(table)))[0][0]

    async def row(self, recording_id: str = "r1", *, source: str = SOURCE, rendition: str = "media") -> Any:
        """The rendition's row."""
        query = sa.select(renditions).join(recordings, recordings.c.id == renditions.c.recording_pk)
        ours = (recordings.c.recording_id == recording_id, recordings.c.source == source, renditions.c.name == rendition)
        (row,) = await self.rows(query.where(*ours))
        return row

    async def recording(self, recording_id: str = "r1", *, source: str = SOURCE) -> Any:
        """The recording's row."""
        ours = (recordings.c.recording_id == recording_id, recordings.c.source == source)
        (row,) = await self.rows(sa.select(recordings).where(*ours))
        return row

    async def entry(self, recording_id: str = "r1", *, source: str = SOURCE) -> Entry:
        """The rendition as workers see it, without claiming it."""
        row = await self.row(recording_id, source=source)
        recording = await self.recording(recording_id, source=source)
        names = ("id", "recording_pk", "revision", "attempts", "priority", "key", "version_id", "size", "sha256", "token")
        return Entry(
            source=source,
            recording_id=recording_id,
            rendition=row.name,
            state=State(row.state),
            gone_looks=recording.gone_looks,
            archived_at=row.archived_at,
            **{name: getattr(row, name) for name in names},
        )

    async def state(self, recording_id: str = "r1") -> State:
        return State((await self.row(recording_id)).state)

    async def history(self, recording_id: str = "r1", *, source: str = SOURCE) -> list[Any]:
        """Its ledger lines, oldest first."""
        mine = (ledger.c.recording_id == recording_id, ledger.c.source == source)
        return await self.rows(sa.select(ledger).where(*mine).order_by(ledger.c.id))

    async def events(self, recording_id: str = "r1") -> list[str]:
        return [line.event for line in await self.history(recording_id)]
