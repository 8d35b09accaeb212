"""Lists of renditions, page by page, and everything about one recording. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import hold_members, holds
from archiver.catalog.selector import Selector
from archiver.catalog.tables import ledger, recordings, renditions, rooms, superseded
from archiver.config import format_instant
from archiver.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

R, C = renditions.c, recordings.c
CASES = "\x1f"  # between the names of cases; the unit separator, which no name holds
CANDIDATES = 10  # shown where an id is ambiguous

_HOLDS = (
    sa.select(sa.func.aggregate_strings(holds.c.case_name, CASES))
    .select_from(hold_members)
    .join(holds, holds.c.id == hold_members.c.hold_id)
    .where(hold_members.c.rendition_pk == R.id, holds.c.released_at.is_(None))
    .correlate(renditions)
    .scalar_subquery()
)
_ROW = (
    sa.select(
        R.id,
        R.source,
        C.provider,
        C.recording_id,
        R.name.label("rendition"),
        C.status.label("provider_status"),
        R.state,
        R.key,
        R.version_id,
        R.size,
        R.sha256,
        C.started_at,
        C.ended_at,
        C.first_seen_at,
        R.archived_at,
        R.verified_at,
        R.retain_until,
        R.attempts,
        R.error,
        C.room_id,
        C.room_name,
        C.participant_id,
        C.participant_name,
        _HOLDS.label("holds"),
    )
    .select_from(renditions)
    .join(recordings, C.id == R.recording_pk)
)


def document(row: Any, full_key: Callable[[str], str]) -> dict[str, Any]:
    """What `list --json` gives for a rendition (contract.md, section 4); sizes in bytes, instants with Z."""
    return {
        "source": row.source,
        "provider": row.provider,
        "recording_id": row.recording_id,
        "rendition": row.rendition,
        "provider_status": row.provider_status,
        "state": row.state,
        "key": full_key(row.key) if row.key else "",
        "version_id": row.version_id,
        "size": row.size,
        "sha256": row.sha256,
        "started_at": _instant(row.started_at),
        "ended_at": _instant(row.ended_at),
        "first_seen_at": _instant(row.first_seen_at),
        "archived_at": _instant(row.archived_at),
        "verified_at": _instant(row.verified_at),
        "retain_until": _instant(row.retain_until),
        "holds": sorted(row.holds.split(CASES)) if row.holds else [],
        "attempts": row.attempts,
        "error": row.error,
    }


async def page(conn: AsyncConnection, selector: Selector, *, limit: int, after: int = 0, newest_first: bool = False) -> list[Any]:
    """Up to `limit` rows of `_ROW` behind the one whose `id` is `after` (0: from the beginning); fewer only at the end.

    In the order in which renditions were first seen; where the selector bounds the end of recordings, by source and end. Both
    go along an index, so that a page costs what it shows, unless names or states are rare among what is passed over.
    """
    if limit < 1:
        return []
    found: list[Any] = []
    while len(found) < limit:
        rows = await (_by_end if selector.timed else _by_id)(conn, selector, limit, after, newest_first=newest_first)
        found += [row for row in rows if selector.matches(row)]
        if len(rows) < limit:
            break
        after = rows[-1].id
    return found[:limit]


async def _by_id(conn: AsyncConnection, selector: Selector, limit: int, after: int, *, newest_first: bool) -> Sequence[Any]:
    query = _ROW.where(*selector.conditions())
    if after:
        query = query.where(R.id < after if newest_first else R.id > after)
    return (await conn.execute(query.order_by(R.id.desc() if newest_first else R.id).limit(limit))).all()


async def _by_end(conn: AsyncConnection, selector: Selector, limit: int, after: int, *, newest_first: bool) -> list[Any]:
    last = (await conn.execute(_ROW.where(R.id == after))).one_or_none() if after else None
    names = sorted(selector.sources or await sources_listed(conn), reverse=newest_first)
    if last is not None:
        names = names[names.index(last.source) :]
    found: list[Any] = []
    for name in names:
        query = _ROW.where(*selector.conditions(), C.source == name, C.ended_at.is_not(None))
        if last is not None and last.source == name and last.ended_at is not None:
            here, there = sa.tuple_(C.ended_at, R.id), sa.tuple_(sa.literal(last.ended_at, C.ended_at.type), sa.literal(after))
            query = query.where(here < there if newest_first else here > there)
        order = (C.ended_at.desc(), R.id.desc()) if newest_first else (C.ended_at, R.id)
        found += (await conn.execute(query.order_by(*order).limit(limit - len(found)))).all()
        if len(found) == limit:
            break
    return found


async def sources_listed(conn: AsyncConnection) -> list[str]:
    """The names of all sources that listed anything, one index look-up for each."""
    names: list[str] = []
    while True:
        query = sa.select(sa.func.min(R.source)).where(R.source > names[-1] if names else sa.true())
        name = (await conn.execute(query)).scalar()
        if name is None:
            return names
        names.append(name)


async def find(conn: AsyncConnection, text: str) -> Any:
    """The recording that `source/recording_id`, or a bare recording_id, means.

    Raises UsageError where there is none, or several, naming them.
    """
    query = sa.select(recordings).where(*Selector(ids=(text,)).conditions()).order_by(C.source).limit(CANDIDATES + 1)
    rows = (await conn.execute(query)).all()
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise UsageError(
            f"no recording {text!r} in the catalog", hint="archiver list shows what there is; ids are source/recording_id"
        )
    names = ", ".join(f"{row.source}/{row.recording_id}" for row in rows[:CANDIDATES])
    raise UsageError(f"{text!r} is ambiguous: {names}{' …' if len(rows) > CANDIDATES else ''}", hint="write the source before it")


async def show(conn: AsyncConnection, text: str, full_key: Callable[[str], str]) -> dict[str, Any]:
    """Everything about one recording, `archiver.show/1`; raises UsageError as `find` does."""
    found = await find(conn, text)
    here = (
        await conn.execute(
            _ROW.add_columns(*(R[name] for name in _PLAIN + _MOMENTS)).where(R.recording_pk == found.id).order_by(R.name)
        )
    ).all()
    old = sa.select(superseded).where(superseded.c.rendition_pk.in_([row.id for row in here])).order_by(superseded.c.id)
    replaced = (await conn.execute(old)).all()
    where = rooms.c.source == found.source, rooms.c.room_id == found.room_id
    room = (await conn.execute(sa.select(rooms).where(*where))).one_or_none()
    return {
        "schema": "archiver.show/1",
        **_recording(found),
        "room": {"id": found.room_id, "name": found.room_name, "raw": room.raw if room else None},
        "renditions": [_rendition(row, [o for o in replaced if o.rendition_pk == row.id], full_key) for row in here],
        "history": await history(conn, found.source, found.recording_id),
        "raw": found.raw,
    }


_PLAIN = ("revision", "priority", "worker", "token", "content_type", "upload_id", "proof", "metadata", "lock_mode", "error_kind")
_MOMENTS = ("due_at", "lease_until", "checked_at", "changed_at")


def _recording(row: Any) -> dict[str, Any]:
    plain = ("source", "recording_id", "provider", "duration", "media_type", "codec", "container", "session_id", "external_url")
    instants = ("started_at", "ended_at", "first_seen_at", "changed_at", "looked_at", "gone_at")
    return {
        **{name: getattr(row, name) for name in plain},
        "provider_status": row.status,
        "provider_status_raw": row.status_raw,
        "listed_size": row.size,
        "participant": {"id": row.participant_id, "name": row.participant_name},
        "flags": row.flags,
        **{name: _instant(getattr(row, name)) for name in instants},
        "gone_looks": row.gone_looks,
    }


def _rendition(row: Any, replaced: Sequence[Any], full_key: Callable[[str], str]) -> dict[str, Any]:
    return {
        **document(row, full_key),
        **{name: getattr(row, name) for name in _PLAIN},
        **{name: _instant(getattr(row, name)) for name in _MOMENTS},
        "superseded": [_superseded(item, full_key) for item in replaced],
    }


def _superseded(row: Any, full_key: Callable[[str], str]) -> dict[str, Any]:
    return {
        "key": full_key(row.key),
        **{name: getattr(row, name) for name in ("version_id", "size", "sha256", "token")},
        **{name: _instant(getattr(row, name)) for name in ("archived_at", "superseded_at")},
    }


async def history(conn: AsyncConnection, source: str, recording_id: str) -> list[dict[str, Any]]:
    """The ledger lines of a recording in the order in which they were written; `seq` is null until a line is sealed."""
    mine = ledger.c.source == source, ledger.c.recording_id == recording_id
    lines = (await conn.execute(sa.select(ledger).where(*mine).order_by(ledger.c.id))).all()
    return [
        {
            "seq": line.seq,
            "at": format_instant(line.at),
            "actor": line.actor,
            "event": line.event,
            "rendition": line.rendition,
            "from": line.from_state,
            "to": line.to_state,
            "reason": line.reason,
            "data": line.data or {},
        }
        for line in lines
    ]


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else format_instant(moment)
