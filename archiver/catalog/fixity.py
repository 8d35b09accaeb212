"""The catalog's side of fixity: whose turn it is, what was found, how much of the archive was checked lately."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.history import Change, record
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import recordings, renditions, superseded
from archiver.catalog.uploads import PARTS_OF_A_KEY
from archiver.catalog.work import ENTRY, entry
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Entry, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    from archiver.catalog.database import Database, Tx

PERIOD = timedelta(days=90)  # within which every object is checked at least once (G19)
BATCH = 500
R = renditions.c
HELD = (State.STORED.value, State.VERIFIED.value, State.DAMAGED.value)


async def batches(database: Database, *, sample: int | None, part: tuple[int, int] | None) -> AsyncIterator[list[Entry]]:
    """Entries to check: a sample of those not checked longest, slice n of t (by row number), or all of them."""
    if sample is not None:
        query = ENTRY.where(R.state.in_(HELD)).order_by(R.checked_at.is_not(None), R.checked_at, R.id).limit(sample)
        async with database.read() as conn:
            found = [entry(row) for row in (await conn.execute(query)).all()]
        for start in range(0, len(found), BATCH):
            yield found[start : start + BATCH]
        return
    after = 0
    while True:
        query = ENTRY.where(R.state.in_(HELD), R.id > after).order_by(R.id).limit(BATCH)
        if part is not None:
            query = query.where(R.id % part[1] == part[0] - 1)
        async with database.read() as conn:
            found = [entry(row) for row in (await conn.execute(query)).all()]
        if not found:
            return
        after = found[-1].id
        yield found


async def known_keys(database: Database, keys: Sequence[str]) -> frozenset[str]:
    """Those of `keys` that a rendition has or had, or is about to have: an object is there before the catalog says so."""
    async with database.read() as conn:
        now = (await conn.execute(sa.select(R.key).where(R.key.in_(keys)))).scalars().all()
        old = (await conn.execute(sa.select(superseded.c.key).where(superseded.c.key.in_(keys)))).scalars().all()
        rest = set(keys) - {*now, *old}
        named = {parts[4]: key for key in rest if len(parts := key.split("/")) == PARTS_OF_A_KEY}
        c = recordings.c
        coming = sa.select(c.source, c.recording_id).join(renditions, R.recording_pk == c.id)
        coming = coming.where(c.recording_id.in_(list(named)), R.state.in_([State.DUE.value, State.TRANSFERRING.value]))
        rows = (await conn.execute(coming)).all() if named else []
    written = {f"{row.source}/{row.recording_id}" for row in rows}
    about_to = {key for key in rest if f"{key.split('/')[0]}/{(key.split('/') + [''] * 4)[4]}" in written}
    return frozenset({*now, *old, *about_to})


async def passed(tx: Tx, entries: Sequence[Entry]) -> None:
    """Notes when these were last found as they should be."""
    if entries:
        checked = sa.update(renditions).where(R.id == sa.bindparam("pk")).values(checked_at=tx.now)
        await tx.execute(checked, [{"pk": item.id} for item in entries])


async def found_damaged(tx: Tx, actor: str, damage: Sequence[tuple[Entry, str]]) -> None:
    """Entries whose bytes are gone or wrong; one that changed meanwhile is left alone."""
    steps = []
    for item, says in damage:
        row = (await tx.conn.execute(sa.select(R.state, R.revision).where(R.id == item.id).with_for_update())).one()
        if row.revision == item.revision and State(row.state) in (State.STORED, State.VERIFIED):
            steps.append(_step(item, State(row.state), Event.DAMAGED, says))
    await take(tx, actor, steps, error_kind="Fixity", checked_at=tx.now)


def _step(item: Entry, state: State, event: Event, says: str) -> Step:
    return Step(
        pk=item.id,
        source=item.source,
        recording_id=item.recording_id,
        rendition=item.rendition,
        state=state,
        event=event,
        reason=says,
        error=says,
    )


async def intact_again(tx: Tx, actor: str, entries: Sequence[Entry]) -> None:
    """Damaged entries that were found as they should be after all: somebody brought the object back."""
    steps = [_step(item, State.DAMAGED, Event.VERIFIED, "found intact again") for item in entries]
    await take(
        tx, actor, [dataclasses.replace(step, error="") for step in steps], error_kind="", checked_at=tx.now, verified_at=tx.now
    )


async def ran(tx: Tx, actor: str, data: Mapping[str, Any]) -> None:
    """One line of history for a whole run."""
    await record(tx, actor, [Change(event="fixity_checked", data=data)])


async def coverage(database: Database, now: datetime) -> dict[str, Any]:
    """Which share of the archived renditions was checked within the period; 1 for an empty archive."""
    held = R.state.in_(HELD)
    fresh = sa.func.sum(sa.case((R.checked_at >= now - PERIOD, 1), else_=0))
    async with database.read() as conn:
        row = (await conn.execute(sa.select(sa.func.count(), fresh).where(held))).one()
    share = 1.0 if not row[0] else int(row[1] or 0) / row[0]
    return {"period_days": PERIOD.days, "checked_share": round(share, 4)}


async def damaged_entries(database: Database, *, limit: int = 10_000) -> list[Entry]:
    """What waits for repair."""
    async with database.read() as conn:
        rows = (await conn.execute(ENTRY.where(R.state == State.DAMAGED.value).order_by(R.id).limit(limit))).all()
    return [entry(row) for row in rows]


async def refetch(tx: Tx, actor: str, items: Sequence[Entry]) -> int:
    """Puts damaged entries back into the queue as if they had never been archived; the history keeps what they were.

    The damaged object is left where it is: the new one goes beside it if its key is taken.
    """
    ready = []
    for item in items:
        row = (await tx.conn.execute(sa.select(R.state).where(R.id == item.id).with_for_update())).one()
        if row.state == State.DAMAGED.value:
            ready.append(item)
    steps = [
        dataclasses.replace(_step(item, State.DAMAGED, Event.REPAIRED, "fetched again from the provider"), error="")
        for item in ready
    ]
    cleared = {
        "key": "",
        "version_id": "",
        "size": None,
        "sha256": "",
        "token": "",
        "proof": None,
        "upload_id": "",
        "upload": None,
    }
    await take(tx, actor, steps, due_at=tx.now, attempts=0, priority=0, error_kind="", worker="", **cleared)
    was = [
        Change(
            event="repair_began",
            source=item.source,
            recording_id=item.recording_id,
            rendition=item.rendition,
            data={"key": item.key, "version_id": item.version_id, "size": item.size, "sha256": item.sha256},
        )
        for item in ready
    ]
    await record(tx, actor, was)
    return len(ready)
