"""Where each source stands: watermark, passes, backfilled days, rooms."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import batches
from archiver.catalog.history import Change, record
from archiver.catalog.tables import Json, passes, recordings, rooms, rooms_due, slices, sources
from archiver.domain.ledger import instant
from archiver.domain.windows import DAY
from archiver.domain.work import PassResult, SourceState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.domain.recording import Room
    from archiver.domain.windows import Window

ROOM_AGE = timedelta(days=1)  # a room's name or settings may change; asking once a day for each is cheap


@functools.cache
def _making_due(dialect: str) -> Any:
    """Those of the named rooms that nobody has asked for `since`; in order, so that of two pages neither waits for the other."""
    # The ids as one parameter, as in listed_before.py: a page may name as many rooms as it has recordings.
    if dialect == "postgresql":
        named = sa.select(sa.func.unnest(sa.bindparam("ids", type_=sa.ARRAY(sa.Text))).label("room_id"))
    else:
        named = sa.select(sa.func.json_each(sa.bindparam("ids", type_=Json)).table_valued("value").c.value.label("room_id"))
    item, source = named.subquery("named"), sa.bindparam("of_source", type_=sa.Text)
    lately = sa.select(rooms.c.room_id).where(rooms.c.source == source, rooms.c.room_id == item.c.room_id)
    lately = lately.where(rooms.c.asked_at > sa.bindparam("since"))
    due = sa.select(source, item.c.room_id).where(~lately.exists()).order_by(item.c.room_id)
    new = batches.sql(dialect).insert(rooms_due).from_select(["source", "room_id"], due)
    if dialect == "sqlite":
        return new.on_conflict_do_nothing()
    # Writes the row that is there to hold it: an answer under way waits, and then names what we are about to commit.
    return new.on_conflict_do_update(index_elements=["source", "room_id"], set_={"room_id": new.excluded.room_id})


async def state(conn: AsyncConnection, source: str) -> SourceState:
    """The source's row, an empty state where it has none."""
    row = (await conn.execute(sa.select(sources).where(sources.c.source == source))).one_or_none()
    if row is None:
        return SourceState(source=source)
    return SourceState(
        source=source,
        watermark=row.watermark,
        covered_since=row.covered_since,
        last_complete_pass=row.last_complete_pass,
        last_started=row.last_started,
        problem=row.problem,
    )


async def finish_pass(
    tx: Tx, actor: str, source: str, kind: str, results: Sequence[PassResult], watermark: datetime | None
) -> None:
    """Keeps the walks; with a watermark (all of them complete) moves it, never back, and notes what it covers."""
    fresh = await _keep(tx, source, results)
    before = await state(tx.conn, source)
    values: dict[str, Any] = {"last_started": min((r.started_at for r in results), default=tx.now)}
    if watermark is not None:
        starts = [r.window.start for r in results if r.window is not None]
        since = min([*starts, before.covered_since] if before.covered_since else starts, default=tx.now)
        values |= {
            "watermark": max(watermark, before.watermark or watermark),
            "covered_since": await _reach(tx, source, since),
            "last_complete_pass": tx.now,
            "problem": "",
        }
        if fresh:
            await _ledger(tx, actor, source, results, before, values["watermark"])
    await _upsert(tx, source, kind, values)


async def _keep(tx: Tx, source: str, results: Sequence[PassResult]) -> bool:
    """One row for each window ever listed in full, its first and its latest pass apart, and every incomplete one.

    A calm source lists the same days every five minutes for years: repeating passes that saw nothing else would bury the rest.
    Says whether any of them is not known yet: a pass written down again (its answer was lost) is the one that began then.
    """
    fresh = False
    for result in results:
        c = passes.c
        first, last = (result.window.first, result.window.last) if result.window else (None, None)
        calm = c.complete.is_(other=True) & (c.ids_sha256 == result.ids_sha256) if result.complete else sa.false()
        told = (c.started_at == result.started_at) | (c.last_started_at == result.started_at)
        same = sa.select(c.id, c.started_at, c.last_started_at).where(*_of(source, result.listing, result.window))
        rows = (await tx.conn.execute(same.where(calm | told).order_by(told, c.id))).all()
        if rows and result.started_at in (rows[-1].started_at, rows[-1].last_started_at):
            continue
        fresh = True
        values = {
            "finished_at": tx.now,
            "complete": result.complete,
            "listed": result.listed,
            "new": result.new,
            "requests": result.requests,
            "ids_sha256": result.ids_sha256,
            "problem": result.problem,
        }
        if rows and not result.new:
            values.pop("new")
            again = {**values, "last_started_at": result.started_at, "times": c.times + 1}
            await tx.execute(sa.update(passes).where(c.id == rows[-1].id).values(**again))
        else:
            row = {"source": source, "listing": result.listing, "first_day": first, "last_day": last}
            began = {"started_at": result.started_at, "last_started_at": result.started_at}
            await tx.execute(sa.insert(passes), [{**row, **began, **values}])
    return fresh


def _of(source: str, listing: str, window: Window | None) -> list[sa.ColumnElement[bool]]:
    """The passes over exactly this window; written so that PostgreSQL can use the index, which IS NOT DISTINCT FROM forbids."""
    c = passes.c
    days = [c.first_day.is_(None)] if window is None else [c.first_day == window.first, c.last_day == window.last]
    return [c.source == source, c.listing == listing, *days]


async def _reach(tx: Tx, source: str, since: datetime) -> datetime:
    """How far back coverage reaches from `since` over backfilled days without a gap."""
    days = frozenset((await tx.conn.execute(sa.select(slices.c.day).where(slices.c.source == source))).scalars())
    while (since - DAY).date() in days:
        since -= DAY
    return since


async def _ledger(
    tx: Tx, actor: str, source: str, results: Sequence[PassResult], before: SourceState, watermark: datetime
) -> None:
    """A pass that brought something, or the first of a day, goes into the history; a quiet repetition does not."""
    new = sum(result.new for result in results)
    today = before.last_complete_pass is not None and before.last_complete_pass.date() == tx.now.date()
    if new == 0 and today:
        return
    data = {
        "listed": sum(result.listed for result in results),
        "new": new,
        "passes": [_told(result) for result in results],
        "watermark": instant(watermark),
    }
    await record(tx, actor, [Change(event="pass_completed", source=source, data=data)])


def _told(result: PassResult) -> dict[str, Any]:
    """A pass as the history tells it: all that a rebuilt catalog needs to know of it."""
    days = [str(result.window.first), str(result.window.last)] if result.window else None
    names = ("listing", "listed", "new", "requests", "ids_sha256")
    return {"days": days, "started_at": instant(result.started_at), **{name: getattr(result, name) for name in names}}


async def _upsert(tx: Tx, source: str, kind: str, values: Mapping[str, Any]) -> None:
    result = await tx.execute(sa.update(sources).where(sources.c.source == source).values(**values))
    if result.rowcount == 0:
        await tx.execute(sa.insert(sources), [{"source": source, "provider": kind, **values}])


async def record_problem(tx: Tx, source: str, kind: str, problem: str) -> None:
    """Notes why the last pass did not complete."""
    await _upsert(tx, source, kind, {"problem": problem})


async def confirmed_ids(conn: AsyncConnection, source: str, listing: str, window: Window | None) -> str:
    """The digest of the last complete pass over exactly this window."""
    c = passes.c
    query = sa.select(c.ids_sha256).where(*_of(source, listing, window), c.complete.is_(other=True))
    return (await conn.execute(query.order_by(c.finished_at.desc(), c.id.desc()).limit(1))).scalar() or ""


async def finished_slices(conn: AsyncConnection, source: str) -> frozenset[date]:
    """Days a backfill has finished."""
    return frozenset((await conn.execute(sa.select(slices.c.day).where(slices.c.source == source))).scalars())


async def finish_slice(tx: Tx, actor: str, source: str, kind: str, day: date, result: PassResult) -> None:
    """Remembers a backfilled day and lets the source's coverage reach back to it."""
    fresh = await _keep(tx, source, [result])
    values = {"finished_at": tx.now, "listed": result.listed, "new": result.new, "ids_sha256": result.ids_sha256}
    c = slices.c
    changed = await tx.execute(sa.update(slices).where(c.source == source, c.day == day).values(**values))
    if changed.rowcount == 0:
        await tx.execute(sa.insert(slices), [{"source": source, "day": day, **values}])
    if fresh:
        await record(tx, actor, [Change(event="slice_finished", source=source, data={"day": str(day), "pass": _told(result)})])
    before = (await state(tx.conn, source)).covered_since
    if before is not None and (reach := await _reach(tx, source, before)) != before:
        await _upsert(tx, source, kind, {"covered_since": reach})


async def note_rooms(tx: Tx, source: str, named: Collection[str]) -> None:
    """Makes due what recordings name now and nobody has asked for, or not for a day.

    Whoever writes a room to a recording calls it, in the same transaction: then no room is missed, and none is looked for.
    """
    if ids := sorted(set(named) - {""}):
        await tx.execute(_making_due(tx.conn.dialect.name), {"of_source": source, "ids": ids, "since": tx.now - ROOM_AGE})


async def rooms_missing(conn: AsyncConnection, source: str, limit: int) -> list[str]:
    """Rooms that are due, see `note_rooms`."""
    query = sa.select(rooms_due.c.room_id).where(rooms_due.c.source == source)
    return list((await conn.execute(query.limit(limit))).scalars())


async def save_rooms(tx: Tx, source: str, found: Mapping[str, Room | None]) -> None:
    """Keeps rooms and writes their names to the recordings made in them."""
    c = rooms.c
    await tx.execute(sa.delete(rooms_due).where(rooms_due.c.source == source, rooms_due.c.room_id.in_(list(found))))
    for room_id, room in found.items():
        values = {"name": room.name if room else "", "raw": dict(room.raw) if room else None, "asked_at": tx.now}
        changed = await tx.execute(sa.update(rooms).where(c.source == source, c.room_id == room_id).values(**values))
        if changed.rowcount == 0:
            await tx.execute(sa.insert(rooms), [{"source": source, "room_id": room_id, **values}])
        if room is not None and room.name:
            r = recordings.c
            unnamed = sa.update(recordings).where(r.source == source, r.room_id == room_id, r.room_name == "")
            await tx.execute(unnamed.values(room_name=room.name, manifest=None))
