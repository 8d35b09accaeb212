"""What happens to files happens to a SQLite catalog: locked, full, deleted, replaced, no database at all (3c, F18)."""

import asyncio
import contextlib
import sqlite3
import threading

import pytest
import sqlalchemy as sa

from archiver.catalog.database import Database, sqlite_path
from archiver.catalog.tables import recordings, renditions
from archiver.domain.errors import CatalogError, CatalogUnavailable
from tests.catalog.test_faults import asks
from tests.catalog.world import KIND, NOON, SOURCE, Clock, a_listing


async def test_a_file_locked_by_another_process_is_waited_for(lite):
    path = sqlite_path(lite.url)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(lite.lists(a_listing()))
        async with lite.me.database.read() as conn:  # readers do not wait
            await conn.execute(sa.select(recordings))
        assert not writing.done()
        other.execute("COMMIT")
        assert (await writing).new == 1


async def test_a_reader_that_turns_writer_cannot_lose_to_a_snapshot(lite):
    await asyncio.gather(*(who.add_page(SOURCE, KIND, [a_listing(f"r{n}")]) for n in range(20) for who in (lite.me, lite.you)))
    assert await lite.count(recordings) == 20


async def test_whoever_will_write_keeps_other_writers_out_from_the_first_thing_that_it_reads(lite):
    told = []

    async def unit(tx):
        await tx.conn.execute(sa.select(recordings))
        with contextlib.closing(sqlite3.connect(sqlite_path(lite.url), isolation_level=None, timeout=0)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                told.append(str(error))

    await lite.me.database.write(unit)
    assert told == ["database is locked"]


async def test_a_full_disk_is_unavailable_and_what_was_there_stays(lite):
    await lite.lists(a_listing())
    pages = (await lite.rows(sa.text("PRAGMA page_count")))[0][0]
    full = lambda connection, _record: connection.execute(f"PRAGMA max_page_count={pages}").close()  # noqa: E731
    engine = lite.me.database._engine.sync_engine
    await lite.me.database._engine.dispose()
    sa.event.listen(engine, "connect", full)
    with pytest.raises(CatalogUnavailable, match="full"):
        await lite.lists(*(a_listing(f"n{n}", raw={"x": "y" * 5000}) for n in range(200)))
    sa.event.remove(engine, "connect", full)
    await lite.me.database._engine.dispose()
    assert await lite.count(recordings) == 1
    assert (await lite.lists(a_listing("r2"))).new == 1


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_file_that_is_deleted_or_replaced_under_the_program_takes_no_more_work(lite, how):
    await lite.lists(a_listing())
    path = sqlite_path(lite.url)
    path.rename(path.with_name(f"{path.name}.away"))
    if how == "replaced":
        path.write_bytes(path.with_name(f"{path.name}.away").read_bytes())
    for ask in asks(lite.me):
        with pytest.raises(CatalogUnavailable, match="deleted or replaced"):
            await ask()


async def test_what_is_no_database_is_told_as_such_and_leaves_no_thread_behind(tmp_path):
    before = set(threading.enumerate())
    (tmp_path / "junk.db").write_bytes(b"this is no database at all" * 100)
    (tmp_path / "folder.db").mkdir()
    for name, error in (("junk.db", CatalogError), ("folder.db", CatalogUnavailable), ("missing/catalog.db", CatalogUnavailable)):
        async with Database(f"sqlite:///{tmp_path}/{name}", clock=Clock()) as database:
            with pytest.raises(error, match="catalog at sqlite:///"):
                await database.write(lambda tx: tx.execute(sa.select(recordings)))
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


async def test_every_commit_reaches_the_disk_and_foreign_keys_are_held(lite):
    async def pragmas(tx):
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [(await tx.execute(sa.text(f"PRAGMA {name}"))).scalar() for name in names]

    assert await lite.me.database.write(pragmas) == ["wal", 2, 1, 30_000]
    with pytest.raises(CatalogError, match="FOREIGN KEY"):
        await lite.me.database.write(
            lambda tx: tx.execute(sa.text("UPDATE recordings SET id = id + 1000")) if False else _orphan(tx)
        )


async def _orphan(tx):
    row = {"recording_pk": 4711, "source": SOURCE, "name": "x", "state": "due", "due_at": NOON, "changed_at": NOON}
    await tx.execute(sa.insert(renditions), [row])
