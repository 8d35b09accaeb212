"""Catalogs of any size, made inside the database in a few statements: what an archive of years looks like, with a day's work in it.

A thousand recordings a day, whatever the size: a larger catalog reaches further back. Nearly all are verified; some expired, were
lost or failed. One sealed line of history stands for the four that a recording leaves. What is due is as much at every size, because
a backlog does not grow with the archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from archiver.catalog import schema
from archiver.catalog.database import driver_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCES = {"rooms": "telnyx-rooms", "calls": "telnyx-calls", "video": "twilio-video"}
EVERY = 86  # seconds between two recordings' ends
IN_A_ROOM = 20
DUE = 1_000  # recordings that wait; fewer only in catalogs smaller than any that is measured
SEGMENT = 1_000  # lines of history in a segment


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What the two databases say differently; `{0}` is an expression."""

    series: str  # numbers 1 to :n as n
    instant: str  # from seconds since 1970
    hex8: str
    last12: str
    repeat8: str
    day: str


_SQLITE = _Words(
    series="WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :n)",
    instant="strftime('%Y-%m-%dT%H:%M:%S', {0}, 'unixepoch') || '.000000Z'",
    hex8="printf('%08x', ({0}) * 2654435761 & 4294967295)",
    last12="printf('%012x', {0})",
    repeat8="replace('........', '.', {0})",
    day="date({0}, 'unixepoch')",
)
_POSTGRESQL = _Words(
    series="WITH s(n) AS (SELECT generate_series(1, CAST(:n AS bigint)))",
    instant="to_timestamp({0})",
    hex8="lpad(to_hex((({0}) * 2654435761) & 4294967295), 8, '0')",
    last12="lpad(to_hex({0}), 12, '0')",
    repeat8="repeat({0}, 8)",
    day="CAST(to_timestamp({0}) AT TIME ZONE 'UTC' AS date)",
)
_STATE = """CASE WHEN n > :n - :due THEN 'due' WHEN n % 100 = 1 THEN 'expired' WHEN n % 1000 = 2 THEN 'lost'
 WHEN n < :troubled AND n % 100 = 3 THEN 'failed' ELSE 'verified' END"""
_RAW = '{"codec":"vp8","created_at":"2026-01-01T00:00:00Z","duration_secs": 600,"id":"%s","size_mb": 0.4,"status":"completed","type":"video"}'


def build(url: str, count: int, *, now: float, calm: bool = False) -> None:
    """Makes the schema and `count` recordings, the newest of which ended a minute before `now` (seconds since 1970).

    A calm catalog has nothing due and nothing failed, and no history, whose segments its archive would have to hold. SQLite is put
    into write-ahead logging and left checkpointed, PostgreSQL vacuumed and analysed.
    """
    schema.upgrade_now(url)
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as conn:
        if sqlite:
            for pragma in ("synchronous=OFF", "cache_size=-1000000", "temp_store=MEMORY", "foreign_keys=OFF", "journal_mode=OFF"):
                conn.exec_driver_sql(f"PRAGMA {pragma}")
        indexes = _dropped(conn, sqlite=sqlite)
        given = {
            "n": count,
            "base": int(now) - 60 - EVERY * count,
            "due": 0 if calm else min(DUE, count // 10),
            "troubled": 0 if calm else 10_000,
        }
        for table, statement in _statements(_SQLITE if sqlite else _POSTGRESQL).items():
            if table == "ledger" and calm:
                continue
            names = sa.text(statement).compile().params
            conn.execute(sa.text(statement), {name: given[name] for name in names})
        for statement in indexes:
            conn.exec_driver_sql(statement)
        for statement in ("ANALYZE", "PRAGMA journal_mode=WAL") if sqlite else _AFTERWARDS:
            conn.exec_driver_sql(statement)
    engine.dispose()


# Sequences know nothing of rows that came with their numbers; a checkpoint keeps its writes out of what is measured next.
_AFTERWARDS = (
    *(
        f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"
        for name in ("recordings", "renditions", "ledger")
    ),
    "VACUUM ANALYZE",
    "CHECKPOINT",
)


def _dropped(conn: sa.Connection, *, sqlite: bool) -> Sequence[str]:
    """Drops what indexes can be dropped and says how to make them again: made at the end they cost a tenth."""
    query = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if sqlite
        else "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT IN "
        "(SELECT conname FROM pg_constraint) AND tablename <> 'alembic_version'"
    )
    found = [tuple(row) for row in conn.exec_driver_sql(query).all()]
    for name, _ in found:
        conn.exec_driver_sql(f'DROP INDEX "{name}"')
    return [definition for _, definition in found]


def _insert(words: _Words, table: str, columns: Mapping[str, str], *, of: str = "s") -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) {words.series} SELECT {', '.join(columns.values())} FROM {of}"


def _statements(words: _Words) -> dict[str, str]:
    """Number n is one recording; which state it is in, and of which source, follows from n alone."""
    seconds = f":base + n * {EVERY}"
    ended, began, day = words.instant.format(seconds), words.instant.format(f"{seconds} - 600"), words.day.format(seconds)
    hex8 = words.hex8.format("n")
    digest = words.repeat8.format(hex8)
    ident = f"{hex8} || '-0000-4000-8000-' || {words.last12.format('n')}"
    room = f"{words.hex8.format(f'n / {IN_A_ROOM} + 7')} || '-0000-4000-8000-' || {words.last12.format(f'n / {IN_A_ROOM}')}"
    source, provider = (
        f"CASE WHEN n % 10 < 6 THEN '{a}' WHEN n % 10 < 9 THEN '{b}' ELSE '{c}' END" for a, b, c in (SOURCES, SOURCES.values())
    )
    named = {"source": source, "recording_id": ident}
    recordings = {
        "id": "n",
        **named,
        "provider": provider,
        "status": "'completed'",
        "status_raw": "'completed'",
        "started_at": began,
        "ended_at": ended,
        "duration": "600.0",
        "media_type": "'video'",
        "codec": "'vp8'",
        "room_id": room,
        "room_name": "'a room'",
        "flags": "'[]'",
        "raw": "'" + _RAW.replace("%s", f"' || {ident} || '") + "'",
        "fingerprint": digest,
        "content": "'[null,600.0]'",
        "manifest": "1",
        **dict.fromkeys(("first_seen_at", "changed_at", "looked_at"), ended),
    }
    renditions = {
        "id": "n",
        "recording_pk": "n",
        "source": source,
        "name": "'media'",
        "state": _STATE,
        "error": f"CASE WHEN {_STATE} IN ('failed', 'lost') THEN 'for a reason' ELSE '' END",
        "revision": "3",
        "change": "'sync@host#2#verified'",
        "key": f"'rooms/2026/01/01/' || {ident} || '/media.webm'",
        "size": "250000",
        "sha256": digest,
        "token": digest,
        "content_type": "'video/webm'",
        "proof": "'{}'",
        **dict.fromkeys(("due_at", "archived_at", "verified_at", "checked_at", "changed_at", "ended_at"), ended),
    }
    line = {
        "id": "n",
        "at": ended,
        "actor": "'sync@host'",
        "event": "'verified'",
        **named,
        "rendition": "'media'",
        "from_state": "'stored'",
        "to_state": "'verified'",
        "data": f"'{{\"sha256\":\"' || {digest} || '\"}}'",
        "seq": "n",
        "segment": f"n / {SEGMENT} + 1",
    }
    rooms = {"source": "source", "room_id": "room_id", "name": "'a room'", "asked_at": "max(ended_at)"}
    passes = {
        "source": "'rooms'",
        "listing": "'ended'",
        "first_day": day,
        "last_day": day,
        "complete": "true",
        "listed": "250",
        **dict.fromkeys(("started_at", "last_started_at", "finished_at"), ended),
    }
    return {
        "recordings": _insert(words, "recordings", recordings),
        "renditions": _insert(words, "renditions", renditions),
        "ledger": _insert(words, "ledger", line),
        "rooms": _insert(words, "rooms", rooms, of="recordings WHERE id <= :n GROUP BY source, room_id"),
        "tallies": "INSERT INTO tallies (source, state, n) SELECT source, state, count(*) FROM renditions GROUP BY source, state",
        "passes": _insert(words, "passes", passes, of="s WHERE n % 1000 = 0"),
    }
