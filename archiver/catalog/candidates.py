"""Renditions as decisions about deletion look at them: their facts, holds, erasures, and the objects they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import erasure_items, hold_members, holds
from archiver.catalog.tables import recordings, renditions, superseded
from archiver.domain.keeping import Custody, ObjectRef
from archiver.domain.plan import Candidate
from archiver.domain.recording import ProviderStatus, State

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

R, C = renditions.c, recordings.c
EXECUTED = "executed"  # an erasure that is over
_MOST = 500  # values in one IN: SQLite and PostgreSQL plan short lists well

_OF_RENDITION = ("retain_until", "lock_mode", "policy", "policy_fingerprint", "archived_at", "verified_at")
_OF_RECORDING = (
    *("recording_id", "provider", "media_type", "room_id", "room_name", "participant_id", "participant_name"),
    *("started_at", "ended_at", "first_seen_at", "release"),
)
CANDIDATE = (
    sa.select(
        R.id,
        R.recording_pk,
        R.source,
        R.name,
        R.state,
        C.status,
        *(R[name] for name in _OF_RENDITION),
        *(C[name] for name in _OF_RECORDING),
        *(R[name] for name in ("key", "version_id", "size", "sha256")),
    )
    .select_from(renditions)
    .join(recordings, C.id == R.recording_pk)
)


async def candidates(conn: AsyncConnection, rows: Sequence[Any]) -> list[Candidate]:
    """The candidates that rows of CANDIDATE are, with what holds them and what else concerns their recordings."""
    held = await held_by(conn, [row.id for row in rows])
    pks = sorted({row.recording_pk for row in rows})
    unfit = await _unverified(conn, pks)
    waiting = await _erasures(conn, {(row.source, row.recording_id) for row in rows})
    return [
        Candidate(
            pk=row.id,
            recording_pk=row.recording_pk,
            size=row.size or 0,
            source=row.source,
            rendition=row.name,
            state=State(row.state),
            status=ProviderStatus(row.status),
            whole=row.recording_pk not in unfit,
            holds=held.get(row.id, ()),
            erasure=waiting.get((row.source, row.recording_id), ""),
            **{name: getattr(row, name) for name in (*_OF_RENDITION, *_OF_RECORDING)},
        )
        for row in rows
    ]


async def held_by(conn: AsyncConnection, pks: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The cases in force that hold each rendition, by name."""
    found: dict[int, list[str]] = {}
    for part in _parts(pks):
        query = sa.select(hold_members.c.rendition_pk, holds.c.case_name).join(holds, holds.c.id == hold_members.c.hold_id)
        query = query.where(hold_members.c.rendition_pk.in_(part), holds.c.released_at.is_(None))
        for pk, case in (await conn.execute(query)).all():
            found.setdefault(pk, []).append(case)
    return {pk: tuple(sorted(cases)) for pk, cases in found.items()}


async def _unverified(conn: AsyncConnection, recording_pks: Sequence[int]) -> set[int]:
    """Recordings of which some rendition is not verified."""
    found: set[int] = set()
    for part in _parts(recording_pks):
        query = sa.select(R.recording_pk).where(R.recording_pk.in_(part), R.state != State.VERIFIED.value).distinct()
        found.update((await conn.execute(query)).scalars())
    return found


async def _erasures(conn: AsyncConnection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The oldest request for erasure that waits, for each of these recordings that has one."""
    e = erasure_items.c
    found: dict[tuple[str, str], int] = {}
    for source in {source for source, _recording_id in names}:
        for part in _parts(sorted(recording_id for other, recording_id in names if other == source)):
            query = sa.select(e.recording_id, e.erasure_id).where(e.source == source, e.recording_id.in_(part))
            for recording_id, erasure in (await conn.execute(query.where(e.status != EXECUTED))).all():
                name = source, recording_id
                found[name] = min(erasure, found.get(name, erasure))
    return {name: str(erasure) for name, erasure in found.items()}


def _parts(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[start : start + _MOST] for start in range(0, len(values), _MOST)]


async def objects(conn: AsyncConnection, row: Any) -> tuple[ObjectRef, ...]:
    """Every object of a rendition: the earlier ones, then the current one where it has any."""
    s = superseded.c
    query = sa.select(s.key, s.version_id, s.size, s.sha256).where(s.rendition_pk == row.id).order_by(s.id)
    found = [
        ObjectRef(key=key, version_id=version, size=size, sha256=sha256)
        for key, version, size, sha256 in (await conn.execute(query)).all()
    ]
    if row.key and row.sha256 and row.state != State.EXPIRED.value:
        found.append(ObjectRef(key=row.key, version_id=row.version_id, size=row.size or 0, sha256=row.sha256))
    return tuple(found)


async def custodies(conn: AsyncConnection, query: sa.Select[Any]) -> list[Custody]:
    """The renditions that a query over CANDIDATE finds, with their objects."""
    rows = (await conn.execute(query)).all()
    found = await candidates(conn, rows)
    return [Custody(one=one, objects=await objects(conn, row)) for one, row in zip(found, rows, strict=True)]
