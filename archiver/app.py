"""The composition root: what the program is made of, opened and closed in one place; the only `datetime.now`.

Long, because everything is put together here and nowhere else: one list of parts is read more easily than five.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import random
import secrets
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from archiver.catalog import notes, schema
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import Database, sqlite_path
from archiver.catalog.holder import sole_daemon
from archiver.catalog.keeping import SqlKeeping
from archiver.catalog.leases import this_worker
from archiver.domain import errors
from archiver.pipeline.budget import ByteBudget
from archiver.pipeline.discover import Discovery
from archiver.pipeline.erase import recall
from archiver.pipeline.health import Health
from archiver.pipeline.locking import LockedTransfer
from archiver.pipeline.pace import Pace
from archiver.pipeline.pump import Pump
from archiver.pipeline.ranges import Ranges
from archiver.pipeline.tally import Tally
from archiver.pipeline.transfer import Transfer
from archiver.pipeline.verify import Verifier
from archiver.policies import lock_for_evidence, locking, policies
from archiver.providers.registry import open_provider
from archiver.providers.settings import Credentials, SourceOptions
from archiver.storage.filesystem import Filesystem
from archiver.storage.s3 import S3
from archiver.storage.settings import S3Settings
from archiver.telemetry import Metrics, register_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from archiver.config import Secret, Settings, SourceSettings, StorageSettings
    from archiver.domain.ports import Abilities, Clock, Lock, Provider, Storage
    from archiver.domain.work import Outcome
    from archiver.pipeline.locking import Locking

log = structlog.get_logger()

VERSION = importlib.metadata.version("recording-archiver")
BUFFERS = 64 * 1024 * 1024  # bytes that all transfers' buffers may hold together; see docs/decisions on memory
ARCHIVING = ("run", "sync", "backfill")  # commands that take up what is listed, so they must know first what was erased
ABILITIES = "abilities of the store"  # the note that keeps what a probe found …
PROBED = timedelta(days=1)  # … for so long
GOODBYE = 5.0  # seconds that handing claims back may take at the end


def elapsed() -> float:
    """Seconds that no setting of a clock changes and that pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    """The machine's time, chance and identity."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def chance(self) -> float:
        return random.random()  # noqa: S311 -- jitter, not a secret

    def token(self) -> str:
        return secrets.token_hex(16)


class Counting:
    """The pipeline's Observer, told on to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def transferred(self, *, source: str, result: str, size: int, seconds: float) -> None:
        self._metrics.transfer_ended(source, result, timedelta(seconds=seconds))
        self._metrics.bytes_received(source, size)

    def archived_late(self, seconds: float) -> None:
        self._metrics.archived_after(timedelta(seconds=seconds))

    def fixity_checked(self, result: str) -> None:
        self._metrics.fixity_checked(result)

    def lost(self, source: str) -> None:
        self._metrics.lost(source)

    def inflight(self, count: int) -> None:
        self._metrics.set_inflight(count)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The opened program."""

    settings: Settings
    clock: Clock
    database: Database
    catalog: SqlCatalog
    storage: Storage
    providers: dict[str, Provider]
    metrics: Metrics
    health: Health
    locking: Locking

    def source(self, name: str) -> SourceSettings:
        """The settings of a source."""
        return next(item for item in self.settings.sources if item.name == name)

    def discovery(self, name: str) -> Discovery:
        """Discovery of one source."""
        return Discovery(
            provider=self.providers[name], catalog=self.catalog, clock=self.clock, lookback=self.source(name).lookback
        )

    def discoveries(self) -> dict[str, Discovery]:
        """Discovery of every opened source."""
        return {name: self.discovery(name) for name in self.providers}

    def lock_for_ledger(self, now: datetime) -> Lock | None:
        """The lock of a piece of evidence written now; none where the store is known to give none at creation."""
        return lock_for_evidence(self.settings, now) if self.storage.abilities.lock else None

    def tally(self) -> Tally:
        """Fresh counters for a run."""
        return Tally(list(self.providers))

    def pump(self, *, done: Callable[[Outcome], None] | None = None) -> Pump:
        """A pump over the opened sources."""
        observer = Counting(self.metrics)
        part_size, concurrency = self.storage.part_size, self.settings.transfer.concurrency
        budget, pace = ByteBudget(max(BUFFERS, part_size)), Pace(self.settings.transfer.bandwidth, self.clock)
        transfer = Transfer(
            providers=self.providers,
            storage=self.storage,
            catalog=self.catalog,
            clock=self.clock,
            budget=budget,
            pace=pace,
            lock_for=self.locking.lock_for,
            version=VERSION,
            ranges=Ranges(clock=self.clock, budget=budget, pace=pace, connections=concurrency, part_size=part_size),
        )
        return Pump(
            catalog=self.catalog,
            transfer=LockedTransfer(transfer, self.locking, max_attempts=self.settings.transfer.max_attempts),
            verifier=Verifier(storage=self.storage, mode=self.settings.storage.verify, observer=observer),
            health=self.health,
            clock=self.clock,
            observer=observer,
            concurrency=concurrency,
            max_attempts=self.settings.transfer.max_attempts,
            done=done,
        )


def source_options(item: SourceSettings, *, min_rate: float) -> SourceOptions:
    """A provider's options from its configuration."""

    def reveal(secret: Secret | None) -> str:
        return secret.reveal() if secret is not None else ""

    return SourceOptions(
        name=item.name,
        base_url=item.base_url,
        media_hosts=item.media_hosts,
        formats=item.formats,
        min_rate=min_rate,
        credentials=Credentials(
            api_key=reveal(item.api_key),
            account_sid=item.account_sid,
            username=item.api_key_sid,
            password=reveal(item.api_key_secret) or reveal(item.auth_token),
        ),
    )


def make_storage(settings: StorageSettings, clock: Clock) -> Storage:
    """The configured store, not yet probed; raises ConfigurationError."""
    if settings.directory is not None:
        return Filesystem(settings.directory, settings.part_size, clock.token)
    options = S3Settings(
        bucket=settings.bucket,
        prefix=settings.prefix,
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        addressing_style=settings.addressing_style,
        object_lock=settings.object_lock,
        storage_class=settings.storage_class,
        sse=settings.sse,
        kms_key_id=settings.kms_key_id,
        expected_bucket_owner=settings.expected_bucket_owner,
        part_size=settings.part_size,
        allow_http=settings.allow_http,
    )
    return S3(options, clock.token, clock.now)


@asynccontextmanager
async def open_database(settings: Settings, clock: Clock, *, upgrade: bool | None = None) -> AsyncIterator[Database]:
    """The catalog's database with a schema that fits; `upgrade` None follows `catalog.auto_upgrade`."""
    url = settings.catalog.url.reveal()
    before = await schema.ready(url, upgrade=settings.catalog.auto_upgrade if upgrade is None else upgrade)
    if not before.current:
        log.info("catalog_upgraded", was=before.found or "empty", now=before.head)
    async with Database(url, clock=clock.now, elapsed=elapsed) as database:
        yield database


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    command: str,
    only: Sequence[str] = (),
    clock: Clock | None = None,
    probe: bool = True,
    providers: bool = True,
) -> AsyncIterator[App]:
    """Opens everything a working command needs and closes it again, last opened first.

    `only` names the sources to open, all when empty; without `providers` none is. Raises ConfigurationError, SchemaMismatch,
    CatalogHeld, CatalogUnavailable, StorageRefused, StorageUnavailable.
    """
    clock = clock or SystemClock()
    for secret in settings.secrets:
        register_secret(secret.reveal())
    names = [item.name for item in settings.sources if providers and (not only or item.name in only)]
    metrics = Metrics(version=VERSION, sources=names)
    worker = this_worker(command, socket.gethostname(), clock.token())
    async with AsyncExitStack() as stack:
        path = sqlite_path(settings.catalog.url.reveal())
        if command == "run" and path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(sole_daemon(path, worker.name))
        database = await stack.enter_async_context(open_database(settings, clock))
        catalog = SqlCatalog(database, worker)
        returned = await catalog.enter()
        stack.push_async_callback(goodbye, catalog)
        if returned:
            log.info("took_over", claims=returned)
        storage = make_storage(settings.storage, clock)
        stack.push_async_callback(storage.aclose)
        if probe:
            for note in (await probed(storage, database)).notes:
                log.warning("storage_note", note=note)
        if command in ARCHIVING:
            keeping = SqlKeeping(database, worker.name)
            await keeping.remember(policies(settings))
            await recall(storage, keeping)
        opened: dict[str, Provider] = {}
        stack.push_async_callback(close_all, opened)
        for item in settings.sources:
            if item.name in names:
                options = source_options(item, min_rate=settings.transfer.min_rate)
                opened[item.name] = open_provider(item.provider, options, clock, observe(metrics, item.name))
        yield App(
            settings=settings,
            clock=clock,
            database=database,
            catalog=catalog,
            storage=storage,
            providers=opened,
            metrics=metrics,
            health=Health(clock, names),
            locking=locking(settings, storage, clock),
        )


async def probed(storage: Storage, database: Database) -> Abilities:
    """What the store enforces: as a probe of the last day found it, else as one finds it now.

    A probe is some thirty requests, which a run every few minutes need not repeat. Raises StorageRefused, StorageUnavailable.
    """
    if not isinstance(storage, S3):
        return await storage.probe()
    now = await database.now()
    known = await database.ask(lambda conn: notes.noted(conn, ABILITIES))
    if known is not None and timedelta(0) <= now - known[1] < PROBED and await storage.recall(known[0]):
        return storage.abilities
    await storage.probe()
    await database.write(lambda tx: notes.note(tx, ABILITIES, storage.memory()))
    return storage.abilities


def observe(metrics: Metrics, source: str) -> Callable[[str, str], None]:
    """Counts a source's requests."""
    return lambda endpoint, code: metrics.provider_asked(source, endpoint, code)


async def close_all(providers: dict[str, Provider]) -> None:
    """Closes whatever providers are there at the end; a rotated secret may have replaced some."""
    for provider in providers.values():
        await provider.aclose()


async def goodbye(catalog: SqlCatalog) -> None:
    """Hands claims back and signs the worker off; a database that cannot be reached frees them by itself when leases end."""
    try:
        async with asyncio.timeout(GOODBYE):
            returned = await catalog.hand_back()
            await catalog.leave()
    except (errors.CatalogError, TimeoutError) as error:
        log.warning("claims_not_handed_back", error=str(error))
        return
    if returned:
        log.info("handed_back", claims=returned)
