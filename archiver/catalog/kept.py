"""What is kept twice so that a question need not read a whole table; where it comes from, and how it is made anew.

A rendition keeps the end of its recording, in the index by which `status` finds the oldest that is open and the newest that are
archived. It is written with the recording; a rebuild, which writes both from what it happens to read first, makes it at its end.
So it does with the rooms that are to be asked for: those that no list has named to this catalog (sources.note_rooms).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from archiver.catalog.tables import recordings, renditions, rooms, rooms_due

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

R, C = renditions.c, recordings.c
_NAMED = sa.select(C.source, C.room_id).where(C.room_id != "").distinct().subquery()
_HAD = [
    sa.select(table.c.room_id).where(table.c.source == _NAMED.c.source, table.c.room_id == _NAMED.c.room_id).exists()
    for table in (rooms, rooms_due)
]
_END = sa.select(C.ended_at).where(C.id == R.recording_pk).scalar_subquery()


async def renew(conn: AsyncConnection) -> None:
    """Makes all of it anew; reads every row, and writes those that are wrong."""
    await conn.execute(sa.update(renditions).where(R.ended_at.is_distinct_from(_END)).values(ended_at=_END))
    unknown = sa.select(_NAMED).where(*(~had for had in _HAD))
    await conn.execute(sa.insert(rooms_due).from_select(["source", "room_id"], unknown))
