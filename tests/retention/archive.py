"""An archive on a stage: a real catalog, a store that enforces locks, a provider in memory, one clock that the test moves.

async with archive(url, policies=[policy("p", "7y")], mode="governance") as it:
    await it.archived("r1", "r2")          # listed, transferred under their locks, verified
    it.clock.advance(days=3000)
    applied = await it.apply()             # the plan of now, carried out
    assert it.lawless() == []              # no deletion was asked for that a lock or a hold forbade
"""

import asyncio
import contextlib
import dataclasses
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from archiver.app import App
from archiver.catalog import erasures, holds, invariants
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import Database
from archiver.catalog.evidence_tables import segments
from archiver.catalog.leases import Worker
from archiver.catalog.selector import Selector
from archiver.catalog.tables import ledger, recordings, renditions
from archiver.config import (
    PolicySettings,
    RetentionSettings,
    Settings,
    SourceSettings,
    StorageSettings,
    parse_duration,
    parse_period,
)
from archiver.custody import Custody
from archiver.domain.ledger import segment_key
from archiver.domain.plan import read
from archiver.domain.ports import NewObject
from archiver.domain.recording import State
from archiver.domain.stepping import StepWatch
from archiver.pipeline.budget import ByteBudget
from archiver.pipeline.clocks import sure_since
from archiver.pipeline.health import Health
from archiver.pipeline.locking import LockedTransfer
from archiver.pipeline.pace import Pace
from archiver.pipeline.planning import make
from archiver.pipeline.transfer import Transfer
from archiver.pipeline.verify import Verifier
from archiver.policies import locking, rules
from archiver.telemetry import Metrics
from tests.pipeline.fake_provider import FakeProvider, recording
from tests.pipeline.stage import Observed
from tests.retention.locking_store import LockingStore

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SOURCE = "rooms"


class Clock:
    """Stands still until it is moved; who sleeps sleeps until then."""

    def __init__(self, start=NOON):
        self.at = start
        self._moved = asyncio.Event()
        self.passed = 0.0  # seconds that no setting of the clock changes
        self._tokens = 0

    def now(self):
        return self.at

    def __call__(self):
        return self.at

    def monotonic(self):
        return self.passed

    async def sleep(self, seconds):
        until = self.passed + seconds
        while self.passed < until:
            moved = self._moved
            await moved.wait()

    def chance(self):
        return 0.5

    def token(self):
        self._tokens += 1
        return f"{self._tokens:032x}"

    def advance(self, **by):
        self.at += timedelta(**by)
        self.passed += timedelta(**by).total_seconds()
        self._moved.set()
        self._moved = asyncio.Event()

    def set_to(self, at):
        """Somebody sets the clock: no time passes."""
        self.at = at


def policy(name, keep, **match):
    return PolicySettings(name=name, keep=parse_period(keep), match=match)


def source(name=SOURCE, *, delete=None, unlocked=False, provider="telnyx-rooms"):
    after = parse_duration(delete) if delete else None
    return SourceSettings(name=name, provider=provider, delete_at_provider=after, allow_unlocked_source_deletion=unlocked)


def configured(*, policies=(), sources=None, mode="", late=False, max_share=1.0, max_count=500):
    storage = StorageSettings(
        url="s3://bucket", object_lock=mode or "off", i_understand_irreversible=True, late_lock=late, part_size=5 * 1024**2
    )
    return Settings(
        storage=storage,
        sources=tuple(sources or [source()]),
        policies=tuple(policies),
        retention=RetentionSettings(max_share=max_share, max_count=max_count),
    )


class Archive:
    """One process over a catalog and a store that others may share."""

    def __init__(self, url, clock, database, settings, store, providers):
        self.url, self.clock, self.database, self.store = url, clock, database, store
        self.providers = providers
        self.provider = next(iter(providers.values()))
        self.worker = Worker(name=f"me-{clock.token()[-4:]}", host="here", pid=1, born=1, command="test")
        self.catalog = SqlCatalog(database, self.worker)
        self.observed = Observed()
        self.configure(settings)

    def configure(self, settings):
        """Starts the program anew under another configuration."""
        self.settings = settings
        self.app = App(
            settings=settings,
            clock=self.clock,
            database=self.database,
            catalog=self.catalog,
            storage=self.store,
            providers=self.providers,
            metrics=Metrics(version="1", sources=list(self.providers)),
            health=Health(self.clock, list(self.providers)),
            locking=locking(settings, self.store, self.clock),
        )
        self.restart()

    def restart(self):
        """The program ends and begins again: a new process looks at its clocks anew."""
        self.database.steps = StepWatch("the catalog's clock", self.clock.monotonic)
        self.database.steps.see(self.clock.now())
        self.custody = Custody(self.app, actor="me", elapsed=self.clock.monotonic)
        self.keeping = self.custody.keeping

    def change(self, **changes):
        """The same configuration but for these."""
        kept = {"policies": self.settings.policies, "sources": self.settings.sources, "mode": self.settings.storage.object_lock}
        kept["mode"] = "" if kept["mode"] == "off" else kept["mode"]
        limits = self.settings.retention
        self.configure(configured(**{**kept, "max_share": limits.max_share, "max_count": limits.max_count, **changes}))

    # -- bringing things in

    async def listed(self, *ids, source=SOURCE, **facts):
        provider = self.providers[source]
        for recording_id in ids:
            provider.put(recording(recording_id, **{"ended_at": self.clock.now() - timedelta(hours=1), **facts}))
            provider.has(recording_id, b"OggS" + recording_id.encode() * 20)
        await self.catalog.add_page(source, provider.kind, [provider.listed[recording_id] for recording_id in ids])

    async def work(self, *, verify=True, max_attempts=3):
        """Transfers and verifies what is due, one after the other."""
        transfer = self.transfer(max_attempts=max_attempts)
        outcomes = []
        while entries := await self.catalog.claim(50, sources=list(self.providers)):
            for entry in entries:
                outcomes.append(await transfer.archive(entry))
                assert await self.catalog.save([outcomes[-1]]) == []
        if verify:
            verifier = Verifier(storage=self.store, mode="read-back", observer=self.observed)
            for entry in await self.catalog.claim_stored(500, sources=list(self.providers)):
                await self.catalog.save([await verifier.check(entry)])
        return outcomes

    def transfer(self, *, max_attempts=3):
        plain = Transfer(
            providers=self.providers,
            storage=self.store,
            catalog=self.catalog,
            clock=self.clock,
            budget=ByteBudget(10**9),
            pace=Pace(None, self.clock),
            lock_for=self.app.locking.lock_for,
            version="1",
        )
        return LockedTransfer(plain, self.app.locking, max_attempts=max_attempts)

    async def archived(self, *ids, source=SOURCE, verify=True, **facts):
        await self.listed(*ids, source=source, **facts)
        return await self.work(verify=verify)

    # -- what is tested

    async def plan(self):
        sure = rules(self.settings).sure(await sure_since(self.keeping))
        found, _ = await make(self.keeping, sure, now=self.clock.now())
        return found

    async def apply(self, plan=None, *, allowed=None):
        planned = read((plan or await self.plan()).document())
        return await self.custody.apply(planned, allowed=allowed)

    async def hold(self, case, *, future=False, reason="a reason", **chosen):
        selector = Selector(**chosen)
        return await self.database.write(lambda tx: holds.place(tx, "somebody", case, reason, selector, future=future))

    async def release_hold(self, case, reason="over"):
        return await self.database.write(lambda tx: holds.release(tx, "somebody", case, reason))

    async def request_erasure(self, reason="asked to", **chosen):
        return await self.database.write(lambda tx: erasures.request(tx, "somebody", Selector(**chosen), reason))

    async def erasures(self):
        async with self.database.read() as conn:
            return await erasures.status(conn)

    async def seal(self):
        """A segment of the history in the archive, as far as it matters who knows of it."""
        number = await self.keeping.last_segment() + 1
        body = f"segment {number} {self.clock.token()}\n".encode()
        new = NewObject(key=segment_key(number), content_type="text/plain", metadata={})
        stored = await self.store.put(new, body, sha256=_sha256(body))
        row = {"segment": number, "first_seq": number, "last_seq": number, "count": 1, "previous_sha256": "", "sha256": "x"}
        row |= {"key": stored.key, "version_id": stored.version_id, "sealed_at": self.clock.now()}
        await self.database.write(lambda tx: tx.execute(sa.insert(segments), [row]))

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

    async def lines(self, event):
        return await self.rows(sa.select(ledger).where(ledger.c.event == event).order_by(ledger.c.id))

    def media(self):
        """Keys of the objects that are recordings."""
        return [key for key in self.store.keys_now() if not key.startswith("_")]

    def deleted(self):
        """Keys of recordings whose deletion was asked for."""
        return [call.key for call in self.store.deletions if not call.key.startswith("_")]

    def lawless(self):
        """Deletions asked for although a lock or a hold of the store stood against them (I11)."""
        return [
            call
            for call in self.store.deletions
            if not call.key.startswith("_probe/")
            and (call.legal_hold or (call.locked_until is not None and call.locked_until > call.at))
        ]

    async def violations(self):
        async with self.database.read() as conn:
            return await invariants.check(conn, self.clock.now())


def _sha256(body):
    import hashlib

    return hashlib.sha256(body).digest()


@contextlib.asynccontextmanager
async def archive(url, *, clock=None, store=None, sources=None, database=Database, **configuration):
    """An archive over a database; leaves nothing open."""
    clock = clock or Clock()
    store = store or LockingStore(part_size=5 * 1024**2, clock=clock)
    sources = sources or [source()]
    providers = {item.name: FakeProvider(source=item.name, clock=clock) for item in sources}
    settings = configured(sources=sources, **configuration)
    opened = database(url, clock=clock, clock_rules=True) if database is Database else database(url, clock=clock)
    async with opened as it:
        yield Archive(url, clock, it, settings, store, providers)


replace = dataclasses.replace
