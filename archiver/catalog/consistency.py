"""`catalog check`: whether the catalog agrees with itself. Reads whole tables, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import invariants, tallies
from archiver.catalog.reports import state_counts
from archiver.catalog.tables import ledger, metadata, quarantine, recordings, renditions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

COUNTED = (recordings, renditions, ledger, quarantine)


async def check(conn: AsyncConnection, now: datetime, *, revision: str) -> dict[str, Any]:
    """`archiver.check/1`: what the laws say, row counts, and renditions by state. `revision` is the schema's."""
    problems = [*await _file(conn), *await _references(conn)]
    problems += [{"law": broken.law, "thing": broken.thing, "says": broken.says} for broken in await invariants.check(conn, now)]
    rows = {table.name: (await conn.execute(sa.select(sa.func.count()).select_from(table))).scalar_one() for table in COUNTED}
    states: dict[str, int] = {}
    for counts in (await state_counts(conn)).values():
        for state, count in counts.items():
            states[state] = states.get(state, 0) + count
    for source, state, kept, counted in await tallies.disagreeing(conn):
        says = f"{kept} are kept in the table tallies, {counted} there are; `archiver catalog upgrade` counts anew"
        problems.append({"law": "I25 counts", "thing": f"{source} {state}", "says": says})
    return {
        "schema": "archiver.check/1",
        "ok": not problems,
        "revision": revision,
        "rows": rows,
        "states": states,
        "problems": problems,
    }


async def _file(conn: AsyncConnection) -> list[dict[str, str]]:
    """What SQLite finds wrong with its file; PostgreSQL tells of that by itself when it reads."""
    if conn.dialect.name != "sqlite":
        return []
    lines = (await conn.execute(sa.text("PRAGMA integrity_check(20)"))).scalars().all()
    return [{"law": "integrity", "thing": "the SQLite file", "says": line} for line in lines if line != "ok"]


async def _references(conn: AsyncConnection) -> list[dict[str, str]]:
    """Rows that refer to one that is not there; a restored dump, or SQLite written to without foreign keys, can have them."""
    found = []
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            there = sa.select(key.column).where(key.column == key.parent).exists()
            query = sa.select(*table.primary_key.columns).where(~there).limit(invariants.MOST)
            for row in (await conn.execute(query)).all():
                says = f"{key.parent.name} refers to a row of {key.column.table.name} that is not there"
                found.append({"law": "foreign key", "thing": " ".join([table.name, *map(str, row)]), "says": says})
    return found
