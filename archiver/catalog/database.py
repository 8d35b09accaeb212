"""One database behind one URL: connections, transactions, the clock they go by, and errors translated."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import sqlalchemy as sa

from archiver.catalog import stepped, tallies
from archiver.catalog.threads import Threads
from archiver.domain.errors import CatalogError, CatalogUnavailable
from archiver.domain.stepping import StepWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")
TRIES = 6  # of a unit that lost a race (deadlock, serialization failure, duplicate key): each try starts afresh
BUSY_MS = 30_000  # another process may write to the same SQLite file; its transactions are short
RACES = frozenset({"40001", "40P01", "23505", "55P03"})


@dataclass(frozen=True, slots=True)
class Tx:
    """A write transaction under way, with the instant it goes by."""

    conn: AsyncConnection
    now: datetime
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)  # renditions by source and state, as far as it changes them

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Runs one statement; a list of parameter sets runs it for each of them."""
        return await self.conn.execute(statement, parameters)


def driver_url(url: str) -> sa.URL:
    """The SQLAlchemy URL for a configured one: `sqlite:///…` with Python's own driver, `postgresql://…` with the one we ship."""
    parsed = sa.make_url(url)
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return parsed.set(drivername="sqlite")
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise CatalogError(f"catalog.url names a database {kind!r}; accepted: sqlite:///PATH, postgresql://USER@HOST/DB")


def shown(url: sa.URL) -> str:
    """The URL as its owner wrote it, without the password."""
    return url.render_as_string(hide_password=True).replace("+psycopg", "")


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, None for other databases."""
    parsed = driver_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def prepare(engine: sa.Engine) -> None:
    """Gives a SQLite engine the settings its promises rest on; others are left alone."""
    if engine.dialect.name != "sqlite":
        return
    path = Path(engine.url.database or "")

    @sa.event.listens_for(engine, "do_connect")
    def connecting(*_given: Any) -> None:
        if problem := _unusable(path):  # asked here, because the driver's thread outlives a failure to open
            raise CatalogUnavailable(f"the catalog at sqlite:///{path} cannot be used now: {problem}")

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        try:
            connection.isolation_level = None  # the driver's own BEGIN is deferred and comes late (F18)
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()  # the pool forgets it, and its thread would wait for ever
            raise
        record.info["file"] = _identity(path)

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        if connection.info["file"] != _identity(path):  # SQLite would go on writing to a file that nobody will ever read
            raise CatalogUnavailable(f"{path} was deleted or replaced while it was in use", hint="start again")
        reading = connection.get_execution_options().get("archiver_reads", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _unusable(path: Path) -> str | None:
    """Why a SQLite file cannot be opened; None where nothing speaks against it."""
    if path.is_dir():
        return "it is a folder"
    if not path.parent.is_dir():
        return "its folder does not exist"
    readable = os.access(path, os.R_OK) if path.exists() else os.access(path.parent, os.W_OK)
    return None if readable else "permission denied"


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to, None where to none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def translated(error: Exception, *, where: str) -> CatalogError:
    """Our error for a foreign one; its text names no statement and no parameter."""
    if isinstance(error, UnicodeError):
        return CatalogError(f"the catalog at {where} refused: text with a lone surrogate, which its reader should have escaped")
    original = getattr(error, "orig", None) or error
    text = str(original).strip().splitlines()[0] if str(original).strip() else type(original).__name__
    if isinstance(error, OSError | sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError):
        return CatalogUnavailable(f"the catalog at {where} cannot be used now: {text}")
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return CatalogUnavailable(f"the connection to the catalog at {where} was lost: {text}")
    return CatalogError(f"the catalog at {where} refused: {text}")


def lost_race(error: sa.exc.DBAPIError) -> bool:
    """Whether running the whole unit again is the answer."""
    original = error.orig
    if getattr(original, "sqlstate", None) in RACES:
        return True
    return isinstance(original, sqlite3.Error) and ("locked" in str(original) or "UNIQUE" in str(original))


def _over_network(url: sa.URL) -> AsyncEngine:
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 -- it brings the ORM with it, which SQLite needs not

    options = {"connect_timeout": 10, "application_name": "archiver"}
    return create_async_engine(url, pool_size=5, max_overflow=5, pool_timeout=30, pool_pre_ping=True, connect_args=options)


class Database:
    """An open database. SQLite goes by `clock`, this machine's own; PostgreSQL by its own clock, whoever asks,
    unless `clock_rules` (simulations under a virtual clock). With `elapsed`, as in StepWatch, it notices when that clock is set.
    """

    def __init__(
        self, url: str, *, clock: Callable[[], datetime], clock_rules: bool = False, elapsed: Callable[[], float] | None = None
    ) -> None:
        self.url = driver_url(url)
        self.where = shown(self.url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self._clock = clock
        self._by_clock = clock_rules or self.sqlite
        self.steps = StepWatch("the catalog's clock", elapsed) if elapsed else None
        if self.steps is not None and self._by_clock:
            self.steps.see(clock())
        self._writing = asyncio.Lock()  # SQLite has one writer: waiting here is fair and costs no busy loop
        self._engine: AsyncEngine | Threads = Threads(self.url) if self.sqlite else _over_network(self.url)
        prepare(self._engine.sync_engine)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if isinstance(self._engine, Threads):
            await self._engine.aclose()
        else:
            await self._engine.dispose()

    async def write(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Runs `unit` in one transaction, again when it lost a race; raises CatalogUnavailable, CatalogError."""
        for attempt in range(1, TRIES + 1):
            try:
                return await self._once(unit)
            except sa.exc.DBAPIError as error:
                if attempt == TRIES or not lost_race(error):
                    raise self._failure(error) from None
                await asyncio.sleep(0.02 * 2**attempt)
            except (OSError, UnicodeError, sa.exc.SQLAlchemyError) as error:
                raise self._failure(error) from None
        raise AssertionError("the last try returns or raises")

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """The answer to a question that takes several statements, in one read transaction; the same errors as `write`."""
        if not isinstance(self._engine, Threads):
            async with self.read() as conn:
                return await question(conn)
        try:
            return await self._engine.read(question)
        except (OSError, sa.exc.SQLAlchemyError) as error:
            raise self._failure(error) from None

    async def _once(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        if isinstance(self._engine, Threads):
            return await self._engine.write(lambda conn: self._whole(unit, Tx(conn, self._clock())))
        if not self.sqlite:
            async with self._engine.begin() as conn:
                return await self._whole(unit, Tx(conn, await self._now(conn)))
        async with self._writing, self._engine.begin() as conn:
            return await self._whole(unit, Tx(conn, await self._now(conn)))

    async def _whole(self, unit: Callable[[Tx], Awaitable[T]], tx: Tx) -> T:
        """The unit, and what follows from all that it did and from when."""
        result = await unit(tx)
        await tallies.write(tx.conn, tx.moves)
        if self.steps is not None and (said := self.steps.see(tx.now)) is not None:
            await stepped.keep(tx, said)
        return result

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a read transaction; the same errors as `write`."""
        try:
            async with self._engine.connect() as conn:
                if not isinstance(self._engine, Threads):
                    await conn.execution_options(archiver_reads=True)
                yield conn
                if not self.sqlite:
                    await conn.commit()  # not rolled back: at a ROLLBACK psycopg forgets every statement that it has prepared
        except sa.exc.SQLAlchemyError as error:  # nothing wider: an OSError here would be the caller's own
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> BaseException:
        """What to raise for a foreign error. A task that was cancelled while it waited for a connection that broke is told of the
        break alone: psycopg asks the server to cancel the query, and raises what comes of that in the place of the cancellation.
        """
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return asyncio.CancelledError()
        return translated(error, where=self.where)

    def steady(self, now: datetime | None) -> bool:
        """Whether nobody has seen the clock being set; `now` is what PostgreSQL's own said in a question."""
        moment = self._clock() if self._by_clock or now is None else now.astimezone(UTC)
        return self.steps is None or self.steps.see(moment) is None

    async def now(self) -> datetime:
        """The instant the catalog goes by."""
        if self._by_clock:
            return self._clock()
        async with self.read() as conn:
            return await self._now(conn)

    async def _now(self, conn: AsyncConnection) -> datetime:
        if self._by_clock:
            return self._clock()
        moment: datetime = (await conn.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
        return moment.astimezone(UTC)
