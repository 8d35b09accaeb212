"""Migrations lead up, down and up again, survive being killed anywhere, and refuse what they do not know (G27, 3c)."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import alembic.command
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from archiver.catalog import schema
from archiver.catalog.database import driver_url, sqlite_path
from archiver.catalog.indexes import metadata
from archiver.catalog.tables import recordings, renditions, rooms, rooms_due
from archiver.domain.errors import CatalogUnavailable, SchemaMismatch, StorageFull

HEAD = ScriptDirectory.from_config(schema.alembic_config()).get_current_head()
EMPTY = schema.SchemaState(found=None, head=HEAD, known=True)


@contextlib.contextmanager
def connected(url):
    """A connection of our own, for looking and for going down."""
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def downgrade(url, to="base"):
    config = schema.alembic_config()
    with schema._connected(url) as connection:
        config.attributes["connection"] = connection
        alembic.command.downgrade(config, to)


def differences(url):
    with connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)


def described(url):
    """The whole schema as the database itself describes it, without alembic's own table; partial indexes included."""
    with connected(url) as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.execute(sa.text("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))
            found = {(row.type, row.name): clauses(row.sql or "") for row in rows}
        else:
            found = {}
            for query in POSTGRES_SCHEMA:
                found |= {tuple(row[:-1]): row[-1] for row in connection.execute(sa.text(query))}
    return {key: text for key, text in found.items() if "alembic_version" not in f"{key} {text}"}


def clauses(text):
    """A CREATE statement cut at its outermost commas, in no particular order."""
    parts, depth = [""], 0
    for char in " ".join(text.split()):
        depth += {"(": 1, ")": -1}.get(char, 0)
        parts[-1] += char
        if char == "," and depth == 1:
            parts.append("")
    return sorted(part.strip(" ,)") for part in parts)


POSTGRES_SCHEMA = (
    "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
    """SELECT 'column', table_name, column_name, concat_ws(' ', data_type, is_nullable, column_default)
       FROM information_schema.columns WHERE table_schema = 'public'""",
)


# -- up and down


def test_up_down_and_up_again_leaves_what_the_code_describes(empty_url):
    assert schema.upgrade_now(empty_url) == EMPTY
    assert differences(empty_url) == []
    up = described(empty_url)
    downgrade(empty_url)
    assert described(empty_url) == {}
    assert schema.upgrade_now(empty_url) == EMPTY
    assert differences(empty_url) == []
    assert described(empty_url) == up


def test_migrations_make_exactly_the_tables_and_partial_indexes_of_the_code(empties):
    with empties() as migrated, empties() as made:
        schema.upgrade_now(migrated)
        if (path := sqlite_path(made)) is not None:
            path.parent.mkdir(parents=True)
        with connected(made) as connection:
            metadata.create_all(connection)
            connection.commit()
        assert described(migrated) == described(made)


def test_every_migration_goes_one_step_and_says_what_it_is_for():
    directory = ScriptDirectory.from_config(schema.alembic_config())
    scripts = list(directory.walk_revisions())
    assert len(directory.get_heads()) == len(directory.get_bases()) == 1
    for script in scripts:
        assert (script.doc or "").endswith("."), script.path
        assert hasattr(script.module, "downgrade"), script.path
        assert Path(script.path).name.startswith(script.revision)


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(empty_url):
    schema.upgrade_now(empty_url)
    before = described(empty_url)
    assert schema.upgrade_now(empty_url).current
    assert schema.state_now(empty_url).current
    assert described(empty_url) == before


# -- interrupted


class Killed(Exception):
    """Stands for the moment at which a process ends."""


@contextlib.contextmanager
def killed_at(nth):
    """Every engine fails when it is about to execute its nth statement; yields the statements that came so far."""
    seen = []

    def before(_connection, _cursor, statement, *_rest):
        seen.append(statement)
        if len(seen) == nth:
            raise Killed

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before)


def test_an_upgrade_that_fails_at_any_statement_leaves_all_or_nothing_and_finishes_the_next_time(empties):
    with empties() as url, killed_at(0) as statements:
        schema.upgrade_now(url)
        whole = described(url)
    steps = [number for number, text in enumerate(statements, 1) if not text.startswith(("PRAGMA", "SELECT"))]
    assert len(steps) > 25
    if "postgresql" in url:
        steps = steps[::4]  # there a step costs a connection; all of them are in one transaction
    with empties() as url:
        for number in steps:
            with killed_at(number), pytest.raises(Killed):
                schema.upgrade_now(url)
            state = schema.state_now(url)
            assert state.found in (None, HEAD)
            assert set(described(url)) in (set(), set(whole))
        assert schema.upgrade_now(url).known
        assert described(url) == whole


KILLED = """
import os, signal, sys
import sqlalchemy as sa
from archiver.catalog import schema
seen = []
def before(connection, cursor, statement, *rest):
    seen.append(statement)
    if statement.lstrip().startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
sa.event.listen(sa.Engine, "before_cursor_execute", before)
schema.upgrade_now(sys.argv[1])
"""


def test_a_process_killed_in_the_middle_of_an_upgrade_leaves_nothing_in_the_way_of_the_next(empty_url):
    done = subprocess.run([sys.executable, "-c", KILLED, empty_url, "INSERT INTO alembic_version"], check=False, timeout=60)
    assert done.returncode == -9
    assert schema.state_now(empty_url).found is None
    assert schema.upgrade_now(empty_url) == EMPTY
    assert differences(empty_url) == []


# -- two at once


PAUSED = """
import sys
import sqlalchemy as sa
from archiver.catalog import schema
def before(connection, cursor, statement, *rest):
    if statement.lstrip().startswith("CREATE TABLE renditions"):
        print("half way", flush=True)
        sys.stdin.readline()
sa.event.listen(sa.Engine, "before_cursor_execute", before)
print("begins", flush=True)
print(schema.upgrade_now(sys.argv[1]).found, flush=True)
"""


def test_of_two_processes_that_upgrade_at_once_one_waits_and_finds_it_done(empty_url):
    with contextlib.ExitStack() as stack:
        run = [sys.executable, "-c", PAUSED, empty_url]
        first = stack.enter_context(subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert [first.stdout.readline() for _ in range(2)] == ["begins\n", "half way\n"]
        second = stack.enter_context(subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert second.stdout.readline() == "begins\n"
        assert first.communicate("go on\n", timeout=60)[0] == "None\n"
        assert second.communicate("go on\n", timeout=60)[0] == f"{HEAD}\n"
    assert differences(empty_url) == []


# -- versions that do not fit


def stamp(url, revision):
    with connected(url) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
        connection.commit()


def test_an_older_program_refuses_a_newer_schema_and_touches_nothing(empty_url):
    schema.upgrade_now(empty_url)
    stamp(empty_url, "9999")
    before = described(empty_url)
    for upgrade in (True, False):
        with pytest.raises(SchemaMismatch, match=f"schema is 9999, which this program has never heard of .*{HEAD}"):
            asyncio.run(schema.ready(empty_url, upgrade=upgrade))
    assert described(empty_url) == before
    assert not schema.state_now(empty_url).known


def test_without_auto_upgrade_an_older_schema_is_refused_with_the_command_that_helps(empty_url):
    with pytest.raises(SchemaMismatch, match=rf"is empty, this program needs {HEAD}; hint: .*archiver catalog upgrade"):
        asyncio.run(schema.ready(empty_url, upgrade=False))
    asyncio.run(schema.ready(empty_url, upgrade=True))
    assert asyncio.run(schema.ready(empty_url, upgrade=False)).current


# -- where there is nothing yet


def test_ready_makes_the_folders_of_a_sqlite_catalog(sqlite_empties):
    with sqlite_empties() as url:
        assert not sqlite_path(url).parent.exists()
        asyncio.run(schema.ready(url, upgrade=True))
        assert sqlite_path(url).is_file()


def test_a_folder_that_cannot_be_made_is_told_by_its_setting(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFull, match=r"catalog.url: the folder .*file/data cannot be made"):
        schema.upgrade_now(f"sqlite:///{tmp_path}/file/data/catalog.db")


def test_a_server_that_is_not_there_is_unavailable_and_the_password_stays_home():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening: the kernel refuses
        with pytest.raises(CatalogUnavailable) as refused:
            schema.upgrade_now(f"postgresql://me:s3cr3t@127.0.0.1:{silent.getsockname()[1]}/db")
    assert "s3cr3t" not in str(refused.value)


def test_asking_for_the_state_writes_nothing_to_a_catalog_that_is_being_written(sqlite_empties):
    with sqlite_empties() as url:
        schema.upgrade_now(url)
        with connected(url) as writer:
            writer.connection.driver_connection.isolation_level = None
            writer.exec_driver_sql("BEGIN IMMEDIATE")
            assert schema.state_now(url).current
            writer.rollback()


def test_the_revisions_read_from_the_files_are_alembics():
    directory = ScriptDirectory.from_config(schema.alembic_config())
    assert schema.revisions() == {script.revision: script.down_revision or "" for script in directory.walk_revisions()}


# -- what was there before


SEEN = dict.fromkeys(("first_seen_at", "changed_at", "looked_at"), datetime(2026, 3, 2, 12, tzinfo=UTC))
BARE = {"source": "rooms", "provider": "telnyx-rooms", "status": "completed", "flags": [], "raw": {}, "fingerprint": "", **SEEN}


def brought_in(url, **columns):
    """Recordings with a rendition each, one for every value of the columns."""
    with connected(url) as connection:
        for number, values in enumerate(zip(*columns.values(), strict=True), 1):
            row = {"id": number, "recording_id": f"r{number}", **BARE, **dict(zip(columns, values, strict=True))}
            connection.execute(sa.insert(recordings).values(**row))
            connection.exec_driver_sql(
                "INSERT INTO renditions (recording_pk, source, name, state, due_at, changed_at)"
                f" VALUES ({number}, 'rooms', 'media', 'due', '2026-03-02T12:00:00.000000Z', '2026-03-02T12:00:00.000000Z')"
            )
        connection.commit()


def test_an_upgrade_gives_renditions_the_ends_of_their_recordings(empty_url):
    schema.upgrade_now(empty_url)
    downgrade(empty_url, "0004")
    ends = [datetime(2026, 3, 1, n, tzinfo=UTC) for n in range(3)] + [None]
    brought_in(empty_url, ended_at=ends)
    schema.upgrade_now(empty_url)
    with connected(empty_url) as connection:
        kept = sa.select(renditions.c.ended_at).order_by(renditions.c.recording_pk)
        assert connection.execute(kept).scalars().all() == ends


def test_an_upgrade_makes_rooms_due_that_nobody_has_asked_for(empty_url):
    schema.upgrade_now(empty_url)
    downgrade(empty_url, "0005")
    brought_in(empty_url, room_id=["a", "b", "", "b", "c"])
    with connected(empty_url) as connection:
        connection.execute(sa.insert(rooms), [{"source": "rooms", "room_id": "c", "asked_at": SEEN["looked_at"]}])
        connection.commit()
    schema.upgrade_now(empty_url)
    with connected(empty_url) as connection:
        due = sa.select(rooms_due.c.source, rooms_due.c.room_id).order_by(rooms_due.c.room_id)
        assert connection.execute(due).all() == [("rooms", "a"), ("rooms", "b")]
