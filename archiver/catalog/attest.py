"""The catalog's side of an attestation: passes, counts and gaps of a period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import attestations, segments
from archiver.catalog.history import Change, record
from archiver.catalog.tables import passes, recordings, renditions
from archiver.domain.attestation import Count, PassSeen
from archiver.domain.recording import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.domain.windows import Window

BATCH = 2_000
C, R, P = recordings.c, renditions.c, passes.c


async def passes_over(conn: AsyncConnection, source: str, period: Window) -> list[PassSeen]:
    """Complete passes over lists by day that touch the period."""
    query = sa.select(passes).where(P.source == source, P.complete.is_(other=True), P.first_day.is_not(None))
    query = query.where(P.first_day <= period.last, P.last_day >= period.first).order_by(P.first_day, P.last_day, P.id)
    return [
        PassSeen(
            listing=row.listing,
            first_day=row.first_day,
            last_day=row.last_day,
            listed=row.listed,
            ids_sha256=row.ids_sha256,
            first_started_at=row.started_at,
            last_started_at=row.last_started_at or row.started_at,
            times=row.times,
        )
        for row in (await conn.execute(query)).all()
    ]


async def count(conn: AsyncConnection, source: str, since: datetime, until: datetime) -> Count:
    """Every recording of the source that ended in [since, until), or began then and has no end yet."""
    moment = sa.func.coalesce(C.ended_at, C.started_at, C.first_seen_at, type_=C.ended_at.type)
    ended = (C.ended_at >= since) & (C.ended_at < until)
    endless = C.ended_at.is_(None) & (moment >= since) & (moment < until)
    found = Count()
    after = 0
    while True:
        mine = sa.select(C.id, C.recording_id).where(C.source == source, ended | endless, C.id > after)
        rows = (await conn.execute(mine.order_by(C.id).limit(BATCH))).all()
        if not rows:
            return found
        after = rows[-1].id
        states = await _states(conn, [row.id for row in rows])
        for row in rows:
            found.add(row.recording_id, states.get(row.id, []))


async def _states(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, list[tuple[str, State, str]]]:
    query = sa.select(R.recording_pk, R.name, R.state, R.error).where(R.recording_pk.in_(ids)).order_by(R.id)
    found: dict[int, list[tuple[str, State, str]]] = {}
    for row in (await conn.execute(query)).all():
        found.setdefault(row.recording_pk, []).append((row.name, State(row.state), row.error))
    return found


async def unrecorded(conn: AsyncConnection, source: str, sightings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sessions and rooms that the provider says took place with recording on and of which the catalog has no recording."""
    open_questions = []
    for seen in sightings:
        where = C.session_id == seen["session_id"] if seen.get("session_id") else C.room_id == seen["room_id"]
        query = sa.select(C.id).where(C.source == source, where).limit(1)
        if (await conn.execute(query)).first() is None:
            open_questions.append(seen)
    return open_questions


async def ledger_head(conn: AsyncConnection) -> dict[str, Any]:
    """The last sealed piece of the history: what the statement is chained to; empty where nothing is sealed yet."""
    row = (await conn.execute(sa.select(segments).order_by(segments.c.segment.desc()).limit(1))).one_or_none()
    return {} if row is None else {"segment": row.segment, "seq": row.last_seq, "sha256": row.sha256}


async def keep(tx: Tx, actor: str, values: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Notes an attestation that lies in the archive, with its ledger line."""
    await tx.execute(sa.insert(attestations), [{**values, "created_at": tx.now}])
    await record(tx, actor, [Change(event="attested", data=data)])
