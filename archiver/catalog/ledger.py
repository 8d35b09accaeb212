"""The history in the catalog on its way into segments, and as it is read to be checked; implements `domain.ledger.History`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import segments
from archiver.catalog.tables import leases, ledger
from archiver.config import format_duration, format_instant
from archiver.domain.errors import HistoryForked
from archiver.domain.ledger import LEASE, MOST_LINES, NO_SEGMENT, Header, Line, Piece, Sealed, Unsealed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Database, Tx

L, S = ledger.c, segments.c
LINE = sa.select(
    *(L.seq, L.at, L.actor, L.event, L.source, L.recording_id, L.rendition, L.from_state, L.to_state, L.reason, L.data, L.segment)
)
_NEVER = 2**62  # stands for the number of a line that has none yet


class SqlHistory:
    """The history of one catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def piece(self, limit: int) -> Piece | None:
        async with self._database.read() as conn:
            if (await unsealed(conn)).count == 0:
                return None
        return await self._database.write(lambda tx: _piece(tx, limit))

    async def sealed(self, piece: Piece, *, sha256: str, key: str, version_id: str, locked_until: datetime | None = None) -> None:
        place = {"key": key, "version_id": version_id, "locked_until": locked_until}
        await self._database.write(lambda tx: _sealed(tx, piece.header, sha256, place))

    async def segments(self, *, after: int, limit: int) -> Sequence[Sealed]:
        async with self._database.read() as conn:
            rows = (await conn.execute(sa.select(segments).where(S.segment > after).order_by(S.segment).limit(limit))).all()
        return [_segment(row) for row in rows]

    async def known(self, numbers: Collection[int]) -> frozenset[int]:
        async with self._database.read() as conn:
            return frozenset((await conn.execute(sa.select(S.segment).where(S.segment.in_(list(numbers))))).scalars())

    async def lines(self, *, after: int, limit: int) -> Sequence[tuple[int | None, Line]]:
        async with self._database.read() as conn:
            rows = (await conn.execute(LINE.where(L.seq > after).order_by(L.seq).limit(limit))).all()
        return [(row.segment, line_of(row)) for row in rows]

    async def unsealed(self) -> Unsealed:
        async with self._database.read() as conn:
            return await unsealed(conn)

    async def disordered(self, *, limit: int) -> Sequence[tuple[int | None, int]]:
        async with self._database.read() as conn:
            return [(row.segment, row.seq) for row in (await conn.execute(_disordered().limit(limit))).all()]


async def unsealed(conn: AsyncConnection) -> Unsealed:
    """What is not sealed yet: lines without a number, and numbered ones whose segment was never noted."""
    last = (await conn.execute(sa.select(sa.func.max(S.last_seq)))).scalar() or 0
    count, since = 0, []
    for waiting, order in ((L.seq.is_(None), L.id), (L.seq > last, L.seq)):
        first = (await conn.execute(sa.select(L.at).where(waiting).order_by(order).limit(1))).scalar()
        if first is not None:
            since.append(first)
            count += (await conn.execute(sa.select(sa.func.count()).select_from(ledger).where(waiting))).scalar_one()
    return Unsealed(count=count, since=min(since, default=None))


async def _piece(tx: Tx, limit: int) -> Piece | None:
    """The lines that the next segment has to hold: those that were numbered for it, else the next ones, numbered now.

    The lease's row is locked, so that of two sealers, one of which slept past the end of its lease, each sees what the other did.
    """
    await tx.conn.execute(sa.select(leases.c.name).where(leases.c.name == LEASE).with_for_update())
    last = (await tx.conn.execute(sa.select(segments).order_by(S.segment.desc()).limit(1))).one_or_none()
    number, base = (last.segment + 1, last.last_seq) if last else (1, 0)
    lines = await _numbered(tx.conn, number, base)
    if not lines:
        await _number(tx, number, base, limit)
        lines = await _numbered(tx.conn, number, base)
    if not lines:
        return None
    if [item.seq for item in lines] != list(range(base + 1, base + len(lines) + 1)):
        raise HistoryForked(
            f"segment {number}: lines that were numbered for it, from {base + 1} on, are gone before it was sealed",
            hint="archiver ledger verify names what else is wrong; nothing can be sealed over this",
        )
    previous = last.sha256 if last else NO_SEGMENT
    header = Header(segment=number, first_seq=base + 1, last_seq=lines[-1].seq, count=len(lines), previous_sha256=previous)
    return Piece(header=header, lines=lines)


async def _numbered(conn: AsyncConnection, number: int, base: int) -> list[Line]:
    rows = (await conn.execute(LINE.where(L.seq > base).order_by(L.seq).limit(4 * MOST_LINES))).all()
    lines = [line_of(row) for row in rows if row.segment == number]
    if rows and not lines:
        raise HistoryForked(
            f"a line of the history has the number {rows[0].seq}, the last one sealed is {base}, and it belongs to no segment",
            hint="archiver ledger verify names what else is wrong; nothing can be sealed over this",
        )
    return lines


async def _number(tx: Tx, number: int, base: int, limit: int) -> None:
    """Numbers the oldest lines without a number. On PostgreSQL a transaction may commit after one that began later, so that its
    lines, smaller ids and all, come into a later segment; those of one rendition keep their order, which its row's lock decides.
    """
    oldest = sa.select(L.id).where(L.seq.is_(None)).order_by(L.id).limit(limit).subquery()
    place = sa.select(oldest.c.id, sa.func.row_number().over(order_by=oldest.c.id).label("place")).subquery()
    mine = sa.update(ledger).where(L.id == place.c.id, L.seq.is_(None))  # said again: another sealer may have been quicker
    await tx.execute(mine.values(seq=base + place.c.place, segment=number))


async def _sealed(tx: Tx, header: Header, sha256: str, place: Mapping[str, Any]) -> None:
    known = (await tx.conn.execute(sa.select(S.sha256).where(S.segment == header.segment))).scalar()
    if known not in (None, sha256):
        raise HistoryForked(f"segment {header.segment}: sealed as {sha256}, the catalog knows it as {known}")
    if known is None:
        names = ("segment", "first_seq", "last_seq", "count", "previous_sha256")
        row = {name: getattr(header, name) for name in names}
        row |= {"sha256": sha256, **place, "sealed_at": tx.now}
        await tx.execute(sa.insert(segments), [row])


def line_of(row: Any) -> Line:
    """The line in a row of LINE."""
    return Line(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        event=row.event,
        source=row.source,
        recording_id=row.recording_id,
        rendition=row.rendition,
        from_state=row.from_state,
        to_state=row.to_state,
        reason=row.reason,
        data=row.data,
    )


def _segment(row: Any) -> Sealed:
    header = Header(
        segment=row.segment,
        first_seq=row.first_seq,
        last_seq=row.last_seq,
        count=row.count,
        previous_sha256=row.previous_sha256,
    )
    return Sealed(header=header, sha256=row.sha256, key=row.key, version_id=row.version_id)


def _disordered() -> sa.Select[Any]:
    """Steps of a rendition that follow each other by id, which is how they are read, and not by number; and rows that name a
    segment and have no number in it.
    """
    of_one = (L.source, L.recording_id, L.rendition)
    seq = sa.func.coalesce(L.seq, _NEVER)
    before = sa.func.lag(seq).over(partition_by=of_one, order_by=L.id).label("before")
    steps = sa.select(L.segment, seq.label("seq"), before).where(L.rendition != "", L.to_state != "").subquery()
    crossed = sa.select(steps.c.segment, steps.c.seq).where(steps.c.before > steps.c.seq)
    torn = sa.select(L.segment, sa.literal(0).label("seq")).where(L.seq.is_(None), L.segment.is_not(None))
    return sa.select(crossed.union_all(torn).subquery())


async def overdue(conn: AsyncConnection, now: datetime, every: timedelta) -> list[str]:
    """Says so where something waits to be sealed for longer than two intervals; empty where nothing does."""
    waiting = await unsealed(conn)
    if waiting.since is None or now - waiting.since <= 2 * every:
        return []
    events = "1 event has" if waiting.count == 1 else f"{waiting.count:,} events have"
    said = f"history: {events} not been sealed since {format_instant(waiting.since)}"
    return [f"{said}, a seal is expected every {format_duration(every)}"]
