"""Which unfinished uploads in the store are ours, and which of them somebody is still working on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from archiver.catalog.tables import recordings, renditions
from archiver.domain.keys import segment
from archiver.domain.work import UploadOwner

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx

PARTS_OF_A_KEY = 6  # source, year, month, day, recording, file; see domain/keys.py
PROBES = "_probe"  # where the store tries out what its endpoint enforces; no source can be called that


async def owner(conn: AsyncConnection, now: datetime, upload_id: str, key: str) -> UploadOwner:
    """Whose an upload is: known by its id, or, begun in the instant before a crash, by the recording in its key.

    What a probe began that was killed is ours too: as a foreign one it would be told of for ever, and never dropped.
    """
    r = renditions.c
    query = sa.select(r.state, r.lease_until).where(r.upload_id == upload_id)
    row = (await conn.execute(query)).first()
    if row is not None:
        busy = row.state == "transferring" and row.lease_until is not None and row.lease_until > now
        return UploadOwner.BUSY if busy else UploadOwner.OURS
    names = key.split("/")
    if names[0] == PROBES:
        return UploadOwner.OURS
    if len(names) != PARTS_OF_A_KEY:
        return UploadOwner.FOREIGN
    c = recordings.c
    known = sa.select(c.recording_id).where(c.source == names[0], c.recording_id == names[4])
    found = (await conn.execute(known)).scalar()
    return UploadOwner.OURS if found is not None and segment(found) == names[4] else UploadOwner.FOREIGN


async def forget(tx: Tx, upload_id: str) -> None:
    """Takes an aborted upload out of the catalog, so that the next attempt begins anew."""
    r = renditions.c
    mine = sa.update(renditions).where(r.upload_id == upload_id)
    await tx.execute(mine.values(upload_id="", upload=None, revision=r.revision + 1))
