"""The catalog's side of fixity: whose turn it is, what was found, how much of the archive was checked lately."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.history import Change, record
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import recordings, renditions, superseded
from archiver.catalog.uploads import PARTS_OF_A_KEY
from archiver.catalog.work import ENTRY, entry
from archiver.domain.fixity import Held
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.replay import KEPT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Database, Tx
    from archiver.domain.recording import Entry

PERIOD = timedelta(days=90)  # within which every object is checked at least once (G19)
BATCH = 500
R, S = renditions.c, superseded.c
_GONE = (State.EXPIRING.value, State.EXPIRED.value)
# Whatever state its rendition is in: one that is fetched anew because the provider's bytes changed still has the old object.
_HAS_OBJECT = R.sha256 != "", R.state.not_in(_GONE)
_IS_KEPT = S.damaged.is_(other=False), R.state.not_in(_GONE)
_EARLIER = ENTRY.join(superseded, S.rendition_pk == R.id).add_columns(
    *(S[name].label(f"was_{name}") for name in ("id", "key", "version_id", "size", "sha256", "token", "archived_at"))
)
_OWN = len(ENTRY.selected_columns)


async def batches(database: Database, *, sample: int | None, part: tuple[int, int] | None) -> AsyncIterator[list[Held]]:
    """Objects to check, earlier ones too: a sample of those not checked longest, slice n of t (by row number), or all of them."""
    if sample is not None:
        async with database.read() as conn:
            found = await _sample(conn, sample)
        for start in range(0, len(found), BATCH):
            yield found[start : start + BATCH]
        return
    for query, column in ((ENTRY.where(*_HAS_OBJECT), R.id), (_EARLIER.where(*_IS_KEPT), S.id)):
        after = 0
        while True:
            next_ones = query.where(column > after).order_by(column).limit(BATCH)
            if part is not None:
                next_ones = next_ones.where(column % part[1] == part[0] - 1)
            async with database.read() as conn:
                found = [_held(row) for row in (await conn.execute(next_ones)).all()]
            if not found:
                break
            after = found[-1].earlier or found[-1].entry.id
            yield found


async def _sample(conn: AsyncConnection, count: int) -> list[Held]:
    """Those not checked for longest; never checked comes first."""
    oldest: list[tuple[bool, Any, int, int]] = []
    joined = sa.join(superseded, renditions, R.id == S.rendition_pk)
    current = sa.select(R.checked_at, R.id).where(*_HAS_OBJECT)
    earlier = sa.select(S.checked_at, S.id).select_from(joined).where(*_IS_KEPT)
    for kind, (query, at, pk) in enumerate(((current, R.checked_at, R.id), (earlier, S.checked_at, S.id))):
        rows = (await conn.execute(query.order_by(at.is_not(None), at, pk).limit(count))).all()
        oldest += [(row.checked_at is not None, row.checked_at, kind, row.id) for row in rows]
    chosen = sorted(oldest, key=lambda item: (item[0], item[1].timestamp() if item[0] else 0.0, item[2:]))[:count]
    found: dict[tuple[int, int], Held] = {}
    for kind, (query, pk) in enumerate(((ENTRY, R.id), (_EARLIER, S.id))):
        pks = [item[3] for item in chosen if item[2] == kind]
        for start in range(0, len(pks), BATCH):
            rows = (await conn.execute(query.where(pk.in_(pks[start : start + BATCH])))).all()
            found |= {(kind, held.earlier or held.entry.id): held for held in map(_held, rows)}
    return [found[item[2:]] for item in chosen if item[2:] in found]


def _held(row: Any) -> Held:
    """The object in a row of ENTRY, or of _EARLIER."""
    if len(row) == _OWN:
        return Held(entry=entry(row))
    names = ("key", "version_id", "size", "sha256", "token", "archived_at")
    facts = {name: getattr(row, f"was_{name}") for name in names}
    return Held(entry=entry(row[:_OWN], **facts, proof={}), earlier=row.was_id)


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


async def looked_at(tx: Tx, objects: Sequence[Held]) -> None:
    """Notes when these were last looked at."""
    for table, pks in (
        (renditions, [held.entry.id for held in objects if not held.earlier]),
        (superseded, [held.earlier for held in objects if held.earlier]),
    ):
        if pks:
            checked = sa.update(table).where(table.c.id == sa.bindparam("pk")).values(checked_at=tx.now)
            await tx.execute(checked, [{"pk": pk} for pk in pks])


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
    """Which share of recordings' objects, earlier ones too, was checked within the period; 1 for an empty archive.

    What repair replaced is known not to be whole: it is neither checked nor counted.
    """
    total = checked = 0
    joined = sa.join(superseded, renditions, R.id == S.rendition_pk)
    async with database.read() as conn:
        for column, source, there in ((R.checked_at, renditions, _HAS_OBJECT), (S.checked_at, joined, _IS_KEPT)):
            fresh = sa.func.sum(sa.case((column >= now - PERIOD, 1), else_=0))
            row = (await conn.execute(sa.select(sa.func.count(), fresh).select_from(source).where(*there))).one()
            total, checked = total + row[0], checked + int(row[1] or 0)
    share = checked / total if total else 1.0
    return {"period_days": PERIOD.days, "checked_share": math.floor(share * 10_000) / 10_000}


async def damaged_entries(database: Database, *, limit: int = 10_000) -> list[Entry]:
    """What waits for repair."""
    async with database.read() as conn:
        rows = (await conn.execute(ENTRY.where(R.state == State.DAMAGED.value).order_by(R.id).limit(limit))).all()
    return [entry(row) for row in rows]


async def not_archived(database: Database, pks: Sequence[int]) -> int:
    """How many of these renditions are not in the archive, or not whole."""
    left = 0
    async with database.read() as conn:
        for start in range(0, len(pks), BATCH):
            query = sa.select(sa.func.count()).where(R.id.in_(pks[start : start + BATCH]))
            query = query.where(R.state.not_in([State.STORED.value, State.VERIFIED.value]))
            left += (await conn.execute(query)).scalar_one()
    return left


async def refetch(tx: Tx, actor: str, items: Sequence[Entry], *, there: Collection[int]) -> int:
    """Puts damaged entries back into the queue as if they had never been archived; the history keeps what they were.

    `there` are those whose damaged object still stands in the archive: it is left where it is, with its lock, and goes when the
    recording goes; the new one comes to stand beside it.
    """
    ready = []
    for item in items:
        row = (await tx.conn.execute(sa.select(R.state, R.archived_at).where(R.id == item.id).with_for_update())).one()
        if row.state == State.DAMAGED.value:
            ready.append(item)
    names = ("key", "version_id", "size", "sha256")
    was = [
        Change(
            event="repair_began",
            source=item.source,
            recording_id=item.recording_id,
            rendition=item.rendition,
            reason=KEPT if item.id in there else "",
            data={name: getattr(item, name) for name in names},
        )
        for item in ready
    ]
    await record(tx, actor, was)
    left = [item for item in ready if item.id in there]
    if left:
        kept = (*names, "token", "archived_at")
        rows = [{"rendition_pk": i.id, "superseded_at": tx.now, "damaged": True} | {n: getattr(i, n) for n in kept} for i in left]
        await tx.execute(sa.insert(superseded), rows)
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
    return len(ready)
