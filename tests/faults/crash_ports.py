"""The ports of a process that may die: each call of the store and each SQL statement is an instant, and the dead reach nothing.

An instant lies before a call or statement and one behind it, when it is done and not yet answered. Where connections break instead
(`Life(lose=True)`), the one before means that it was never done, the one behind that its reply was lost.

Database drivers are called in the loop itself, so that the order of events is the program's alone.
"""

import contextlib
import functools
import inspect
import sqlite3
from dataclasses import replace

import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from archiver.catalog.database import Database, driver_url, prepare
from archiver.domain.errors import ProviderUnavailable, StorageUnavailable


class Driver:
    """One engine for the databases of all processes, so that statements are compiled once; connections are those of one `life`."""

    def __init__(self, url):
        self.url = url
        self.life = None
        options = {"pool_pre_ping": True, "use_native_hstore": False} if url.startswith("postgres") else {}
        arguments = {"async_creator_fn": self._open}
        driver = driver_url(url)
        driver = driver.set(drivername="sqlite+aiosqlite") if driver.get_backend_name() == "sqlite" else driver
        self._engine = create_async_engine(driver, pool_size=5, max_overflow=5, connect_args=arguments, **options)
        prepare(self._engine.sync_engine)
        sa.event.listen(self._engine.sync_engine, "connect", lambda _raw, record: self.life.records.append(record))

    def of(self, life):
        """The engine, with no connection open but those that this process will open."""
        self.life = life
        self._engine.sync_engine.pool = self._engine.sync_engine.pool.recreate()
        return self._engine

    async def _open(self, *given, **options):
        self.life.alive()
        sqlite = self.url.startswith("sqlite")
        raw = (sqlite3 if sqlite else psycopg).connect(*given, **options)
        self.life.connections.append(raw)
        return (_Sqlite if sqlite else _Postgresql)(self.life, raw)


class MortalDatabase(Database):
    """The program's Database, on SQLite or PostgreSQL, with a process's own connections."""

    def __init__(self, driver, *, clock, life):
        super().__init__(driver.url, clock=clock, clock_rules=True)
        self._engine = driver.of(life)


class _Connection:
    """What SQLAlchemy asks of an asynchronous driver's connection."""

    def __init__(self, life, raw):
        self._life = life
        self._raw = raw

    async def commit(self):
        self._life.alive()
        await self._life.point("sql before COMMIT", self._broken)
        self._raw.commit()
        await self._life.point("sql after COMMIT", self._broken)

    async def rollback(self):
        self._life.alive()
        self._raw.rollback()

    async def close(self):
        self._raw.close()

    def cursor(self):
        return _Cursor(self._life, self._raw.cursor(), self._broken)


class _Sqlite(_Connection):
    """Of aiosqlite."""

    def __init__(self, life, raw):
        super().__init__(life, raw)
        self._conn = self._connection = raw
        self._tx = _AtOnce()

    @staticmethod
    def _broken():
        return sqlite3.OperationalError("disk I/O error")

    async def create_function(self, *given, **options):
        self._raw.create_function(*given, **options)

    def stop(self):
        self._raw.close()


class _AtOnce:
    """aiosqlite's queue to its thread."""

    @staticmethod
    def put_nowait(item):
        future, function = item
        future.set_result(function())


class _Postgresql(_Connection):
    """Of psycopg; what is plain there is passed on."""

    def _broken(self):
        self._raw.close()
        return psycopg.OperationalError("the connection is lost")

    def __getattr__(self, name):
        return getattr(self._raw, name)

    async def set_autocommit(self, value):
        self._raw.set_autocommit(value)


class _Cursor:
    """A cursor of either driver."""

    def __init__(self, life, raw, broken):
        self._life = life
        self._raw = raw
        self._broken = broken

    def __getattr__(self, name):
        return getattr(self._raw, name)

    async def __aenter__(self):
        return self

    async def execute(self, statement, *given):
        await self._asked(statement)
        self._raw.execute(statement, *given)

    async def executemany(self, statement, rows):
        await self._asked(statement)
        self._raw.executemany(statement, rows)

    async def _asked(self, statement):
        self._life.alive()
        text = " ".join(str(statement).split()[:4])
        if text.strip(";"):  # a ping of the pool is none of the program's
            await self._life.point(f"sql before {text}", self._broken)

    async def fetchall(self):
        return self._raw.fetchall()

    async def close(self):
        self._raw.close()


class MortalStore:
    """A store as one process sees it."""

    def __init__(self, inner, life):
        self._inner = inner
        self._life = life

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if inspect.iscoroutinefunction(found):
            return functools.partial(self._call, name, found)
        return functools.partial(self._stream, name, found) if inspect.isasyncgenfunction(found) else found

    async def _call(self, name, act, *given, **options):
        self._life.alive()
        await self._life.point(f"store before {name}", _no_reply)
        result = await act(*given, **options)
        await self._life.point(f"store after {name}", _no_reply)
        return result

    async def _stream(self, name, act, *given, **options):
        self._life.alive()
        async with contextlib.aclosing(act(*given, **options)) as items:
            async for item in items:
                await self._life.point(f"store during {name}", _no_reply)
                yield item


def _no_reply():
    return StorageUnavailable("the reply was lost")


def _no_answer():
    return ProviderUnavailable("the answer was lost")


class MortalProvider:
    """A provider as one process sees it. `served` counts the bytes of media that it was sent, over all processes."""

    def __init__(self, inner, life, served):
        self._inner = inner
        self._life = life
        self._served = served

    def __getattr__(self, name):
        self._life.alive()
        return getattr(self._inner, name)

    async def delete(self, ref):
        """The only thing that changes anything there."""
        await self._life.point("provider before delete", _no_answer)
        await self._inner.delete(ref)
        await self._life.point("provider after delete", _no_answer)

    @contextlib.asynccontextmanager
    async def open_media(self, ref, rendition, *, resume=None):
        self._life.alive()
        async with self._inner.open_media(ref, rendition, resume=resume) as media:
            chunks = self._counted(media.chunks, (ref.recording_id, rendition))
            try:
                yield replace(media, chunks=chunks)
            finally:
                await chunks.aclose()

    async def _counted(self, chunks, name):
        async for chunk in chunks:
            self._life.alive()
            self._served[name] += len(chunk)
            yield chunk
