"""Pages that a database looks at: counted by the database itself, around whatever the product does.

SQLite counts the pages that its pager is asked for (`sqlite3_db_status`: cache hits and misses), PostgreSQL the blocks of each user
table and index (`pg_statio`, the same counter that EXPLAIN's BUFFERS reads). Both count every look, not only the first at a page.
"""

from __future__ import annotations

import ctypes
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import sqlalchemy as sa

if TYPE_CHECKING:
    from archiver.catalog.database import Database

_HIT, _MISS = 7, 8  # SQLITE_DBSTATUS_CACHE_…, sqlite3.h
_DB = 16  # where a sqlite3.Connection of CPython keeps its sqlite3*: behind the object's head


class Pages(Protocol):
    """A counter of pages; `settle` makes it exact up to now."""

    async def settle(self) -> None:
        """Waits until everything so far is counted."""

    def read(self) -> int:
        """Pages looked at so far."""

    def close(self) -> None:
        """Ends the counting."""


class SqlitePages:
    """Sums over all connections opened since it was made."""

    def __init__(self) -> None:
        self._connections: list[sqlite3.Connection] = []
        self._status = _library().sqlite3_db_status
        sa.event.listen(sa.pool.Pool, "connect", self._opened)

    def _opened(self, connection: Any, _record: Any) -> None:
        self._connections.append(connection)

    async def settle(self) -> None:
        return

    def read(self) -> int:
        return sum(self._of(connection, what) for connection in self._connections for what in (_HIT, _MISS))

    def close(self) -> None:
        """Looks at no further connections."""
        sa.event.remove(sa.pool.Pool, "connect", self._opened)

    def _of(self, connection: sqlite3.Connection, what: int) -> int:
        now, most = ctypes.c_int(), ctypes.c_int()
        handle = ctypes.c_void_p.from_address(id(connection) + _DB)
        if self._status(handle, what, ctypes.byref(now), ctypes.byref(most), 0):
            raise RuntimeError("sqlite3_db_status refused")
        return now.value


def _library() -> ctypes.CDLL:
    """The very SQLite that Python's module uses."""
    maps = Path("/proc/self/maps").read_text()
    found = re.search(r"(/\S*libsqlite3\S*)", maps) or re.search(r"(/\S*_sqlite3\S*)", maps)
    if found is None:
        raise RuntimeError("no SQLite library is loaded: its pages cannot be counted")
    library = ctypes.CDLL(found[1])
    with closing(sqlite3.connect(":memory:")) as probe:  # whether the handle is where we believe it to be
        probe.execute("CREATE TABLE t (x)")
        probe.execute("INSERT INTO t VALUES (1), (2)")
        if library.sqlite3_total_changes(ctypes.c_void_p.from_address(id(probe) + _DB)) != probe.total_changes:
            raise RuntimeError("this Python keeps its SQLite handle elsewhere: its pages cannot be counted")
    return library


class PostgresPages:
    """Blocks of user tables, their indexes and TOAST; what the database reads of its own catalogs is left out."""

    def __init__(self, url: str, database: Database) -> None:
        self._admin = psycopg.connect(url, autocommit=True)
        self._database = database

    async def settle(self) -> None:
        """Lets the pool's connection, of which there is one, hand in its counts at the end of a transaction."""
        await self._database.write(lambda tx: tx.execute(sa.text("SELECT pg_stat_force_next_flush()")))

    def read(self) -> int:
        columns = [f"{part}_blks_{how}" for part in ("heap", "idx", "toast", "tidx") for how in ("hit", "read")]
        total = " + ".join(f"coalesce(sum({name}), 0)" for name in columns)
        row = self._admin.execute(f"SELECT {total} FROM pg_statio_user_tables").fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        self._admin.close()
