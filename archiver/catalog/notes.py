"""Small facts that outlive a process, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import notes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx


async def note(tx: Tx, name: str, value: Mapping[str, Any]) -> None:
    """Remembers a small fact."""
    changed = await tx.execute(sa.update(notes).where(notes.c.name == name).values(value=dict(value), at=tx.now))
    if changed.rowcount == 0:
        await tx.execute(sa.insert(notes), [{"name": name, "value": dict(value), "at": tx.now}])


async def noted(conn: AsyncConnection, name: str) -> tuple[Mapping[str, Any], datetime] | None:
    """A small fact and its instant."""
    row = (await conn.execute(sa.select(notes.c.value, notes.c.at).where(notes.c.name == name))).one_or_none()
    return None if row is None else (row.value, row.at)
