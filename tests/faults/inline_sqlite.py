"""SQLite called in the loop itself: the driver's thread would make the order of events a matter of luck, and costs most of the time.

Everything above the driver is the product's own: engine, pragmas, transactions, errors. A transaction is not interrupted, which
loses nothing: SQLite runs one writer at a time anyway, and what lies between two transactions is interleaved all the same.
"""

import contextlib
import sqlite3

from sqlalchemy.ext.asyncio import create_async_engine

from archiver.catalog.database import Database, driver_url, prepare

_engines = {}  # by address: what an engine has compiled is used by all that come after it, a tenth of a second's work


def _engine(url):
    if url not in _engines:
        _engines[url] = create_async_engine(url, pool_size=5, max_overflow=50, connect_args={"async_creator_fn": _Connection})
        prepare(_engines[url].sync_engine)
    return _engines[url]


class InlineDatabase(Database):
    """A Database over a SQLite file, without threads. All of one address share connections, until `closed` is left."""

    def __init__(self, url, *, clock):
        super().__init__(url, clock=clock, clock_rules=True)
        self._engine = _engine(self.url)

    async def __aexit__(self, *_exc):
        """Connections outlive a simulated process."""


@contextlib.asynccontextmanager
async def closed(url):
    """Closes what was opened in the block at this address."""
    try:
        yield
    finally:
        await _engine(driver_url(url)).dispose()


class _Connection:
    """What SQLAlchemy's asynchronous dialect asks of aiosqlite."""

    def __init__(self, *arguments, **options):
        self._conn = self._connection = sqlite3.connect(*arguments, **options)
        self._tx = _AtOnce()

    def __await__(self):
        return self._opened().__await__()

    async def _opened(self):
        return self

    def cursor(self):
        return _Cursor(self._conn.cursor())

    async def create_function(self, *arguments, **options):
        self._conn.create_function(*arguments, **options)

    async def commit(self):
        self._conn.commit()

    async def rollback(self):
        self._conn.rollback()

    async def close(self):
        self.stop()

    def stop(self):
        self._conn.close()


class _AtOnce:
    """The queue to a thread that is not there."""

    @staticmethod
    def put_nowait(item):
        future, function = item
        future.set_result(function())


class _Cursor:
    def __init__(self, cursor):
        self._cursor = cursor

    async def __aenter__(self):
        return self

    @property
    def description(self):
        return self._cursor.description

    @property
    def rowcount(self):
        return self._cursor.rowcount

    @property
    def lastrowid(self):
        return self._cursor.lastrowid

    async def execute(self, *arguments):
        self._cursor.execute(*arguments)

    async def executemany(self, *arguments):
        self._cursor.executemany(*arguments)

    async def fetchall(self):
        return self._cursor.fetchall()

    async def close(self):
        self._cursor.close()
