"""What fixity found and nobody has mended yet: noted, told in the history once when it comes and once when it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import attestations, findings, segments
from archiver.catalog.history import Change, record
from archiver.catalog.tables import recordings, renditions
from archiver.domain.fixity import Unlocked
from archiver.domain.retention import instant

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.domain.fixity import Evidence, Finding, Held

F, R, C = findings.c, renditions.c, recordings.c
_MOST = 500  # values in one IN
_TOLD_BY_STATE = ("missing", "mismatched")


async def note(
    tx: Tx, actor: str, found: Sequence[Finding], *, objects: Sequence[Held], evidence: Sequence[Evidence] = ()
) -> None:
    """Replaces what was known of the objects that were looked at by what was found now."""
    now = {_place(finding): finding for finding in found if not _is_state(finding)}
    whose = {(held.entry.key, held.entry.version_id): held for held in objects}
    looked = {*whose, *((item.key, item.version_id) for item in evidence)}
    before = [row for row in await _known(tx.conn, {key for key, _version in looked}) if (row.key, row.version_id) in looked]
    known = {(row.key, row.version_id, row.kind) for row in before}
    changes = []
    for place, finding in now.items():
        if place in known:
            continue
        row = {"key": place[0], "version_id": place[1], "kind": place[2], "says": finding.says, "found_at": tx.now}
        await tx.execute(sa.insert(findings), [row | {"rendition_pk": finding.entry.id if finding.entry else None}])
        changes.append(_change("fixity_failed", f"{finding.kind}: {finding.says}", place, finding.held))
    for row in before:
        place = (row.key, row.version_id, row.kind)
        if place not in now:
            await _forget(tx, *place)
            says = f"no longer {row.kind}"
            changes.append(_change("fixity_restored", says, place, whose.get((row.key, row.version_id))))
    await record(tx, actor, changes)


def _is_state(finding: Finding) -> bool:
    return finding.kind in _TOLD_BY_STATE and finding.held is not None and finding.held.told_by_state


def _place(finding: Finding) -> tuple[str, str, str]:
    of = finding.held.entry if finding.held is not None else finding.evidence
    return finding.key, of.version_id if of is not None else "", finding.kind


def _change(event: str, reason: str, place: tuple[str, str, str], held: Held | None) -> Change:
    key, version_id, kind = place
    data: dict[str, Any] = {"kind": kind, "key": key, "version_id": version_id}
    if held is None:
        return Change(event=event, reason=reason, data=data)
    entry = held.entry
    if held.earlier:
        data["earlier"] = True
    name = {"source": entry.source, "recording_id": entry.recording_id, "rendition": entry.rendition}
    return Change(event=event, **name, reason=reason, data=data)


async def _known(conn: AsyncConnection, keys: Collection[str]) -> list[Any]:
    found: list[Any] = []
    wanted = sorted(keys)
    for start in range(0, len(wanted), _MOST):
        found += (await conn.execute(sa.select(findings).where(F.key.in_(wanted[start : start + _MOST])))).all()
    return found


async def _forget(tx: Tx, key: str, version_id: str, kind: str) -> None:
    await tx.execute(sa.delete(findings).where(F.key == key, F.version_id == version_id, F.kind == kind))


async def counts(conn: AsyncConnection) -> dict[str, int]:
    """How many findings of each kind are open."""
    rows = (await conn.execute(sa.select(F.kind, sa.func.count()).group_by(F.kind))).all()
    return {kind: count for kind, count in rows}  # noqa: C416 -- rows are no pairs to mypy


async def unlocked(conn: AsyncConnection, *, mode: str) -> list[Unlocked]:
    """Objects that were found without the lock that the catalog says they have; `mode` is that of evidence."""
    named = sa.select(F.key, F.version_id, R.id, R.source, C.recording_id, R.name, R.lock_mode, R.retain_until)
    joined = sa.join(findings, renditions, R.id == F.rendition_pk).join(recordings, C.id == R.recording_pk)
    rows: Sequence[Any] = (await conn.execute(named.select_from(joined).where(F.kind == "unlocked").order_by(F.key))).all()
    found = [
        Unlocked(
            key=row.key,
            version_id=row.version_id,
            mode=row.lock_mode,
            until=row.retain_until,
            pk=row.id,
            source=row.source,
            recording_id=row.recording_id,
            rendition=row.name,
        )
        for row in rows
        if row.lock_mode and row.retain_until is not None
    ]
    for table in (segments, attestations):
        t = table.c
        both = sa.join(findings, table, (t.key == F.key) & (t.version_id == F.version_id))
        query = sa.select(F.key, F.version_id, t.locked_until).select_from(both).where(F.kind == "unlocked")
        rows = (await conn.execute(query.where(t.locked_until.is_not(None)).order_by(F.key))).all()
        found += [Unlocked(key=row.key, version_id=row.version_id, mode=mode, until=row.locked_until) for row in rows]
    return found


async def locked_again(tx: Tx, actor: str, item: Unlocked, *, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Notes that an object has its lock again, with what it was and what it is."""
    await _forget(tx, item.key, item.version_id, "unlocked")
    name = {"source": item.source, "recording_id": item.recording_id, "rendition": item.rendition}
    data = {"key": item.key, "version_id": item.version_id, "before": dict(before), "after": dict(after)}
    reason = f"locked again as the catalog says, until {instant(item.until)}"
    await record(tx, actor, [Change(event="lock_restored", **name, reason=reason, data=data)])


async def over(tx: Tx, actor: str, item: Unlocked) -> None:
    """Drops a finding about a lock whose time is over by now."""
    await _forget(tx, item.key, item.version_id, "unlocked")
    name = {"source": item.source, "recording_id": item.recording_id, "rendition": item.rendition}
    data = {"kind": "unlocked", "key": item.key, "version_id": item.version_id}
    reason = f"its lock was to end on {instant(item.until)}, which is over"
    await record(tx, actor, [Change(event="fixity_restored", **name, reason=reason, data=data)])


async def open_ones(conn: AsyncConnection, *, kinds: Sequence[str], limit: int = 1_000) -> list[Any]:
    """Findings of these kinds with whose they are, the oldest first."""
    named = sa.select(findings, R.source, C.recording_id, R.name.label("rendition"))
    joined = sa.outerjoin(findings, renditions, R.id == F.rendition_pk).outerjoin(recordings, C.id == R.recording_pk)
    query = named.select_from(joined).where(F.kind.in_(list(kinds))).order_by(F.found_at, F.key).limit(limit)
    return list((await conn.execute(query)).all())


async def forget_rendition(tx: Tx, pk: int) -> None:
    """Nothing is wrong any more with objects that are gone on purpose."""
    await tx.execute(sa.delete(findings).where(F.rendition_pk == pk))
