"""What an evidence bag needs of the catalog: whole recordings with their history, the sealed pieces, the latest statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import listing
from archiver.catalog.evidence_tables import attestations, segments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Database
    from archiver.catalog.selector import Selector

PAGE = 200


async def records(database: Database, selector: Selector) -> AsyncIterator[dict[str, Any]]:
    """Every selected recording as `show` gives it, with keys as the catalog has them, each once."""
    after = 0
    seen: set[tuple[str, str]] = set()
    while True:
        async with database.read() as conn:
            rows = await listing.page(conn, selector, limit=PAGE, after=after)
            fresh = [key for row in rows if (key := (row.source, row.recording_id)) not in seen]
            found = [await listing.show(conn, f"{source}/{name}", _same) for source, name in dict.fromkeys(fresh)]
        seen.update(fresh)
        for record in found:
            yield record
        if len(rows) < PAGE:
            return
        after = rows[-1].id


def _same(key: str) -> str:
    return key


async def segments_of(conn: AsyncConnection) -> Sequence[Any]:
    """The sealed pieces of the history, in order."""
    return (await conn.execute(sa.select(segments).order_by(segments.c.segment))).all()


async def latest_attestation(conn: AsyncConnection) -> Any | None:
    """The statement made last."""
    return (await conn.execute(sa.select(attestations).order_by(attestations.c.id.desc()).limit(1))).one_or_none()
