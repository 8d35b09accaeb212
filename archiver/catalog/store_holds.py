"""Where the legal holds in the store are not what the catalog says, and what was done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from archiver.catalog.candidates import CANDIDATE, R, custodies
from archiver.catalog.evidence_tables import hold_members, holds
from archiver.catalog.tables import renditions
from archiver.domain.keeping import StoreHold
from archiver.domain.recording import State

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx

# A transfer under way may be about to give the rendition another object; it takes the hold along by itself.
_SETTLED = R.state.not_in([State.TRANSFERRING.value, State.EXPIRED.value])


def _held() -> sa.ColumnElement[bool]:
    """Whether any case in force holds a rendition."""
    members = sa.select(hold_members.c.hold_id).join(holds, holds.c.id == hold_members.c.hold_id)
    return members.where(hold_members.c.rendition_pk == R.id, holds.c.released_at.is_(None)).exists()


async def differences(conn: AsyncConnection, *, limit: int) -> list[StoreHold]:
    """Renditions with objects whose hold in the store has to be set or cleared; never one that somebody else set there."""
    member = R.id.in_(sa.select(hold_members.c.rendition_pk))  # few at most: whole tables are not looked through
    to_set = R.store_hold.is_(other=False) & (R.sha256 != "") & _held()
    to_clear = R.store_hold.is_(other=True) & ~_held()
    query = CANDIDATE.where(member, _SETTLED, to_set | to_clear).order_by(R.id).limit(limit)
    found = await custodies(conn, query)
    return [StoreHold(pk=item.one.pk, name=item.one.name, on=bool(item.one.holds), objects=item.objects) for item in found]


async def done(tx: Tx, item: StoreHold) -> bool:
    """Notes that the store's holds of a rendition are as wanted; False where the catalog wants the opposite by now, or where
    the rendition has other objects than those that were seen to.
    """
    await tx.conn.execute(sa.select(R.id).where(R.id == item.pk).with_for_update())
    found = await custodies(tx.conn, CANDIDATE.where(R.id == item.pk, _SETTLED))
    if not found or found[0].objects != item.objects or bool(found[0].one.holds) is not item.on:
        return False
    await tx.execute(sa.update(renditions).where(R.id == item.pk).values(store_hold=item.on))
    return True
