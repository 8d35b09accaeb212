"""The catalog as a queue: claims, leases on them, and the outcomes that end them.

Long, because claims, outcomes and their statements have to fit each other to the column.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import batches
from archiver.catalog.batches import among
from archiver.catalog.history import Change, record
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import recordings, renditions, superseded, tallies
from archiver.domain import lifecycle
from archiver.domain.errors import StaleEntry
from archiver.domain.ledger import instant
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Entry, ProviderStatus, State
from archiver.domain.work import LEASE, PRIORITY_FIXITY, PRIORITY_RETRY, Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx

R, C, S = renditions.c, recordings.c, superseded.c
_OF_RENDITION = (
    *("id", "recording_pk", "source", "state", "revision", "attempts", "priority", "key", "version_id", "size", "sha256"),
    *(
        "token",
        "content_type",
        "upload_id",
        "upload",
        "proof",
        "metadata",
        "retain_until",
        "lock_mode",
        "store_hold",
        "archived_at",
        "verified_at",
    ),
)
_OF_RECORDING = (
    *(
        "recording_id",
        "gone_looks",
        "started_at",
        "ended_at",
        "first_seen_at",
        "media_type",
        "codec",
        "container",
        "external_url",
    ),
    *("provider", "room_id", "room_name", "participant_id", "participant_name"),
)
ENTRY = (
    sa.select(
        *(R[name] for name in _OF_RENDITION),
        R.name.label("rendition"),
        *(C[name] for name in _OF_RECORDING),
        C.status,
        C.size.label("listed_size"),
    )
    .select_from(renditions)
    .join(recordings, C.id == R.recording_pk)
)


_NAMES = tuple(str(column.key) for column in ENTRY.selected_columns)
_STATES = {state.value: state for state in State}
_STATUSES = {status.value: status for status in ProviderStatus}


def entry(row: Any, **changed: Any) -> Entry:
    """An Entry from a row of ENTRY, with what is `changed` about it."""
    values = dict(zip(_NAMES, row, strict=True))
    values["state"] = _STATES[values["state"]]
    values["status"] = _STATUSES[values["status"]]
    values["proof"] = values["proof"] or {}
    values["metadata"] = values["metadata"] or {}
    values["upload"] = values["upload"] or {}
    return Entry(**values | changed)


# Statements that every recording takes its way through are made once: to put one together takes longer than to run it.
_IDS = among(R.id, "ids")
_IN_TURN = ENTRY.where(_IDS).order_by(R.priority, R.due_at, R.id)
_CLAIM = (
    sa.update(renditions)
    .where(_IDS)
    .values(
        state=State.TRANSFERRING.value,
        worker=sa.bindparam("claimed_by"),
        lease_until=sa.bindparam("until"),
        changed_at=sa.bindparam("now"),
        revision=R.revision + 1,
    )
)
# A worker whose heartbeats failed for longer than a lease is still at what it holds, and nobody else took it.
_NOT_UNDER_WAY = sa.or_(R.worker != sa.bindparam("claimed_by"), ~among(R.id, "under_way"))
_DUE = (
    sa.select(R.id)
    .where(
        R.state == sa.literal_column("'due'"),
        R.source == sa.bindparam("of_source"),
        R.priority == sa.bindparam("of_priority"),
        R.due_at <= sa.bindparam("now"),
        ~among(R.id, "had"),
    )
    .order_by(R.due_at)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_FIRST_UNVERIFIED = sa.select(sa.func.min(R.due_at)).where(
    R.state == sa.literal_column("'stored'"), R.source == sa.bindparam("of_source")
)
_FIRST_DUE = sa.select(sa.func.min(R.due_at)).where(
    R.state == sa.literal_column("'due'"),
    R.source == sa.bindparam("of_source"),
    R.priority == sa.bindparam("of_priority"),
)
_OVER = (
    sa.select(R.id)
    .where(
        R.state == sa.literal_column("'transferring'"),
        R.lease_until < sa.bindparam("now"),
        R.source.in_(sa.bindparam("of_sources", expanding=True)),
        _NOT_UNDER_WAY,
    )
    .order_by(R.lease_until)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_UNVERIFIED = (
    sa.select(R.id)
    .where(
        R.state == sa.literal_column("'stored'"),
        R.due_at <= sa.bindparam("now"),
        R.source.in_(sa.bindparam("of_sources", expanding=True)),
        _NOT_UNDER_WAY,
    )
    .order_by(R.due_at)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_HELD = sa.select(R.id, R.state, R.revision, R.change).where(_IDS).order_by(R.id).with_for_update()


async def claim(
    tx: Tx, worker: str, limit: int, sources: Collection[str], turn: int, under_way: Collection[int] = ()
) -> list[Entry]:
    """Claims due entries and those whose lease is over; see the port. `turn` says whose turn it is to come first, `under_way`
    what this worker is still at.
    """
    ids = await _over(tx, worker, limit, sources, under_way)
    ids += await _due(tx, limit - len(ids), sources, turn)
    if not ids:
        return []
    rows = (await tx.conn.execute(_IN_TURN, {"ids": ids})).all()
    claimed = [entry(row, state=lifecycle.advance(_STATES[row.state], Event.CLAIMED), revision=row.revision + 1) for row in rows]
    values = {"ids": ids, "claimed_by": worker, "until": tx.now + LEASE, "now": tx.now}
    await tx.execute(_CLAIM, values)
    changes = [_change(item, Event.CLAIMED, item.state, "", before=row.state) for item, row in zip(claimed, rows, strict=True)]
    await record(tx, worker, changes)
    return claimed


async def _due(tx: Tx, limit: int, sources: Collection[str], turn: int) -> list[int]:
    """What is due, in equal shares of the sources; what one of them has no use for goes to the others."""
    names = sorted(sources)
    names = names[turn % len(names) :] + names[: turn % len(names)] if names else []
    found: dict[str, list[int]] = {name: [] for name in names}
    for priority in range(PRIORITY_FIXITY + 1):
        hungry = list(names)
        while hungry and limit > 0:
            share = -(-limit // len(hungry))
            for source in hungry[:limit]:
                got = await _first_due(tx, source, priority, min(share, limit), found[source])
                found[source] += got
                limit -= len(got)
                if len(got) < share:
                    hungry.remove(source)
    return [pk for ids in found.values() for pk in ids]


async def _first_due(tx: Tx, source: str, priority: int, limit: int, had: Collection[int]) -> list[int]:
    values = {"of_source": source, "of_priority": priority, "now": tx.now, "had": had, "most": limit}
    return list((await tx.conn.execute(_DUE, values)).scalars())


async def _over(tx: Tx, worker: str, limit: int, sources: Collection[str], under_way: Collection[int]) -> list[int]:
    """Claims whose worker has let the lease run out: dead, or stopped for longer than the lease."""
    values = {"now": tx.now, "of_sources": list(sources), "most": limit, "claimed_by": worker, "under_way": under_way}
    return list((await tx.conn.execute(_OVER, values)).scalars())


async def claim_stored(tx: Tx, worker: str, limit: int, sources: Collection[str], under_way: Collection[int] = ()) -> list[Entry]:
    """Stored entries due for verification, put off by a lease so that nobody else takes them meanwhile."""
    values = {"now": tx.now, "of_sources": list(sources), "most": limit, "claimed_by": worker, "under_way": under_way}
    ids = list((await tx.conn.execute(_UNVERIFIED, values)).scalars())
    if not ids:
        return []
    taken = sa.update(renditions).where(R.id.in_(ids))
    await tx.execute(taken.values(due_at=tx.now + LEASE, worker=worker, revision=R.revision + 1))
    return [entry(row) for row in (await tx.conn.execute(ENTRY.where(R.id.in_(ids)))).all()]


async def save(tx: Tx, worker: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Applies what is still at its revision; what this very call applied before (its reply was lost) counts as applied.

    Of one entry there may be several, each at the revision that the one before leaves. Returns the outcomes that came too late.
    """
    by_entry: dict[int, list[Outcome]] = {}
    for item in outcomes:
        by_entry.setdefault(item.entry.id, []).append(item)
    rows = {row.id: row for row in (await tx.conn.execute(_HELD, {"ids": by_entry})).all()}
    ready: list[list[Outcome]] = []
    late: list[Outcome] = []
    for pk, chain in by_entry.items():
        mine, others = _applicable(worker, rows.get(pk), chain)
        late += others
        if mine:
            ready.append(mine)
    await _write(tx, worker, ready)
    flat = [item for chain in ready for item in chain]
    await _gone(tx, flat)
    await record(tx, worker, [_line(item) for item in flat])
    return late


def _applicable(worker: str, row: Any, chain: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Of the outcomes of one entry those that can be applied to its row, in order, and those that came too late."""
    if row is None:
        return [], list(chain)
    done = next((at for at, item in enumerate(chain, 1) if row.change == _mark(worker, item)), 0)
    mine: list[Outcome] = []
    late: list[Outcome] = []
    state = row.state
    for item in chain[done:]:
        if item.entry.revision == row.revision + len(mine) and item.entry.state == state:
            mine.append(item)
            state = _after(item)
        else:
            late.append(item)
    return mine, late


def _mark(worker: str, item: Outcome) -> str:
    """What the row says once this outcome is applied: tells our own lost reply from somebody else's change."""
    return f"{worker}#{item.entry.revision}#{item.event}"


def _line(item: Outcome) -> Change:
    return _change(item.entry, item.event, _after(item), item.reason, data={**item.data, **_evidence(item)})


def _after(item: Outcome) -> State:
    return lifecycle.advance(item.entry.state, item.event)


_PROVED = ("key", "version_id", "size", "sha256")
_KEPT = ("retain_until", "lock_mode", "policy", "policy_fingerprint")
_BORN = (*_PROVED, "token", "content_type", "metadata", "proof", *_KEPT)


def _evidence(item: Outcome) -> dict[str, Any]:
    """What a ledger line must hold so that the archive alone proves an object and a lost catalog can be rebuilt (replay.py)."""
    names = {Event.STORED: _BORN, Event.VERIFIED: (*_PROVED, *_KEPT)}.get(item.event)
    if names is None:
        return {"kind": item.kind} if item.kind else {}
    values = {name: _value(item, name) for name in names}
    return {
        name: instant(value) if isinstance(value, datetime) else value
        for name, value in values.items()
        if value not in ("", None, {})
    }


def _value(item: Outcome, name: str) -> Any:
    return item.facts.get(name, getattr(item.entry, name, None))


async def _write(tx: Tx, worker: str, ready: Sequence[Sequence[Outcome]]) -> None:
    """One statement for each set of columns that outcomes bring; several outcomes of one entry are one write to its row."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for chain in ready:
        values = {"state": _after(chain[-1]).value, "revision": chain[-1].entry.revision + 1}
        for item in chain:
            values |= _columns(tx, worker, item)
        groups.setdefault(tuple(values), []).append({"id": chain[0].entry.id, **values})
    for rows in groups.values():
        await batches.update(tx.conn, renditions, rows)
    stored = [item for chain in ready for item in chain if item.event is Event.STORED]
    replaced = [item for item in stored if item.entry.key not in ("", _value(item, "key"))]
    if replaced:
        names = ("key", "version_id", "size", "sha256", "token", "archived_at")
        rows = [{"rendition_pk": i.entry.id, "superseded_at": tx.now} | {n: getattr(i.entry, n) for n in names} for i in replaced]
        await tx.execute(sa.insert(superseded), [row for row in rows if row["sha256"]])
    # An earlier object that was gone back to, or that repair found whole after all, is the current one, and no longer superseded.
    back = [item for item in stored if item.entry.key != _value(item, "key") and (item.entry.key or item.entry.archived_at)]
    if back:
        again = sa.delete(superseded).where(
            superseded.c.rendition_pk == sa.bindparam("pk"), superseded.c.key == sa.bindparam("now")
        )
        await tx.execute(again, [{"pk": item.entry.id, "now": _value(item, "key")} for item in back])


_TROUBLE = {Event.RETRY_SCHEDULED, Event.FAILED, Event.LOST, Event.UNAVAILABLE, Event.EXTERNAL, Event.DAMAGED}


def _columns(tx: Tx, worker: str, item: Outcome) -> dict[str, Any]:
    values: dict[str, Any] = {
        "change": _mark(worker, item),
        # What its worker is about to verify is its own until then: should it die, whoever buries it frees that at once.
        "worker": worker if item.event is Event.STORED and item.delay else "",
        "lease_until": None,
        "due_at": tx.now + item.delay,
        "changed_at": tx.now,
        "error": "",
        "error_kind": item.kind,
    }
    if item.event not in (Event.RETRY_SCHEDULED, Event.RELEASED):
        values |= {"upload_id": "", "upload": None}  # the next attempt goes on with it, an end drops it
    if item.event is Event.STORED:
        values |= {"archived_at": tx.now, "attempts": 0}
    elif item.event is Event.VERIFIED:
        values |= {"verified_at": tx.now, "checked_at": tx.now, "attempts": 0}
    elif item.event in _TROUBLE:
        values |= {"error": item.reason, "attempts": item.entry.attempts + item.counts}
        values |= {"priority": max(item.entry.priority, PRIORITY_RETRY)}
    return values | dict(item.facts)


async def _gone(tx: Tx, ready: Sequence[Outcome]) -> None:
    """Keeps count of how often in a row the provider did not know a recording."""
    gone = [item.entry.recording_pk for item in ready if item.gone]
    lost = [item.entry.recording_pk for item in ready if item.event is Event.LOST]
    back = [item.entry.recording_pk for item in ready if item.entry.gone_looks and not item.gone]
    if gone:
        looked = sa.update(recordings).where(C.id.in_(gone))
        await tx.execute(
            looked.values(
                gone_looks=C.gone_looks + 1,
                gone_at=sa.func.coalesce(C.gone_at, sa.literal(tx.now, C.gone_at.type)),
                manifest=None,
            )
        )
    if lost:
        await tx.execute(sa.update(recordings).where(C.id.in_(lost)).values(status="deleted", changed_at=tx.now, manifest=None))
    if back:
        await tx.execute(sa.update(recordings).where(C.id.in_(back)).values(gone_looks=0, gone_at=None, manifest=None))


async def note_upload(tx: Tx, item: Entry, values: Mapping[str, Any]) -> Entry:
    """Records an upload under way; the row's revision moves, so the caller goes on with the entry returned."""
    statement = sa.update(renditions).where(R.id == item.id, R.revision == item.revision)
    result = await tx.execute(statement.values(**values, revision=R.revision + 1))
    if result.rowcount != 1:
        raise StaleEntry(f"{item.source}/{item.recording_id} {item.rendition}: another worker has it now")
    return dataclasses.replace(item, revision=item.revision + 1, **values)


async def heartbeat(tx: Tx, worker: str, held: Collection[int]) -> None:
    """Renews this worker's hold on the entries that it knows it holds: a claim whose answer was lost has to run out."""
    for state, until in (("transferring", R.lease_until), ("stored", R.due_at)):
        mine = sa.update(renditions).where(R.id.in_(list(held)), R.worker == worker, R.state == state)
        await tx.execute(mine.values({until: tx.now + LEASE}))


async def hand_back(tx: Tx, actor: str, workers: Collection[str], reason: str) -> int:
    """Returns every claim of `workers` to the queue, due at once, and the verifications they had begun; says how many claims."""
    query = ENTRY.where(R.state == "transferring", R.worker.in_(list(workers))).with_for_update(of=renditions)
    entries = [entry(row) for row in (await tx.conn.execute(query)).all()]
    steps = [
        Step(
            pk=item.id,
            source=item.source,
            recording_id=item.recording_id,
            rendition=item.rendition,
            state=item.state,
            event=Event.RELEASED,
            reason=reason,
        )
        for item in entries
    ]
    await take(tx, actor, steps, due_at=tx.now, worker="", lease_until=None)
    checks = sa.update(renditions).where(R.state == "stored", R.worker.in_(list(workers)))
    await tx.execute(checks.values(due_at=tx.now, worker="", revision=R.revision + 1))
    return len(steps)


async def counts(conn: AsyncConnection) -> dict[str, dict[str, int]]:
    """Renditions by source and state."""
    found: dict[str, dict[str, int]] = {}
    for row in (await conn.execute(sa.select(tallies).where(tallies.c.n != 0))).all():
        found.setdefault(row.source, {})[row.state] = row.n
    return found


async def next_due(conn: AsyncConnection, now: datetime, sources: Collection[str]) -> float | None:
    """Seconds until something is due to be transferred or verified."""
    first: list[float] = []
    for source in sources:
        for rank in range(PRIORITY_FIXITY + 1):
            first += await _until(conn, _FIRST_DUE, now, of_source=source, of_priority=rank)
        first += await _until(conn, _FIRST_UNVERIFIED, now, of_source=source)
    return max(0.0, min(first)) if first else None


async def _until(conn: AsyncConnection, query: sa.Select[Any], now: datetime, **values: Any) -> list[float]:
    moment = (await conn.execute(query, values)).scalar()
    return [] if moment is None else [(moment - now).total_seconds()]


def _change(
    item: Entry, event: Event, after: State, reason: str, *, before: str = "", data: Mapping[str, Any] | None = None
) -> Change:
    return Change(
        event=event,
        source=item.source,
        recording_id=item.recording_id,
        rendition=item.rendition,
        from_state=before or item.state.value,
        to_state=after.value,
        reason=reason,
        data=data or {},
    )
