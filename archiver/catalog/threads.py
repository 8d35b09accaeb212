"""SQLite from threads of its own: a whole transaction in one of them, so that it costs one hop and not one for each statement.

The driver blocks, so it must not run in the event loop; an asynchronous wrapper goes to its thread and back for every call, a
dozen times for one recording, which was the largest item of what a small one costs. Units of work are coroutines because on
PostgreSQL they wait for the network. Here they wait for nothing: the thread that has the connection runs them to their end.
"""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
READERS = 4  # a report may take its time; polls and claims read beside it


@dataclass(slots=True)
class _Wish:
    """Whether anybody still waits for a transaction."""

    withdrawn: bool = False


class _Here:
    """What units ask of an AsyncConnection, answered in the thread that they run in."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    @property
    def dialect(self) -> sa.Dialect:
        return self._conn.dialect

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        return self._conn.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> sa.CursorResult[Any]:
        return self._conn.exec_driver_sql(statement, parameters)


class _There(_Here):
    """The same for a caller in the event loop: each statement goes to a thread and back."""

    def __init__(self, conn: sa.Connection, readers: ThreadPoolExecutor) -> None:
        super().__init__(conn)
        self._readers = readers
        self.running: asyncio.Future[Any] | None = None

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        return await self._hop(functools.partial(self._conn.execute, statement, parameters))

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> sa.CursorResult[Any]:
        return await self._hop(functools.partial(self._conn.exec_driver_sql, statement, parameters))

    async def _hop(self, act: Callable[[], T]) -> T:
        self.running = asyncio.get_running_loop().run_in_executor(self._readers, act)
        return await asyncio.shield(self.running)


class Threads:
    """An engine with one thread that writes and a few that read; `sync_engine` is SQLAlchemy's own."""

    def __init__(self, url: sa.URL) -> None:
        options = {"pool_size": READERS + 1, "max_overflow": READERS + 1, "pool_timeout": 30}
        self.sync_engine = sa.create_engine(url, connect_args={"check_same_thread": False}, **options)
        self._reading = self.sync_engine.execution_options(archiver_reads=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="catalog-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="catalog-reader")

    async def write(self, unit: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Runs a unit in a transaction. One whose caller is cancelled is rolled back, unless it is being committed already."""
        wish = _Wish()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer, self._write, unit, wish)
        finally:
            wish.withdrawn = True

    async def read(self, unit: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Runs a unit in a read transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, unit)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a read transaction, to be used from the event loop."""
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(self._readers, self._reading.connect)
        try:
            conn = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._close_late)
            raise
        there = _There(conn, self._readers)
        try:
            yield cast("AsyncConnection", there)
        finally:
            if there.running is not None and not there.running.done():
                await asyncio.wait({there.running})  # its thread has the connection
            await asyncio.shield(loop.run_in_executor(self._readers, conn.close))

    def _close_late(self, opened: asyncio.Future[sa.Connection]) -> None:
        """Closes a connection that nobody waited for in the end."""
        if not opened.cancelled() and opened.exception() is None:
            self._readers.submit(opened.result().close)

    async def dispose(self) -> None:
        """Closes the connections; whoever comes after opens new ones."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self.sync_engine.dispose)

    async def aclose(self) -> None:
        """Closes the connections and ends the threads."""
        await self.dispose()
        self._writer.shutdown(wait=False)
        self._readers.shutdown(wait=False)

    def _write(self, unit: Callable[[AsyncConnection], Awaitable[T]], wish: _Wish) -> T:
        with self.sync_engine.connect() as conn, conn.begin() as transaction:
            result = _run(unit, conn)
            if wish.withdrawn:
                transaction.rollback()
            return result

    def _read(self, unit: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with self._reading.connect() as conn:
            return _run(unit, conn)


def _run(unit: Callable[[AsyncConnection], Awaitable[T]], conn: sa.Connection) -> T:
    """Runs a coroutine that waits for nothing but this connection."""
    coroutine = cast("Coroutine[Any, Any, T]", unit(cast("AsyncConnection", _Here(conn))))
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return cast("T", ended.value)
    coroutine.close()
    raise RuntimeError("a unit of work waited for something other than its database")
