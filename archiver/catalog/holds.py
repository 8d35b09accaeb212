"""Legal holds: placed by case on what a selector matches, now and later, and released by case with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import hold_members, holds
from archiver.catalog.history import Change, record
from archiver.catalog.selector import Selector
from archiver.catalog.tables import recordings, renditions
from archiver.config import format_instant, parse_instant
from archiver.domain.errors import UsageError
from archiver.domain.recording import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx

R, C, H, M = renditions.c, recordings.c, holds.c, hold_members.c
PLACED, RELEASED = "hold_placed", "hold_released"
_MATCH = sa.select(
    *(R.id, R.source, C.recording_id, R.name),
    *(C.room_id, C.room_name, C.participant_id, C.participant_name),
).join(recordings, C.id == R.recording_pk)
_PART = 400  # rows named in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What a hold was placed on: recordings and renditions; `deleting` are those whose deletion was authorised just before."""

    recordings: int = 0
    renditions: int = 0
    fresh: int = 0  # renditions that it did not hold before
    deleting: tuple[int, ...] = ()
    unknown: tuple[str, ...] = ()  # ids that were asked for and are not there


async def place(tx: Tx, actor: str, case: str, reason: str, selector: Selector, *, future: bool) -> Placed:
    """Places a hold, or adds to the one of the same case and selector what matches by now.

    Where nothing matches and nothing may come (`future`), nothing is written. Raises UsageError for a case that was released,
    or that has another selector.
    """
    rows = [
        row for row in (await tx.conn.execute(_MATCH.where(*_wanted(selector)).order_by(R.id))).all() if selector.matches(row)
    ]
    before = (await tx.conn.execute(sa.select(holds).where(H.case_name == case).with_for_update())).one_or_none()
    said = document(selector)
    if before is not None and (before.released_at is not None or (before.selector, before.future) != (said, future)):
        what = "was released" if before.released_at is not None else "holds by another selector"
        raise UsageError(f"case {case!r} {what}", hint=f"place another hold, for instance under --case {case}-2")
    unknown = _unknown(selector, rows)
    if not rows and not future:
        return Placed(unknown=unknown)
    if before is None:
        values = {
            "case_name": case,
            "reason": reason,
            "selector": said,
            "future": future,
            "placed_at": tx.now,
            "placed_by": actor,
        }
        hold_id = (await tx.execute(sa.insert(holds).values(**values).returning(H.id))).scalar_one()
        await record(tx, actor, [Change(event=PLACED, reason=reason, data={"case": case, "selector": said, "future": future})])
    else:
        hold_id = before.id
    fresh = await _join(tx, actor, hold_id, case, reason, rows)
    return Placed(
        recordings=len({(row.source, row.recording_id) for row in rows}),
        renditions=len(rows),
        fresh=fresh,
        deleting=tuple(await deleting(tx.conn, [row.id for row in rows], tx.now)),  # asked behind the locks
        unknown=unknown,
    )


def _wanted(selector: Selector) -> list[sa.ColumnElement[bool]]:
    return [*selector.conditions(), R.state != State.EXPIRED.value]


def _unknown(selector: Selector, rows: Sequence[Any]) -> tuple[str, ...]:
    there = {row.recording_id for row in rows} | {f"{row.source}/{row.recording_id}" for row in rows}
    return tuple(text for text in selector.ids if text not in there)


async def _join(tx: Tx, actor: str, hold_id: int, case: str, reason: str, rows: Sequence[Any], *, arrived: bool = False) -> int:
    """Makes renditions members, each with its ledger line; their rows are locked, so that no deletion is authorised meanwhile."""
    fresh = 0
    for start in range(0, len(rows), _PART):
        part = {row.id: row for row in rows[start : start + _PART]}
        await tx.conn.execute(sa.select(R.id).where(R.id.in_(list(part))).order_by(R.id).with_for_update())
        have = sa.select(M.rendition_pk).where(M.hold_id == hold_id, M.rendition_pk.in_(list(part)))
        known = set((await tx.conn.execute(have)).scalars())
        new = [row for pk, row in part.items() if pk not in known]
        if new:
            members = [{"hold_id": hold_id, "rendition_pk": row.id, "held_at": tx.now} for row in new]
            await tx.execute(sa.insert(hold_members), members)
            data = {"case": case, "arrived": True} if arrived else {"case": case}
            await record(tx, actor, [_line(PLACED, row, reason, data) for row in new])
        fresh += len(new)
    return fresh


def _line(event: str, row: Any, reason: str, data: Mapping[str, Any]) -> Change:
    return Change(event=event, source=row.source, recording_id=row.recording_id, rendition=row.name, reason=reason, data=data)


async def release(tx: Tx, actor: str, case: str, reason: str) -> int | None:
    """Ends a hold; how many renditions it held, None where no hold of that case is in force."""
    row = (await tx.conn.execute(sa.select(holds).where(H.case_name == case).with_for_update())).one_or_none()
    if row is None or row.released_at is not None:
        return None
    values = {"released_at": tx.now, "released_by": actor, "release_reason": reason}
    await tx.execute(sa.update(holds).where(H.id == row.id).values(**values))
    query = _MATCH.join(hold_members, M.rendition_pk == R.id).where(M.hold_id == row.id).order_by(R.id)
    members = (await tx.conn.execute(query)).all()
    await record(tx, actor, [Change(event=RELEASED, reason=reason, data={"case": case})])
    for start in range(0, len(members), _PART):
        await record(tx, actor, [_line(RELEASED, item, reason, {"case": case}) for item in members[start : start + _PART]])
    return len(members)


async def listing(conn: AsyncConnection) -> list[dict[str, Any]]:
    """Every hold there ever was, the newest last (contract.md, documents); `matched` counts recordings."""
    counted = (
        sa.select(M.hold_id, sa.func.count(sa.distinct(R.recording_pk)).label("matched"), sa.func.count().label("renditions"))
        .join(renditions, R.id == M.rendition_pk)
        .group_by(M.hold_id)
        .subquery()
    )
    query = sa.select(holds, counted.c.matched, counted.c.renditions).outerjoin(counted, counted.c.hold_id == H.id)
    return [
        {
            "case": row.case_name,
            "reason": row.reason,
            "placed_at": format_instant(row.placed_at),
            "placed_by": row.placed_by,
            "released_at": format_instant(row.released_at) if row.released_at else None,
            "released_by": row.released_by or None,
            "release_reason": row.release_reason or None,
            "selector": row.selector,
            "future": row.future,
            "matched": row.matched or 0,
            "renditions": row.renditions or 0,
        }
        for row in (await conn.execute(query.order_by(H.id))).all()
    ]


# -- what comes later


async def arrivals(tx: Tx, actor: str, source: str, ids: Collection[str]) -> int:
    """Holds what has just been listed, or has changed: whatever matches a hold with --future, and renditions that a held
    recording did not have before. Costs one small read where no hold is in force.
    """
    cases = await in_force(tx.conn) if ids else ()
    return await _hold_more(tx, actor, cases, [C.source == source, C.recording_id.in_(list(ids))]) if cases else 0


async def arrivals_in(tx: Tx, actor: str, source: str, room_ids: Collection[str]) -> int:
    """The same for what was recorded in rooms whose names have just become known."""
    inside = [C.source == source, C.room_id.in_(list(room_ids))]
    return await _hold_more(tx, actor, await in_force(tx.conn), inside) if room_ids else 0


async def sweep(tx: Tx, actor: str) -> int:
    """The same over the whole catalog."""
    return await _hold_more(tx, actor, await in_force(tx.conn), [])


async def _hold_more(tx: Tx, actor: str, cases: Iterable[Any], inside: list[sa.ColumnElement[bool]]) -> int:
    held = 0
    for case in cases:
        mine = sa.select(M.rendition_pk).where(M.hold_id == case.id)
        siblings = R.recording_pk.in_(sa.select(R.recording_pk).where(R.id.in_(mine)))
        query = _MATCH.where(*inside, R.state != State.EXPIRED.value, R.id.not_in(mine))
        rows = {row.id: row for row in (await tx.conn.execute(query.where(siblings))).all()}
        if case.future:
            selector = parsed(case.selector)
            found = (await tx.conn.execute(query.where(*selector.conditions()))).all()
            rows |= {row.id: row for row in found if selector.matches(row)}
        held += await _join(tx, actor, case.id, case.case_name, case.reason, sorted(rows.values(), key=_id), arrived=True)
    return held


def _id(row: Any) -> int:
    return int(row.id)


async def in_force(conn: AsyncConnection) -> Sequence[Any]:
    """The holds that nobody has released."""
    return (await conn.execute(sa.select(holds).where(H.released_at.is_(None)).order_by(H.id))).all()


async def deleting(conn: AsyncConnection, pks: Collection[int], now: datetime) -> list[int]:
    """Those of the renditions whose deletion is still authorised."""
    query = sa.select(R.id).where(R.state == State.EXPIRING.value, R.lease_until > now)
    return sorted(set((await conn.execute(query)).scalars()) & set(pks))


async def deleted(conn: AsyncConnection, pks: Sequence[int]) -> list[tuple[str, str, str]]:
    """Those of the renditions whose objects are gone."""
    found = []
    for start in range(0, len(pks), _PART):
        query = _MATCH.where(R.id.in_(pks[start : start + _PART]), R.state == State.EXPIRED.value)
        found += [(row.source, row.recording_id, row.name) for row in (await conn.execute(query)).all()]
    return found


# -- selectors as they are kept


def document(selector: Selector) -> dict[str, Any]:
    """What was selected by, as JSON: only what was given."""
    found: dict[str, Any] = {
        "ids": list(selector.ids),
        "sources": list(selector.sources),
        "room": selector.room,
        "participant": selector.participant,
        "since": format_instant(selector.since) if selector.since else "",
        "until": format_instant(selector.until) if selector.until else "",
    }
    return {name: value for name, value in found.items() if value}


def parsed(found: Mapping[str, Any]) -> Selector:
    """The selector that a document says."""
    return Selector(
        ids=tuple(found.get("ids", ())),
        sources=tuple(found.get("sources", ())),
        room=found.get("room", ""),
        participant=found.get("participant", ""),
        since=parse_instant(found["since"]) if "since" in found else None,
        until=parse_instant(found["until"]) if "until" in found else None,
    )
