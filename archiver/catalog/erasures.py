"""Erasure on a person's request: recorded, dated, and at last names and raw JSON taken out of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.candidates import CANDIDATE, EXECUTED, C, R, custodies
from archiver.catalog.evidence_tables import erasure_items, erasures
from archiver.catalog.history import Change, record
from archiver.catalog.holds import document
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import recordings, renditions, rooms, rooms_due
from archiver.config import format_instant
from archiver.domain.keeping import Certificate, Custody, Erasing
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.retention import instant

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.catalog.selector import Selector
    from archiver.domain.recording import Listed

Q, I = erasures.c, erasure_items.c  # noqa: E741 -- as R and C elsewhere
REQUESTED, BLOCKED, DATED = "requested", "blocked", "dated"
# What can name a person or leads to a name; the recording's own id, instants, sizes and digests stay, because they prove that
# nothing else is missing.
_SCRUBBED = ("room_id", "room_name", "participant_id", "participant_name", "session_id", "external_url", "fingerprint")
_WAITING = (State.WAITING, State.DUE, State.FAILED)  # what could still be archived; a loss stays one
_PART = 400


async def request(tx: Tx, actor: str, selector: Selector, reason: str) -> tuple[int, int]:
    """Records a request; gives its number and how many recordings it concerns. Where none matches that is not erased already,
    nothing is written.

    Renditions that have nothing in the archive yet are taken out of the queue at once, unless a hold says otherwise: once
    archived, a lock could keep them for years.
    """
    names = recordings.c.room_id, recordings.c.room_name, recordings.c.participant_id, recordings.c.participant_name
    query = sa.select(C.id, C.source, C.recording_id, *names).join(renditions, R.recording_pk == C.id)
    rows = (await tx.conn.execute(query.where(*selector.conditions()).distinct().order_by(C.id))).all()
    rows = [row for row in rows if selector.matches(row)]
    done = await executed(tx.conn, [(row.source, row.recording_id) for row in rows])
    rows = [row for row in rows if (row.source, row.recording_id) not in done]
    if not rows:
        return 0, 0
    values = {"selector": document(selector), "reason": reason, "requested_at": tx.now, "requested_by": actor}
    number = (await tx.execute(sa.insert(erasures).values(**values).returning(Q.id))).scalar_one()
    for row in rows:
        item = {"erasure_id": number, "source": row.source, "recording_id": row.recording_id, "status": REQUESTED}
        await tx.execute(sa.insert(erasure_items), [item])
        told = Change(
            event="erasure_requested",
            source=row.source,
            recording_id=row.recording_id,
            reason=reason,
            data={"erasure": number},
        )
        await record(tx, actor, [told])
        await dequeue(tx, actor, row.id, number)
    return number, len(rows)


async def dequeue(tx: Tx, actor: str, recording_pk: int, number: int) -> None:
    """Ends what waits to be archived and has no object yet."""
    await tx.conn.execute(sa.select(R.id).where(R.recording_pk == recording_pk).with_for_update())
    for found in await custodies(tx.conn, CANDIDATE.where(R.recording_pk == recording_pk).order_by(R.id)):
        one = found.one
        if one.holds or found.objects or one.state not in _WAITING:
            continue
        reason = f"erasure {number}: nothing of it was archived"
        await take(tx, actor, [_step(found, one.state, Event.ERASING, reason)], worker="", lease_until=None)
        await take(tx, actor, [_step(found, State.EXPIRING, Event.EXPIRED, reason)], upload_id="", upload=None)


def _step(found: Custody, state: State, event: Event, reason: str) -> Step:
    one = found.one
    return Step(
        pk=one.pk,
        source=one.source,
        recording_id=one.recording_id,
        rendition=one.rendition,
        state=state,
        event=event,
        reason=reason,
    )


async def waiting(conn: AsyncConnection) -> list[Erasing]:
    """Every recording whose erasure was requested and not executed, with what stands against it now; the oldest request each."""
    query = sa.select(erasure_items, Q.reason, Q.requested_at, Q.requested_by).join(erasures, Q.id == I.erasure_id)
    found: dict[tuple[str, str], Any] = {}
    for row in (await conn.execute(query.where(I.status != EXECUTED).order_by(I.erasure_id))).all():
        found.setdefault((row.source, row.recording_id), row)
    return [await _erasing(conn, row) for row in found.values()]


async def _erasing(conn: AsyncConnection, row: Any) -> Erasing:
    query = CANDIDATE.where(C.source == row.source, C.recording_id == row.recording_id).order_by(R.id)
    all_of_it = await custodies(conn, query)
    with_objects = [found for found in all_of_it if found.objects]
    cases = sorted({case for found in all_of_it for case in found.one.holds})
    ends = [found.one.locked_until for found in with_objects if found.one.locked_until is not None]
    return Erasing(
        erasure=row.erasure_id,
        source=row.source,
        recording_id=row.recording_id,
        reason=row.reason,
        requested_at=row.requested_at,
        requested_by=row.requested_by,
        open=tuple(found.one for found in with_objects),
        objects=tuple(ref for found in with_objects for ref in found.objects),
        blocked=f"held by {', '.join(cases)}" if cases else "",
        lawful_at=max(ends, default=None),
        busy=any(found.one.state is State.TRANSFERRING for found in all_of_it),
    )


async def dated(tx: Tx, item: Erasing) -> None:
    """Keeps why an erasure waits, and from when on it is lawful as far as anybody knows today."""
    status = BLOCKED if item.blocked else DATED
    mine = (I.erasure_id == item.erasure, I.source == item.source, I.recording_id == item.recording_id, I.status != EXECUTED)
    lawful = None if item.blocked else item.lawful_at or item.requested_at
    await tx.execute(sa.update(erasure_items).where(*mine).values(status=status, lawful_at=lawful, why=item.blocked))


async def scrub(tx: Tx, source: str, recording_id: str) -> None:
    """Empties what can name a person, in the recording, its renditions and a room that no other recording was made in."""
    row = (await tx.conn.execute(sa.select(C.id, C.room_id).where(C.source == source, C.recording_id == recording_id))).first()
    if row is None:
        return
    empty: dict[str, Any] = dict.fromkeys(_SCRUBBED, "")
    await tx.execute(sa.update(recordings).where(C.id == row.id).values(**empty, raw={"erased": True}, manifest=None))
    mine = R.recording_pk == row.id
    await tx.execute(sa.update(renditions).where(mine).values(metadata=None, upload=None, upload_id=""))
    await tx.execute(sa.update(renditions).where(mine, R.error != "").values(error="erased"))  # which may have held an address
    if row.room_id:
        done = sa.select(I.recording_id).where(I.source == source, I.recording_id == C.recording_id, I.status == EXECUTED)
        others = sa.select(C.id).where(C.source == source, C.room_id == row.room_id, C.id != row.id, ~done.exists())
        if (await tx.conn.execute(others.limit(1))).first() is None:
            mine = rooms.c.source == source, rooms.c.room_id == row.room_id
            await tx.execute(sa.update(rooms).where(*mine).values(name="", raw=None))
            due = rooms_due.c.source == source, rooms_due.c.room_id == row.room_id
            await tx.execute(sa.delete(rooms_due).where(*due))  # nor is its name asked for again


async def erased(tx: Tx, actor: str, item: Erasing, certificate: Certificate) -> None:
    """The end of it: every request that waits for this recording is executed."""
    mine = (I.source == item.source, I.recording_id == item.recording_id, I.status != EXECUTED)
    values = {"status": EXECUTED, "executed_at": certificate.executed_at, "certificate": certificate.key, "why": ""}
    changed = await tx.execute(sa.update(erasure_items).where(*mine).values(**values))
    if changed.rowcount:
        await record(tx, actor, [_ended(certificate)])


def _ended(certificate: Certificate) -> Change:
    data = {"certificate": certificate.key, "executed_at": instant(certificate.executed_at)}
    return Change(
        event="erased",
        source=certificate.source,
        recording_id=certificate.recording_id,
        reason=certificate.reason,
        data=data,
    )


async def recall(tx: Tx, actor: str, certificate: Certificate) -> bool:
    """Takes up a certificate that this catalog does not know, because it was restored from an older copy of itself.

    What the catalog still has of the recording waits to be erased once more; one that it does not have is only remembered.
    """
    if certificate.key in await certified(tx.conn):
        return False
    values = {"reason": certificate.reason, "requested_at": certificate.requested_at, "requested_by": certificate.requested_by}
    number = (await tx.execute(sa.insert(erasures).values(selector={}, **values).returning(Q.id))).scalar_one()
    there = sa.select(C.id).where(C.source == certificate.source, C.recording_id == certificate.recording_id)
    pk = (await tx.conn.execute(there)).scalar()
    item = {
        "erasure_id": number,
        "source": certificate.source,
        "recording_id": certificate.recording_id,
        "status": EXECUTED if pk is None else REQUESTED,
        "executed_at": certificate.executed_at if pk is None else None,
        "certificate": certificate.key,
    }
    await tx.execute(sa.insert(erasure_items), [item])
    await record(tx, actor, [_recalled(certificate)])
    if pk is not None:
        await dequeue(tx, actor, pk, number)
    return True


def _recalled(certificate: Certificate) -> Change:
    return Change(
        event="erasure_recalled",
        source=certificate.source,
        recording_id=certificate.recording_id,
        reason="the archive holds its certificate",
        data={"certificate": certificate.key},
    )


async def certified(conn: AsyncConnection) -> frozenset[str]:
    """Keys of the certificates this catalog knows."""
    return frozenset((await conn.execute(sa.select(I.certificate).where(I.certificate != ""))).scalars())


async def executed(conn: AsyncConnection, names: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Those of the recordings that were erased, or that a certificate says were."""
    found: set[tuple[str, str]] = set()
    for source in {name[0] for name in names}:
        ids = sorted({name[1] for name in names if name[0] == source})
        for start in range(0, len(ids), _PART):
            over = (I.status == EXECUTED) | (I.certificate != "")
            query = sa.select(I.recording_id).where(I.source == source, I.recording_id.in_(ids[start : start + _PART]), over)
            found |= {(source, recording_id) for recording_id in (await conn.execute(query)).scalars()}
    return frozenset(found)


async def without_erased(conn: AsyncConnection, source: str, listed: Sequence[Listed]) -> list[Listed]:
    """What of a page may be catalogued: a recording that was erased is never taken up again, however often it is listed."""
    if (await conn.execute(sa.select(I.erasure_id).limit(1))).first() is None:
        return list(listed)
    done = await executed(conn, [(source, item.recording_id) for item in listed])
    return [item for item in listed if (source, item.recording_id) not in done]


async def status(conn: AsyncConnection) -> list[dict[str, Any]]:
    """Every request with its recordings, the newest last; what waits is looked at as it stands now."""
    now = {(item.source, item.recording_id): item for item in await waiting(conn)}
    items: dict[int, list[dict[str, Any]]] = {}
    for row in (await conn.execute(sa.select(erasure_items).order_by(I.erasure_id, I.source, I.recording_id))).all():
        items.setdefault(row.erasure_id, []).append(_status(row, now.get((row.source, row.recording_id))))
    return [
        {
            "erasure": row.id,
            "reason": row.reason,
            "requested_at": format_instant(row.requested_at),
            "requested_by": row.requested_by,
            "selector": row.selector,
            "recordings": items.get(row.id, []),
        }
        for row in (await conn.execute(sa.select(erasures).order_by(Q.id))).all()
    ]


def _status(row: Any, item: Erasing | None) -> dict[str, Any]:
    """One recording of a request. It is never called executed while an object of it is there (S23)."""
    over = row.status == EXECUTED or item is None
    lawful = row.lawful_at if over else None if item and item.blocked else (item.lawful_at if item else None) or row.lawful_at
    return {
        "source": row.source,
        "recording_id": row.recording_id,
        "status": EXECUTED if over else BLOCKED if item and item.blocked else DATED,
        "lawful_at": format_instant(lawful) if lawful else None,
        "why": "" if over or item is None else item.blocked or _left(item),
        "executed_at": format_instant(row.executed_at) if row.executed_at else None,
        "certificate": row.certificate or None,
    }


def _left(item: Erasing) -> str:
    if item.busy:
        return "it is being transferred now"
    if not item.objects:
        return "names are left"
    objects = "1 object" if len(item.objects) == 1 else f"{len(item.objects)} objects"
    return f"{objects} to be kept until then" if item.lawful_at is not None else f"{objects} left, for the next retention run"
