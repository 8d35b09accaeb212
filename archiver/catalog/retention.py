"""Retention in the catalog: candidates for a plan, intentions to delete, their ends, and retention that grows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import findings
from archiver.catalog.candidates import CANDIDATE, C, R, candidates, custodies
from archiver.catalog.evidence_tables import policies, segments
from archiver.catalog.history import Change, record
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import ledger, recordings, renditions, superseded
from archiver.domain.keeping import AUTHORISED, Custody
from archiver.domain.lifecycle import ARCHIVED, TRANSITIONS, Event
from archiver.domain.plan import Action
from archiver.domain.recording import State
from archiver.domain.retention import instant

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.domain.keeping import Confirm, Longer, ObjectRef
    from archiver.domain.plan import Candidate, Item, Name
    from archiver.domain.retention import Policy

PORTION = 1_000  # candidates read in one transaction
_HELD = sorted(state.value for state in ARCHIVED)


async def remember(tx: Tx, actor: str, given: Sequence[Policy]) -> None:
    """Keeps policies under their fingerprints, each once."""
    known = set((await tx.conn.execute(sa.select(policies.c.fingerprint))).scalars())
    for policy in given:
        key, document = policy.fingerprint(), policy.document()
        if key not in known:
            row = {"fingerprint": key, "name": policy.name, "document": document, "first_seen_at": tx.now}
            await tx.execute(sa.insert(policies), [row])
            data = {"fingerprint": key, "document": document}
            await record(tx, actor, [Change(event="policy_recorded", reason=policy.name, data=data)])
            known.add(key)


async def page(conn: AsyncConnection, *, after: int, as_of: datetime | None) -> list[Candidate]:
    """Up to PORTION stored or verified renditions behind row `after`; with `as_of`, those that were archived by then."""
    query = CANDIDATE.where(R.id > after, R.state.in_(_HELD)).order_by(R.id).limit(PORTION)
    if as_of is not None:
        query = query.where(R.archived_at.is_(None) | (R.archived_at <= as_of))
    return await candidates(conn, (await conn.execute(query)).all())


async def archived(conn: AsyncConnection) -> int:
    """How many renditions are stored or verified."""
    query = sa.select(sa.func.count()).select_from(renditions).where(R.state.in_(_HELD))
    return int((await conn.execute(query)).scalar_one())


async def settled(conn: AsyncConnection, names: Collection[Name]) -> frozenset[Name]:
    """Those of the renditions with which a deletion has happened, or has begun."""
    gone = R.state.in_([State.EXPIRING.value, State.EXPIRED.value]) | (C.release == "deleted")
    found: set[Name] = set()
    for source in {name[0] for name in names}:
        ids = sorted({name[1] for name in names if name[0] == source})
        for start in range(0, len(ids), 500):
            query = sa.select(R.source, C.recording_id, R.name).join(recordings, C.id == R.recording_pk)
            query = query.where(C.source == source, C.recording_id.in_(ids[start : start + 500]), gone)
            found.update((row[0], row[1], row[2]) for row in (await conn.execute(query)).all())
    return frozenset(found & set(names))


# -- one deletion


async def custody(conn: AsyncConnection, pk: int) -> Custody | None:
    """A rendition with its objects."""
    return next(iter(await custodies(conn, CANDIDATE.where(R.id == pk))), None)


async def unfinished(conn: AsyncConnection) -> list[Custody]:
    """Renditions whose deletion was begun."""
    return await custodies(conn, CANDIDATE.where(R.state == State.EXPIRING.value).order_by(R.id))


async def authorise(tx: Tx, actor: str, pk: int, confirm: Confirm, data: Mapping[str, Any]) -> Custody | str:
    """The intention to delete, recorded if the decision, made once more of what is true in here, is still to delete (I11).

    The row is locked first: whoever places a hold locks it too, so that one of the two sees the other.
    """
    await tx.conn.execute(sa.select(R.id).where(R.id == pk).with_for_update())
    found = await custody(tx.conn, pk)
    if found is None:
        return "it is not in the catalog"
    one, item = found.one, confirm(found.one, tx.now)
    if item.action is not Action.EXPIRE:
        return item.reason
    if one.state is State.EXPIRING:
        await tx.execute(sa.update(renditions).where(R.id == pk).values(lease_until=_until(tx)))
        return found
    event = Event.ERASING if one.erasure else Event.EXPIRING
    if one.state not in TRANSITIONS[event]:
        return f"it is {one.state.value}"
    told = {**data, **_decided(item, one), "objects": [_object(ref) for ref in found.objects]}
    await take(tx, actor, [_step(one, event, item.reason, told)], lease_until=_until(tx), due_at=tx.now)
    return found


def _until(tx: Tx) -> datetime:
    return tx.now + timedelta(seconds=AUTHORISED)


def _decided(item: Item, one: Candidate) -> dict[str, Any]:
    until = instant(item.retain_until) if item.retain_until else None
    return {"policy": item.policy, "policy_fingerprint": one.policy_fingerprint, "retain_until": until}


def _object(ref: ObjectRef) -> dict[str, Any]:
    return {"key": ref.key, "version_id": ref.version_id, "size": ref.size, "sha256": ref.sha256}


def _step(one: Candidate, event: Event, reason: str, data: Mapping[str, Any]) -> Step:
    return Step(
        pk=one.pk,
        source=one.source,
        recording_id=one.recording_id,
        rendition=one.rendition,
        state=one.state,
        event=event,
        reason=reason,
        data=data,
    )


async def expired(tx: Tx, actor: str, pk: int, reason: str, data: Mapping[str, Any]) -> None:
    """Every object is gone; earlier ones are none any more, and the history tells of all."""
    found = await custody(tx.conn, pk)
    if found is None or found.one.state is not State.EXPIRING:
        return
    told = {**data, "objects": [_object(ref) for ref in found.objects]}
    await tx.execute(sa.delete(superseded).where(superseded.c.rendition_pk == pk))
    await findings.forget_rendition(tx, pk)
    await take(tx, actor, [_step(found.one, Event.EXPIRED, reason, told)], lease_until=None, store_hold=False)


async def spared(tx: Tx, actor: str, pk: int, reason: str) -> None:
    """The intention is taken back; the verifier looks whether all of it is still there."""
    found = await custody(tx.conn, pk)
    if found is None or found.one.state is not State.EXPIRING:
        return
    await take(tx, actor, [_step(found.one, Event.SPARED, reason, {})], lease_until=None, due_at=tx.now)


async def retained(tx: Tx, actor: str, longer: Sequence[Longer]) -> None:
    """Longer retentions than those on record; anything else changes nothing (I10)."""
    wanted = {item.pk: item for item in longer}
    if not wanted:
        return
    await tx.conn.execute(sa.select(R.id).where(R.id.in_(list(wanted))).order_by(R.id).with_for_update())
    rows = (await tx.conn.execute(CANDIDATE.where(R.id.in_(list(wanted))).order_by(R.id))).all()
    changes = []
    for one in await candidates(tx.conn, rows):
        item = wanted[one.pk]
        values = _longer(one, item)
        if not values:
            continue
        await tx.execute(sa.update(renditions).where(R.id == one.pk).values(**values))
        told = {name: instant(value) if name == "retain_until" else value for name, value in values.items()}
        told["before"] = instant(one.retain_until) if one.retain_until else None
        name = {"source": one.source, "recording_id": one.recording_id, "rendition": one.rendition}
        changes.append(Change(event="retention_extended", **name, reason=item.reason, data=told))
    await record(tx, actor, changes)


def _longer(one: Candidate, item: Longer) -> dict[str, Any]:
    """What changes about a rendition: a later end, a lock where there was none; nothing ever ends earlier."""
    later = one.retain_until is None or item.until > one.retain_until
    locked = bool(item.lock_mode) and item.lock_mode != one.lock_mode
    if not later and not locked:
        return {}
    values: dict[str, Any] = {"retain_until": item.until} if later else {}
    values |= {"lock_mode": item.lock_mode} if locked else {}
    if item.policy is not None:
        values |= {"policy": item.policy.name, "policy_fingerprint": item.policy.fingerprint()}
    return values


# -- how far the history goes


async def last_event(conn: AsyncConnection) -> datetime | None:
    """The latest instant in the end of the history: what was written last may have been written by a clock that was set back."""
    last = sa.select(ledger.c.at).order_by(ledger.c.id.desc()).limit(PORTION).subquery()
    moment: datetime | None = (await conn.execute(sa.select(sa.func.max(last.c.at, type_=ledger.c.at.type)))).scalar()
    return moment


async def last_segment(conn: AsyncConnection) -> int:
    """The last sealed segment that this catalog knows."""
    return (await conn.execute(sa.select(sa.func.max(segments.c.segment)))).scalar() or 0
