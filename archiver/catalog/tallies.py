"""How many renditions are in which state, kept with every change, so that nobody counts ten million rows to know.

Every change of a state leaves a ledger line (I21), so the lines of a transaction say what it moves. They are added up and written
once, at its end: the rows here are few and wanted by every process, and whoever locks them last holds them for the commit alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import batches, kept
from archiver.catalog.tables import renditions, tallies

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.history import Change

T = tallies.c
COUNTED = sa.select(renditions.c.source, renditions.c.state, sa.func.count().label("n")).group_by(
    renditions.c.source, renditions.c.state
)


_NAMES = ("source", "state", "n")


@functools.cache
def _adding(dialect: str) -> Any:
    new = batches.sql(dialect).insert(tallies)
    if dialect == "postgresql":
        new = new.from_select(_NAMES, sa.select(batches.recordset(tallies, _NAMES)))
    return new.on_conflict_do_update(index_elements=["source", "state"], set_={"n": T.n + new.excluded.n})


def note(moves: Counter[tuple[str, str]], changes: Sequence[Change]) -> None:
    """Adds what ledger lines move to `moves`, by source and state."""
    for change in changes:
        if change.rendition and change.to_state and change.to_state != change.from_state:
            moves[change.source, change.to_state] += 1
            if change.from_state:
                moves[change.source, change.from_state] -= 1


async def write(conn: AsyncConnection, moves: Counter[tuple[str, str]]) -> None:
    """Writes what a transaction moved, in one order for everybody."""
    rows = [{"source": source, "state": state, "n": n} for (source, state), n in sorted(moves.items()) if n]
    if rows:
        name = conn.dialect.name
        await conn.execute(_adding(name), {"rows": batches.as_text(rows)} if name == "postgresql" else rows)


async def recount(conn: AsyncConnection) -> None:
    """Counts every row there is and keeps that: after a rebuild, whose lines are older than its rows, and for `catalog upgrade`.

    The table is locked first: what others moved and did not commit yet is added afterwards, what they committed is counted.
    What else is kept is made anew before that: it takes locks on rows, whose holders may be about to want the table.
    """
    await kept.renew(conn)
    if conn.dialect.name == "postgresql":
        await conn.execute(sa.text("LOCK TABLE tallies IN EXCLUSIVE MODE"))
    await conn.execute(sa.delete(tallies))
    await conn.execute(sa.insert(tallies).from_select(["source", "state", "n"], COUNTED))


async def disagreeing(conn: AsyncConnection) -> list[tuple[str, str, int, int]]:
    """(source, state, kept, counted) wherever the two differ; reads every row of an index."""
    kept = {(row.source, row.state): row.n for row in (await conn.execute(sa.select(tallies))).all()}
    counted = {(row.source, row.state): row.n for row in (await conn.execute(COUNTED)).all()}
    names = sorted(kept.keys() | counted.keys())
    return [(*name, kept.get(name, 0), counted.get(name, 0)) for name in names if kept.get(name, 0) != counted.get(name, 0)]
