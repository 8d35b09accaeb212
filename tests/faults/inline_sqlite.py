"""SQLite called in the loop itself: the catalog's threads would make the order of events a matter of luck, and cost most of the time.

Everything else is the product's own: engine, pragmas, transactions, errors. A transaction is not interrupted, which loses nothing:
SQLite runs one writer at a time anyway, and what lies between two transactions is interleaved all the same.
"""

import contextlib

import sqlalchemy as sa

from archiver.catalog.database import Database, driver_url, prepare
from archiver.catalog.threads import Threads, _Here, _Wish

_engines = {}  # by address: what an engine has compiled is used by all that come after it, a tenth of a second's work


class _AtOnce(Threads):
    """The product's engine, where what its threads would do is done at once."""

    def __init__(self, url):
        self.sync_engine = sa.create_engine(url, pool_size=5, max_overflow=50, connect_args={"check_same_thread": False})
        self._reading = self.sync_engine.execution_options(archiver_reads=True)

    async def write(self, unit):
        return self._write(unit, _Wish())

    async def read(self, unit):
        return self._read(unit)

    @contextlib.asynccontextmanager
    async def connect(self):
        with self._reading.connect() as conn:
            yield _Here(conn)

    async def dispose(self):
        self.sync_engine.dispose()


def _engine(url):
    if url not in _engines:
        _engines[url] = _AtOnce(driver_url(url))
        prepare(_engines[url].sync_engine)
    return _engines[url]


class InlineDatabase(Database):
    """A Database over a SQLite file, without threads. All of one address share connections, until `closed` is left."""

    def __init__(self, url, *, clock):
        super().__init__(url, clock=clock, clock_rules=True)
        self._engine = _engine(url)

    async def __aexit__(self, *_exc):
        """Connections outlive a simulated process."""


@contextlib.asynccontextmanager
async def closed(url):
    """Closes what was opened in the block at this address."""
    try:
        yield
    finally:
        await _engine(url).dispose()
