"""From a provider's list into the catalog: pages, changes, recordings that vanish.

Long, because a page, a change and a disappearance decide about the same rows and are read together.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.history import Change, record
from archiver.catalog.listed_before import all_known, known_rows
from archiver.catalog.sources import note_rooms
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import open_at_provider, quarantine, recordings, renditions, rooms
from archiver.domain import lifecycle
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Listed, ProviderStatus, RecordingRef, Rejected, State
from archiver.domain.work import Added, Gone, Known

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.catalog.listed_before import Prints


_PLAIN = (
    "status_raw",
    "started_at",
    "ended_at",
    "duration",
    "size",
    "media_type",
    "codec",
    "container",
    "room_id",
    "room_name",
    "session_id",
    "participant_id",
    "participant_name",
    "external_url",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changed:
    pk: int
    item: Listed
    values: dict[str, Any]
    before: Any  # the row as it stands
    other_content: bool  # announces other bytes than when it was last seen completed


def facts(listed: Listed) -> dict[str, Any]:
    """The columns that come from a list, with the fingerprint that says whether any of them changed.

    `content` covers what other bytes would show in: exact size, length, codec and end of a completed recording.
    """
    row: dict[str, Any] = {name: getattr(listed, name) for name in _PLAIN}
    row["status"] = listed.status.value
    row["flags"] = list(listed.flags)
    row["raw"] = dict(listed.raw)
    seen = json.dumps([row, listed.renditions], default=str, sort_keys=True, separators=(",", ":"))
    row["fingerprint"] = hashlib.sha256(seen.encode()).hexdigest()
    content = json.dumps([listed.size, listed.duration, listed.codec, listed.ended_at], default=str)
    row["content"] = content if listed.status is ProviderStatus.COMPLETED else ""
    return row


async def add_page(tx: Tx, actor: str, source: str, kind: str, listed: Sequence[Listed], priority: int, prints: Prints) -> Added:
    """Stores new and changed recordings of a page; unchanged ones cost one read for all of them and no write.

    A row listed twice counts once, the later one. What is listed as deleted while we knew it alive is left alone here: deletion
    wants a second look (`record_gone`).
    """
    page = {item.recording_id: item for item in listed}
    if prints.known_of(page) and (await all_known(tx.conn, source, prints))[0]:
        return Added(new=0, changed=0, ids=frozenset(page), lost=0)
    known = await known_rows(tx.conn, source, page)
    fresh = [item for key, item in page.items() if key not in known]
    changed = []
    for key, row in known.items():
        item = page[key]
        if item.status is ProviderStatus.DELETED:
            continue
        if prints.get(key) == row.fingerprint and not row.gone_looks and row.status == item.status.value:
            continue
        values = facts(item)
        prints.put(key, values["fingerprint"])
        if values["fingerprint"] != row.fingerprint or row.gone_looks or row.status != item.status.value:
            had_content = bool(row.content) or row.status == ProviderStatus.FAILED.value
            other = had_content and bool(values["content"]) and values["content"] != row.content
            values["content"] = values["content"] or row.content  # a status in between says nothing of the bytes
            if item.room_id == row.room_id:
                values["room_name"] = item.room_name or row.room_name  # which may come from the room itself
            changed.append(_Changed(pk=row.id, item=item, values=values, before=row, other_content=other))
    if fresh:
        await _insert(tx, actor, source, kind, fresh, priority, prints)
    if changed:
        moved = [c for c in changed if c.item.room_id != c.before.room_id]
        await note_rooms(tx, source, [c.item.room_id for c in moved])
        names = await _room_names(tx, source, [c.item for c in moved])
        for c in moved:
            c.values["room_name"] = c.item.room_name or names.get(c.item.room_id, "")
        await _update(tx, actor, source, changed, priority)
    lost = sum(item.status is ProviderStatus.DELETED for item in fresh)
    return Added(new=len(fresh), changed=len(changed), ids=frozenset(page), lost=lost)


async def _insert(tx: Tx, actor: str, source: str, kind: str, fresh: Sequence[Listed], priority: int, prints: Prints) -> None:
    seen = {"source": source, "provider": kind, "first_seen_at": tx.now, "changed_at": tx.now, "looked_at": tx.now}
    rows = [{**seen, "recording_id": item.recording_id, **facts(item)} for item in fresh]
    await note_rooms(tx, source, [item.room_id for item in fresh])
    names = await _room_names(tx, source, fresh)
    for row in rows:
        if row["status"] != ProviderStatus.DELETED.value:  # which is looked at by itself whenever it is listed
            prints.put(row["recording_id"], row["fingerprint"])
        row["room_name"] = row["room_name"] or names.get(row["room_id"], "")
    added = (await tx.execute(sa.insert(recordings).returning(recordings.c.id, recordings.c.recording_id), rows)).all()
    keys = {row.recording_id: row.id for row in added}
    await _insert_renditions(tx, actor, source, [(keys[item.recording_id], item, item.renditions) for item in fresh], priority)


async def _room_names(tx: Tx, source: str, listed: Sequence[Listed]) -> dict[str, str]:
    """What the rooms of those listed without a name for theirs are called, as far as they were asked for already."""
    ids = {item.room_id for item in listed if item.room_id and not item.room_name}
    if not ids:
        return {}
    query = sa.select(rooms.c.room_id, rooms.c.name).where(rooms.c.source == source, rooms.c.room_id.in_(list(ids)))
    return {row.room_id: row.name for row in (await tx.conn.execute(query)).all()}


async def _insert_renditions(
    tx: Tx, actor: str, source: str, wanted: Sequence[tuple[int, Listed, Sequence[str]]], priority: int
) -> None:
    rows, changes = [], []
    for pk, item, names in wanted:
        state = lifecycle.first_state(item.status, external=bool(item.external_url))
        for name in names:
            rows.append(
                {"recording_pk": pk, "source": source, "name": name, "state": state.value, "due_at": tx.now, "priority": priority}
                | {"changed_at": tx.now, "error": _why(item, state), "ended_at": item.ended_at}
            )
            changes.append(
                Change(
                    event=Event.DISCOVERED,
                    source=source,
                    recording_id=item.recording_id,
                    rendition=name,
                    to_state=state.value,
                    reason=_why(item, state) or f"listed as {item.status_raw or item.status.value}",
                    data={"priority": priority} if priority else {},
                )
            )
    if rows:
        await tx.execute(sa.insert(renditions), rows)
    await record(tx, actor, changes)


def _why(item: Listed, state: State) -> str:
    """Why a rendition enters the catalog in a state that is already an end."""
    reasons = {
        State.LOST: "first seen when the provider had deleted it already",
        State.UNAVAILABLE: f"the provider's own status is {item.status_raw!r}",
        State.EXTERNAL: f"the media lies at {item.external_url}",
    }
    return reasons.get(state, "")


async def _update(tx: Tx, actor: str, source: str, changed: Sequence[_Changed], priority: int) -> None:
    r = renditions.c
    query = sa.select(r.id, r.recording_pk, r.name, r.state, r.ended_at).where(r.recording_pk.in_([c.pk for c in changed]))
    have: dict[int, dict[str, Any]] = {}
    for row in (await tx.conn.execute(query.order_by(r.id).with_for_update())).all():
        have.setdefault(row.recording_pk, {})[row.name] = row
    changed = [_put_off(c) if any(row.state == "transferring" for row in have.get(c.pk, {}).values()) else c for c in changed]
    columns: dict[str, Any] = {name: sa.bindparam(f"v_{name}") for name in changed[0].values}
    statement = (
        sa.update(recordings)
        .where(recordings.c.id == sa.bindparam("pk"))
        .values(**columns, changed_at=tx.now, looked_at=tx.now, gone_looks=0, gone_at=None, manifest=None)
    )
    await tx.execute(statement, [{"pk": c.pk, **{f"v_{k}": v for k, v in c.values.items()}} for c in changed])
    held = [(c.item.ended_at, row) for c in changed for row in have.get(c.pk, {}).values()]
    if ends := [{"pk": row.id, "v_ended_at": at} for at, row in held if at != row.ended_at]:
        await tx.execute(
            sa.update(renditions).where(r.id == sa.bindparam("pk")).values(ended_at=sa.bindparam("v_ended_at")), ends
        )
    missing = [(c.pk, c.item, [name for name in c.item.renditions if name not in have.get(c.pk, {})]) for c in changed]
    await _insert_renditions(tx, actor, source, missing, priority)
    steps = [step for c in changed for row in have.get(c.pk, {}).values() if (step := _step(source, c, row)) is not None]
    await take(tx, actor, steps, due_at=tx.now, attempts=0, priority=priority, error_kind="", worker="")


def _put_off(changed: _Changed) -> _Changed:
    """Other content announced while bytes are under way, which may be the old ones: to be noticed when they have arrived."""
    if not changed.other_content:
        return changed
    values = {**changed.values, "content": changed.before.content, "fingerprint": changed.before.fingerprint}
    return replace(changed, values=values, other_content=False)


def _step(source: str, changed: _Changed, row: Any) -> Step | None:
    """What a changed listing means for one rendition of it."""
    item = changed.item
    state = State(row.state)
    event = lifecycle.on_listing(state, item.status, external=bool(item.external_url), changed=changed.other_content)
    if event is None:
        return None
    why = _why(item, lifecycle.advance(state, event))
    return Step(
        pk=row.id,
        source=source,
        recording_id=item.recording_id,
        rendition=row.name,
        state=state,
        event=event,
        reason=why or f"listed as {item.status_raw or item.status.value}",
        error=why,
    )


async def quarantine_rows(tx: Tx, source: str, rejected: Sequence[Rejected]) -> int:
    """Keeps rows that cannot be catalogued, each once; returns how many were new."""
    prints = {hashlib.sha256(item.raw.encode("utf-8", "surrogatepass")).hexdigest(): item for item in rejected}
    c = quarantine.c
    query = sa.select(c.fingerprint).where(c.source == source, c.fingerprint.in_(list(prints)))
    have = set((await tx.conn.execute(query)).scalars())
    rows = [
        {"source": source, "fingerprint": key, "reason": item.reason, "raw": item.raw, "first_seen_at": tx.now}
        for key, item in prints.items()
        if key not in have
    ]
    if rows:
        await tx.execute(sa.insert(quarantine), rows)
    return len(rows)


async def ended_between(conn: AsyncConnection, source: str, start: datetime, end: datetime) -> list[Known]:
    """Recordings that ended in [start, end) and count as held by the provider."""
    c = recordings.c
    query = sa.select(c.recording_id, c.room_id, c.gone_looks, c.gone_at).where(
        c.source == source, c.ended_at >= start, c.ended_at < end, c.status == ProviderStatus.COMPLETED.value
    )
    return [
        Known(
            ref=RecordingRef(source=source, recording_id=row.recording_id, room_id=row.room_id),
            gone_looks=row.gone_looks,
            gone_at=row.gone_at,
        )
        for row in (await conn.execute(query)).all()
    ]


async def take_open(tx: Tx, source: str, limit: int) -> list[RecordingRef]:
    """Recordings still open at the provider, longest not looked at first; marks them as looked at."""
    c = recordings.c
    query = (
        sa.select(c.id, c.recording_id, c.room_id)
        .where(c.source == source, open_at_provider, c.looked_at < tx.now)
        .order_by(c.looked_at)
        .limit(limit)
    )
    rows = (await tx.conn.execute(query)).all()
    if rows:
        await tx.execute(sa.update(recordings).where(c.id.in_([row.id for row in rows])).values(looked_at=tx.now))
    return [RecordingRef(source=source, recording_id=row.recording_id, room_id=row.room_id) for row in rows]


async def record_gone(tx: Tx, actor: str, source: str, recording_id: str, looks: int) -> Gone:
    """Counts looks at which the provider did not know a recording; acts at the confirming one.

    A rendition under way is left alone: its worker may have every byte already, and finds out by itself if not.
    """
    c, r = recordings.c, renditions.c
    held = sa.select(r.id, r.name, r.state).join(recordings, c.id == r.recording_pk)
    held = held.where(c.source == source, c.recording_id == recording_id).order_by(r.id).with_for_update(of=renditions)
    items = (await tx.conn.execute(held)).all()
    query = sa.select(c.id, c.gone_looks, c.status).where(c.source == source, c.recording_id == recording_id)
    row = (await tx.conn.execute(query.with_for_update())).one_or_none()
    if row is None or row.status == ProviderStatus.DELETED.value:
        return Gone.COUNTED
    total = row.gone_looks + looks
    confirmed = total >= lifecycle.CONFIRMING_LOOKS
    values: dict[str, Any] = {
        "gone_looks": total,
        "gone_at": sa.func.coalesce(c.gone_at, sa.literal(tx.now, c.gone_at.type)),
        "manifest": None,
    }
    if confirmed:
        values |= {"status": ProviderStatus.DELETED.value, "changed_at": tx.now}
    await tx.execute(sa.update(recordings).where(c.id == row.id).values(**values))
    if not confirmed:
        return Gone.COUNTED
    steps = []
    for item in items:
        state = State(item.state)
        event = lifecycle.on_gone(state, total)
        if event is not None and state is not State.TRANSFERRING:
            why = "the provider deleted it before it was archived" if event is Event.LOST else "the provider deleted it"
            step = Step(
                pk=item.id,
                source=source,
                recording_id=recording_id,
                rendition=item.name,
                state=state,
                event=event,
                reason=f"{why}: gone at two looks",
                error=why if event is Event.LOST else "",
            )
            steps.append(step)
    await take(tx, actor, steps, worker="")
    return Gone.LOST if any(step.event is Event.LOST for step in steps) else Gone.DELETED
