"""What an operator may do to renditions: put them back into the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import erasures
from archiver.catalog.listing import find
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import recordings, renditions
from archiver.domain import lifecycle
from archiver.domain.errors import UsageError
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.work import PRIORITY_LIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archiver.catalog.database import Tx

RETRIABLE = lifecycle.TRANSITIONS[Event.RETRIED]


async def retry(tx: Tx, actor: str, ids: Sequence[str]) -> int:
    """Makes the renditions of recordings due now, with all their attempts before them; returns how many there were.

    Failed, unavailable and lost ones can be retried. Raises UsageError, and changes nothing, where an id is unknown, ambiguous
    or has nothing to retry.
    """
    found = []
    for text in dict.fromkeys(ids):
        recording = await find(tx.conn, text)
        if await erasures.executed(tx.conn, [(recording.source, recording.recording_id)]):
            raise UsageError(f"{text}: it was erased on request, and is never archived again")
        rows = await _locked(tx, renditions.c.recording_pk == recording.id)
        again = [row for row in rows if row.state in RETRIABLE]
        if not again:
            states = ", ".join(f"{row.name} is {row.state}" for row in rows)
            raise UsageError(f"{text}: nothing to retry, {states}; accepted: {', '.join(RETRIABLE)}")
        found += again
    return await _again(tx, actor, found)


async def retry_all_failed(tx: Tx, actor: str) -> int:
    """The same for every failed rendition; returns how many there were."""
    return await _again(tx, actor, await _locked(tx, renditions.c.state == State.FAILED.value))


async def _locked(tx: Tx, which: sa.ColumnElement[bool]) -> Sequence[Any]:
    r, c = renditions.c, recordings.c
    query = sa.select(r.id, r.source, c.recording_id, r.name, r.state).join(recordings, c.id == r.recording_pk)
    return (await tx.conn.execute(query.where(which).order_by(r.id).with_for_update(of=renditions))).all()


async def _again(tx: Tx, actor: str, rows: Sequence[Any]) -> int:
    steps = [
        Step(
            pk=row.id,
            source=row.source,
            recording_id=row.recording_id,
            rendition=row.name,
            state=State(row.state),
            event=Event.RETRIED,
            reason="an operator asked for another round",
        )
        for row in {row.id: row for row in rows}.values()
    ]
    await take(tx, actor, steps, attempts=0, due_at=tx.now, priority=PRIORITY_LIVE, error_kind="", worker="", lease_until=None)
    return len(steps)
