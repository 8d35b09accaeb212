"""A rebuilt catalog against the archive's objects: which must be there, what is missing, and what nobody told of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import replaying
from archiver.catalog.evidence_tables import erasure_items, hold_members
from archiver.catalog.history import Change, record
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import ledger, recordings, renditions, superseded
from archiver.domain import lifecycle
from archiver.domain.keys import segment
from archiver.domain.ledger import instant
from archiver.domain.lifecycle import Event
from archiver.domain.rebuilding import KnownObject
from archiver.domain.recording import State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.domain.rebuilding import Seen, Stray

C, R, L, P = recordings.c, renditions.c, ledger.c, superseded.c
_HELD = [state.value for state in (State.STORED, State.VERIFIED, State.EXPIRING)]
_PARTS = 6  # of a key of media, see domain/keys.py
_SECOND = timedelta(seconds=1)  # S3 keeps locks in whole seconds, rounded up
# How a rendition in a state comes to have a new object: steps that the lifecycle knows.
_WAY = {
    State.WAITING: (Event.COMPLETED, Event.CLAIMED, Event.STORED),
    State.DUE: (Event.CLAIMED, Event.STORED),
    State.TRANSFERRING: (Event.STORED,),
    **dict.fromkeys((State.FAILED, State.UNAVAILABLE, State.LOST), (Event.RETRIED, Event.CLAIMED, Event.STORED)),
    State.EXTERNAL: (Event.REAPPEARED, Event.CLAIMED, Event.STORED),
    **dict.fromkeys((State.STORED, State.VERIFIED, State.DAMAGED), (Event.CONTENT_CHANGED, Event.CLAIMED, Event.STORED)),
}


async def objects(conn: AsyncConnection, after: tuple[int, str], limit: int) -> list[KnownObject]:
    """Objects that must be there, behind `after`: those of archived renditions, and earlier ones."""
    columns = (R.id.label("pk"), R.source, C.recording_id, R.name.label("rendition"))
    joined = sa.join(renditions, recordings, C.id == R.recording_pk)
    now = sa.select(*columns, R.key, R.version_id, R.size, R.sha256, sa.literal(1).label("current")).select_from(joined)
    earlier = sa.select(*columns, P.key, P.version_id, P.size, P.sha256, sa.literal(0).label("current"))
    earlier = earlier.select_from(joined.join(superseded, P.rendition_pk == R.id))
    pk, key = after
    found: list[Any] = []
    for query, column in ((now.where(R.state.in_(_HELD)), R.key), (earlier.where(P.damaged.is_(other=False)), P.key)):
        behind = (R.id > pk) | ((R.id == pk) & (column > key))
        found += (await conn.execute(query.where(R.id >= pk, behind).order_by(R.id, column).limit(limit))).all()
    rows = sorted(found, key=lambda row: (row.pk, row.key))[:limit]
    names = ("pk", "source", "recording_id", "rendition", "key", "version_id", "sha256")
    return [
        KnownObject(size=row.size or 0, current=bool(row.current), **{name: getattr(row, name) for name in names}) for row in rows
    ]


async def seen(tx: Tx, actor: str, items: Sequence[Seen]) -> None:
    """Longer locks are noted as the store has them; a current object that is missing makes its rendition damaged."""
    rows = (await tx.conn.execute(sa.select(renditions).where(R.id.in_([item.known.pk for item in items])))).all()
    before = {row.id: row for row in rows}
    held = set((await tx.conn.execute(sa.select(hold_members.c.rendition_pk).where(_in(items)))).scalars())
    for item in items:
        if not item.known.current or item.missing:
            continue
        row = before[item.known.pk]
        values: dict[str, Any] = {}
        longer = item.retain_until is not None and (row.retain_until is None or item.retain_until - row.retain_until >= _SECOND)
        if longer:
            values["retain_until"] = item.retain_until
        if item.lock_mode and item.lock_mode != row.lock_mode:
            values["lock_mode"] = item.lock_mode
        if item.legal_hold and item.known.pk in held:
            values["store_hold"] = True
        if values:
            await tx.execute(sa.update(renditions).where(R.id == item.known.pk).values(**values))
        if values.keys() - {"store_hold"}:
            await record(tx, actor, [_extended(item.known, values)])
    gone = [item for item in items if item.missing and item.known.current]
    await take(tx, actor, [_damaged(item, State(before[item.known.pk].state)) for item in gone if _may_damage(before, item)])


def _in(items: Sequence[Seen]) -> sa.ColumnElement[bool]:
    return hold_members.c.rendition_pk.in_([item.known.pk for item in items])


def _may_damage(before: Mapping[int, Any], item: Seen) -> bool:
    return State(before[item.known.pk].state) in lifecycle.TRANSITIONS[Event.DAMAGED]


def _extended(known: KnownObject, values: Mapping[str, Any]) -> Change:
    told = {name: instant(value) if name == "retain_until" else value for name, value in values.items() if name != "store_hold"}
    name = {"source": known.source, "recording_id": known.recording_id, "rendition": known.rendition}
    return Change(event="retention_extended", **name, reason="as the store says, found by a rebuild", data=told)


def _damaged(item: Seen, state: State) -> Step:
    known = item.known
    return Step(
        pk=known.pk,
        source=known.source,
        recording_id=known.recording_id,
        rendition=known.rendition,
        state=state,
        event=Event.DAMAGED,
        reason=item.missing,
        error=item.missing,
    )


# -- objects that no line tells of


async def unknown(conn: AsyncConnection, keys: Collection[str]) -> frozenset[str]:
    """Those of the keys that no rendition has or had. Found by the recording in a key, which is its id but for odd characters."""
    named: dict[str, set[str]] = {}
    for key in keys:
        parts = key.split("/")
        if len(parts) == _PARTS:
            named.setdefault(parts[0], set()).add(parts[4])
    told: set[str] = set()
    for source, ids in named.items():
        told |= await _told_keys(conn, source, ids)
    left = set(keys) - told
    for column in (R.key, P.key):
        told |= set((await conn.execute(sa.select(column).where(column.in_(sorted(left))))).scalars()) if left else set()
    return frozenset(set(keys) - told)


async def _told_keys(conn: AsyncConnection, source: str, ids: Collection[str]) -> set[str]:
    """Every key that the history of these recordings names, whatever became of the object."""
    lines = sa.select(L.data).where(L.source == source, L.recording_id.in_(sorted(ids)), L.data.is_not(None))
    found: set[str] = set()
    for data in (await conn.execute(lines)).scalars():
        found.update(str(item.get("key", "")) for item in (data, *data.get("objects", ())) if isinstance(item, dict))
    return found


async def adopt(tx: Tx, actor: str, stray: Stray, providers: Mapping[str, str]) -> str | None:
    """Makes an object the stored one of its rendition, by steps that the lifecycle knows; the reason where it must not be.

    What was forgotten on somebody's request, or has expired, is not taken up again.
    """
    recording_id = await _recording_id(tx.conn, stray)
    name = (stray.source, recording_id)
    erased = sa.select(erasure_items.c.erasure_id).where(
        erasure_items.c.source == stray.source, erasure_items.c.recording_id == recording_id
    )
    if (await tx.conn.execute(erased.limit(1))).first() is not None:
        return "its recording is to be erased, or was"
    row = (await replaying.known(tx.conn, [name])).get(name)
    pk = row.id if row is not None else await replaying.bare(tx, name, providers, status=None, at=tx.now)
    mine = sa.select(renditions).where(R.recording_pk == pk, R.name == stray.rendition)
    rendition = (await tx.conn.execute(mine)).one_or_none()
    if rendition is None:
        rendition = await _discovered(tx, actor, pk, name, stray.rendition)
    way = _WAY.get(State(rendition.state))
    if way is None:
        return f"its rendition is {rendition.state}"
    if rendition.sha256 and rendition.sha256 == stray.columns["sha256"] and State(rendition.state) is not State.DAMAGED:
        return f"the same bytes lie under {rendition.key}"
    await _walk(tx, actor, name, rendition, way, stray)
    if Event.CONTENT_CHANGED in way:  # which content it was that the provider announced for this object, nobody knows any more
        await tx.execute(sa.update(recordings).where(C.id == pk).values(content="", manifest=None))
    return None


async def _recording_id(conn: AsyncConnection, stray: Stray) -> str:
    """The id of the recording that a key names: itself, or the one known id that is written like it in keys."""
    known = sa.select(C.recording_id).where(C.source == stray.source)
    if (await conn.execute(known.where(C.recording_id == stray.recording))).first() is None:
        odd = known.where(C.recording_id.like(stray.recording[:1] + "%"))
        for candidate in (await conn.execute(odd)).scalars():
            if segment(candidate) == stray.recording:
                return str(candidate)
    return stray.recording


async def _discovered(tx: Tx, actor: str, pk: int, name: tuple[str, str], rendition: str) -> Any:
    row = {"recording_pk": pk, "source": name[0], "name": rendition, "state": State.DUE.value}
    await tx.execute(sa.insert(renditions).values(**row, due_at=tx.now, changed_at=tx.now))
    reason = "found in the archive by a rebuild"
    whose: dict[str, Any] = {"source": name[0], "recording_id": name[1], "rendition": rendition}
    told = {**whose, "to_state": State.DUE.value, "reason": reason}
    await record(tx, actor, [Change(event=Event.DISCOVERED, **told)])
    return (await tx.conn.execute(sa.select(renditions).where(R.recording_pk == pk, R.name == rendition))).one()


async def _walk(tx: Tx, actor: str, name: tuple[str, str], row: Any, way: Sequence[Event], stray: Stray) -> None:
    state = State(row.state)
    changes = []
    for event in way:
        after = lifecycle.advance(state, event)
        stored = event is Event.STORED
        data = {**_plain(stray.columns), "how": "found in the archive by a rebuild"} if stored else {}
        step: dict[str, Any] = {"source": name[0], "recording_id": name[1], "rendition": row.name, "from_state": state.value}
        reason = "" if stored else "found in the archive by a rebuild"
        changes.append(Change(event=event, **step, to_state=after.value, reason=reason, data=data))
        state = after
    values = {**stray.columns, "state": state.value, "archived_at": tx.now, "due_at": tx.now, "changed_at": tx.now}
    values |= {"error": "", "error_kind": "", "attempts": 0, "worker": "", "lease_until": None, "upload_id": "", "upload": None}
    await tx.execute(sa.update(renditions).where(R.id == row.id).values(**values, revision=R.revision + 1))
    if row.sha256 and row.key not in ("", stray.columns["key"]):
        names = ("key", "version_id", "size", "sha256", "token", "archived_at")
        earlier = {"rendition_pk": row.id, "superseded_at": tx.now, **{n: getattr(row, n) for n in names}}
        await tx.execute(sa.insert(superseded), [earlier])
    await record(tx, actor, changes)


def _plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in columns.items() if value not in ("", None, {})}
    return {name: instant(value) if name == "retain_until" else value for name, value in values.items()}
