"""The pipeline on a stage: fake provider and store, a real SQLite catalog, and time that passes by itself when nothing happens."""

import contextlib
from dataclasses import dataclass, field, replace
from datetime import timedelta

import sqlalchemy as sa

from archiver.catalog import invariants
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import Database
from archiver.catalog.leases import Worker
from archiver.catalog.tables import ledger, passes, quarantine, recordings, renditions, sources, superseded
from archiver.domain.recording import Entry, State
from archiver.pipeline.budget import ByteBudget
from archiver.pipeline.discover import Discovery
from archiver.pipeline.health import Health
from archiver.pipeline.pace import Pace
from archiver.pipeline.pump import Pump
from archiver.pipeline.tally import Tally
from archiver.pipeline.transfer import Transfer
from archiver.pipeline.verify import Verifier
from tests.pipeline.clock import Counted, VirtualClock
from tests.pipeline.fake_provider import FakeProvider
from tests.pipeline.memory_store import MemoryStore

LOOKBACK = timedelta(hours=48)
VERSION = "1.2.3"


@dataclass
class Observed:
    """The Observer port, as lists."""

    ended: list = field(default_factory=list)
    late: list = field(default_factory=list)
    fixity: list = field(default_factory=list)
    lost_sources: list = field(default_factory=list)
    inflights: list = field(default_factory=list)

    def transferred(self, *, source, result, size, seconds):
        self.ended.append((source, result, size))

    def archived_late(self, seconds):
        self.late.append(seconds)

    def fixity_checked(self, result):
        self.fixity.append(result)

    def lost(self, source):
        self.lost_sources.append(source)

    def inflight(self, count):
        self.inflights.append(count)


class Stage:
    """One worker's pipeline; `sources` are fake providers by name, the first of them is `provider`."""

    def __init__(self, url, clock, database, *providers, store=None, name="me", catalog=None):
        self.url = url
        self.clock = clock
        self.database = database
        self.plain_catalog = catalog or SqlCatalog(database, Worker(name=name, host="here", pid=1, born=1, command="test"))
        self.catalog = Counted(self.plain_catalog, clock)
        self.providers = {provider.source: provider for provider in providers}
        self.provider = providers[0]
        self.store = store or MemoryStore(clock=clock)
        self.observed = Observed()
        self.health = Health(clock, list(self.providers))
        self.tally = Tally(list(self.providers))
        self.outcomes = []
        for provider in providers:
            provider.clock = clock

    def discovery(self, source=None):
        provider = self.providers[source] if source else self.provider
        return Discovery(provider=provider, catalog=self.catalog, clock=self.clock, lookback=LOOKBACK)

    async def poll(self, source=None):
        return await self.discovery(source).poll()

    def transfer(self, *, budget=10**9, lock=None, storage=None):
        return Transfer(
            providers=self.providers,
            storage=storage or self.store,
            catalog=self.catalog,
            clock=self.clock,
            budget=ByteBudget(budget) if isinstance(budget, int) else budget,
            pace=Pace(None, self.clock),
            lock_for=lambda _entry: lock,
            version=VERSION,
        )

    def verifier(self, mode="auto"):
        return Verifier(storage=self.store, mode=mode, observer=self.observed)

    def pump(self, *, concurrency=4, max_attempts=3, transfer=None, verifier=None, done=None):
        def ended(outcome):
            self.outcomes.append(outcome)
            self.tally.ended(outcome)
            if done is not None:
                done(outcome)

        return Pump(
            catalog=self.catalog,
            transfer=transfer or self.transfer(),
            verifier=verifier or self.verifier(),
            health=self.health,
            clock=self.clock,
            observer=self.observed,
            concurrency=concurrency,
            max_attempts=max_attempts,
            done=ended,
        )

    async def work(self, pump=None, *, patience=3600.0):
        """Pumps until nothing is due within `patience` seconds."""

        async def enough():
            due = await self.catalog.next_due(sources=list(self.providers))
            return due is None or due > patience

        await (pump or self.pump()).run(until=enough)

    async def claimed(self, *ids):
        """The entries of recordings just listed, claimed by this worker: all that are due where none is named."""
        await self.poll()
        entries = await self.catalog.claim(50, sources=list(self.providers))
        return [entry for entry in entries if not ids or entry.recording_id in ids]

    # -- looking

    async def rows(self, query):
        async with self.database.read() as conn:
            return list((await conn.execute(query)).all())

    async def row(self, recording_id="r1", rendition="media"):
        query = sa.select(renditions).join(recordings, recordings.c.id == renditions.c.recording_pk)
        (row,) = await self.rows(query.where(recordings.c.recording_id == recording_id, renditions.c.name == rendition))
        return row

    async def recording(self, recording_id="r1"):
        (row,) = await self.rows(sa.select(recordings).where(recordings.c.recording_id == recording_id))
        return row

    async def state(self, recording_id="r1"):
        return State((await self.row(recording_id)).state)

    async def states(self):
        query = sa.select(recordings.c.recording_id, renditions.c.state)
        return dict(await self.rows(query.join(renditions, recordings.c.id == renditions.c.recording_pk)))

    async def events(self, recording_id="r1"):
        query = sa.select(ledger.c.event).where(ledger.c.recording_id == recording_id).order_by(ledger.c.id)
        return [row.event for row in await self.rows(query)]

    async def source(self, name=None):
        return await self.catalog.source_state(name or self.provider.source)

    async def passes(self):
        return await self.rows(sa.select(passes).order_by(passes.c.id))

    async def count(self, table):
        return (await self.rows(sa.select(sa.func.count()).select_from(table)))[0][0]

    async def violations(self):
        """What is wrong with the catalog, and between it and the store."""
        async with self.database.read() as conn:
            found = list(await invariants.check(conn, self.clock.now()))
            for batch in [batch async for batch in invariants.expected_objects(conn)]:
                for key, version, size in batch:
                    kept = self.store.objects.get(key)
                    if kept is None or kept.stored.version_id != version or kept.stored.size != size:
                        found.append(f"{key} {version} of {size} bytes is not in the store")
        rows = await self.rows(
            sa.select(renditions.c.key, renditions.c.sha256).where(renditions.c.state.in_(["stored", "verified"]))
        )
        import hashlib

        found += [
            f"{row.key}: its bytes are not its digest"
            for row in rows
            if row.key in self.store.objects and hashlib.sha256(self.store.content(row.key)).hexdigest() != row.sha256
        ]
        return found


_compiled = {}


def share_compiled(database):
    """Statements are compiled once for all tests and not once for each of their engines: half of a test's time."""
    engine = database._engine.sync_engine
    engine.dialect, engine._compiled_cache = _compiled.setdefault(engine.dialect.name, (engine.dialect, engine._compiled_cache))


@contextlib.asynccontextmanager
async def staged(url, *providers, clock=None, store=None, name="me"):
    """A stage over a database; leaves nothing open. The clock drives itself meanwhile."""
    providers = providers or (FakeProvider(),)
    async with contextlib.AsyncExitStack() as stack:
        own = clock is None
        clock = clock or VirtualClock()
        database = await stack.enter_async_context(Database(url, clock=clock, clock_rules=True))
        share_compiled(database)
        if own:
            await stack.enter_async_context(clock)
        yield Stage(url, clock, database, *providers, store=store, name=name)


def an_entry(**facts):
    """An entry as a worker would have claimed it, for what needs no catalog."""
    plain = Entry(
        id=1, recording_pk=1, source="rooms", recording_id="r1", rendition="media", state=State.TRANSFERRING, revision=1
    )
    return replace(plain, **facts)


TABLES = {"quarantine": quarantine, "recordings": recordings, "superseded": superseded, "sources": sources}
