"""How long segments of the history and attestations are locked, and how long what they tell of is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import attestations, segments
from archiver.catalog.history import Change, record
from archiver.catalog.tables import ledger, recordings, renditions
from archiver.domain.fixity import SEGMENT, STATEMENT, Evidence
from archiver.domain.recording import State
from archiver.domain.retention import instant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx

PORTION = 50  # segments of at most 5,000 lines each, read in one transaction
L, C, R, S, A = ledger.c, recordings.c, renditions.c, segments.c, attestations.c
_KEPT = R.state.not_in([State.EXPIRED.value])
_LATEST = sa.func.max(R.retain_until, type_=R.retain_until.type)


async def page(conn: AsyncConnection, kind: str, *, after: int, part: tuple[int, int] | None = None) -> list[Evidence]:
    """Up to PORTION pieces of evidence behind number `after`, `needed` left out; with `part`, only those of slice n of t."""
    table, number = (segments, S.segment) if kind == SEGMENT else (attestations, A.id)
    query = sa.select(number.label("number"), *(table.c[name] for name in ("key", "version_id", "locked_until")))
    if part is not None:
        query = query.where(number % part[1] == part[0] - 1)
    rows = (await conn.execute(query.where(number > after).order_by(number).limit(PORTION))).all()
    return [
        Evidence(kind=kind, number=row.number, key=row.key, version_id=row.version_id, locked_until=row.locked_until)
        for row in rows
    ]


async def needs(conn: AsyncConnection, items: Sequence[Evidence]) -> dict[int, datetime]:
    """Until when what each of these tells of is kept, by number; all are of one kind.

    Asked only of those whose lock ends before the longest retention there is: of most archives that is none.
    """
    longest = (await conn.execute(sa.select(_LATEST).where(_KEPT))).scalar()
    if longest is None:
        return {}
    short = [item for item in items if item.locked_until is None or item.locked_until < longest]
    if not short:
        return {}
    if short[0].kind == SEGMENT:
        return await _of_segments(conn, [item.number for item in short])
    return {item.number: until for item in short if (until := await _of_statement(conn, item.number)) is not None}


async def _of_segments(conn: AsyncConnection, numbers: Sequence[int]) -> dict[int, datetime]:
    bounds = sa.select(sa.func.min(S.first_seq), sa.func.max(S.last_seq)).where(S.segment.in_(numbers))
    first, last = (await conn.execute(bounds)).one()
    told = sa.join(ledger, recordings, (C.source == L.source) & (C.recording_id == L.recording_id))
    query = sa.select(L.segment, _LATEST).select_from(told.join(renditions, R.recording_pk == C.id))
    query = query.where(L.seq >= first, L.seq <= last, L.segment.in_(numbers), _KEPT).group_by(L.segment)
    return {number: until for number, until in (await conn.execute(query)).all() if until is not None}


async def _of_statement(conn: AsyncConnection, number: int) -> datetime | None:
    """Of an attestation: every recording that ended in its period, or began then and has no end yet."""
    since, until = (await conn.execute(sa.select(A.since, A.until).where(A.id == number))).one()
    within = sa.or_(
        (C.ended_at >= since) & (C.ended_at < until),
        C.ended_at.is_(None) & (C.started_at >= since) & (C.started_at < until),
    )
    query = sa.select(_LATEST).select_from(sa.join(renditions, recordings, C.id == R.recording_pk)).where(within, _KEPT)
    found: datetime | None = (await conn.execute(query)).scalar()
    return found


async def seen(tx: Tx, items: Sequence[tuple[Evidence, datetime]]) -> None:
    """Notes until when the store locks each."""
    for table, number, kind in ((segments, S.segment, SEGMENT), (attestations, A.id, STATEMENT)):
        rows = [{"which": item.number, "locked": until} for item, until in items if item.kind == kind]
        if rows:
            statement = sa.update(table).where(number == sa.bindparam("which")).values(locked_until=sa.bindparam("locked"))
            await tx.execute(statement, rows)


async def lengthened(tx: Tx, actor: str, items: Sequence[tuple[Evidence, datetime]]) -> None:
    """One line of history for a run that gave evidence longer locks."""
    if not items:
        return
    data: dict[str, Any] = {
        f"{kind}s": [item.number for item, _until in items if item.kind == kind][:1_000] for kind in (SEGMENT, STATEMENT)
    }
    data |= {"pieces": len(items), "until": instant(max(until for _item, until in items))}
    reason = "what it tells of is kept for longer"
    await record(tx, actor, [Change(event="evidence_lengthened", reason=reason, data=data)])
