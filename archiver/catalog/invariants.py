"""The laws of reliability.md that the catalog alone can be held to; each answers with the rows that break it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from archiver.catalog.tables import ledger, recordings, renditions, rooms, rooms_due, slices, sources, superseded
from archiver.domain.invariants import Violation
from archiver.domain.lifecycle import ARCHIVED, TRANSITIONS, Event
from archiver.domain.recording import ProviderStatus, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

MOST = 100  # offenders named for one law; the rest is counted
R, C, L = renditions.c, recordings.c, ledger.c
_NAME = (R.source, C.recording_id, R.name)
_JOINED = sa.select(*_NAME).join(recordings, C.id == R.recording_pk)


def _laws(now: datetime) -> dict[str, tuple[str, sa.Select[tuple[str, str, str]]]]:
    """Law: what it says about an offender, and the query that finds offenders."""
    archived = R.state.in_([state.value for state in ARCHIVED])
    held = [state.value for state in (*ARCHIVED, State.DAMAGED, State.EXPIRING, State.EXPIRED)]
    events = sa.select(L.event, L.source, L.recording_id, L.rendition, L.to_state)

    def lacks(event: Event) -> sa.ColumnElement[bool]:
        """No ledger line of this kind for the rendition."""
        mine = events.where(L.source == R.source, L.recording_id == C.recording_id, L.rendition == R.name, L.event == event.value)
        return ~mine.exists()

    last = (
        sa.select(L.to_state)
        .where(L.source == R.source, L.recording_id == C.recording_id, L.rendition == R.name, L.to_state != "")
        .order_by(L.id.desc())
        .limit(1)
        .correlate(renditions, recordings)
        .scalar_subquery()
    )
    return {
        "impossible state": ("its state is not one this program knows", _JOINED.where(R.state.not_in([s.value for s in State]))),
        "I6 archived": (
            "archived without key, size or SHA-256",
            _JOINED.where(archived, (R.key == "") | (sa.func.length(R.sha256) != 64) | R.size.is_(None) | (R.size <= 0)),
        ),
        "I6 verified": (
            "verified without a verified event before it",
            _JOINED.where(R.state == "verified", lacks(Event.VERIFIED)),
        ),
        "I21 stored": (
            "archived without a stored event",
            _JOINED.where(R.state.in_(held), lacks(Event.STORED), lacks(Event.ERASING)),  # erased before it was ever archived
        ),
        "I21 history": ("its last ledger line names another state", _JOINED.where(last != R.state)),
        "I21 discovered": ("no discovered event", _JOINED.where(lacks(Event.DISCOVERED))),
        "I21 chain": ("a ledger line goes on from another state than the one before it left", _broken_chains()),
        "I21 objects": ("its stored lines tell of another number of objects than it has", _JOINED.where(archived, _miscounted())),
        "I16 claim": (
            "transferring without a worker or a lease",
            _JOINED.where(R.state == "transferring", R.lease_until.is_(None)),
        ),
        "I16 due": ("in the queue, but never due", _JOINED.where(R.state == "due", R.due_at.is_(None))),
        "I17 worker": (
            "a worker holds it, and nothing is being done with it",
            _JOINED.where(R.worker != "", R.state.not_in(["transferring", "stored"])),
        ),
        "I16 reason": (
            "ended without a reason",
            _JOINED.where(R.state.in_(["failed", "lost", "unavailable", "external", "damaged"]), R.error == ""),
        ),
        "I3 rendition": (
            "a recording without any rendition",
            sa.select(C.source, C.recording_id, sa.literal("")).where(~sa.select(R.id).where(R.recording_pk == C.id).exists()),
        ),
        "I3 status": (
            "its provider status is not one this program knows",
            sa.select(C.source, C.recording_id, sa.literal("")).where(C.status.not_in([s.value for s in ProviderStatus])),
        ),
        "room": (
            "nobody asked for its room, and nobody is to ask for it",
            sa.select(C.source, C.recording_id, C.room_id).where(
                C.room_id != "", *(~_names(table) for table in (rooms, rooms_due))
            ),
        ),
        "I25 ended": (
            "its recording ended at another instant than is kept with it",
            _JOINED.where(R.ended_at.is_distinct_from(C.ended_at)),
        ),
        "I2 watermark": (
            "its watermark lies in the future",
            sa.select(sources.c.source, sa.literal(""), sa.literal("")).where(sources.c.watermark > now),
        ),
        "I2 slice": (
            "a backfilled day lies in the future",
            sa.select(slices.c.source, sa.cast(slices.c.day, sa.Text), sa.literal("")).where(slices.c.finished_at > now),
        ),
        "I8 superseded": (
            "an earlier object without key or SHA-256",
            _JOINED.join(superseded, superseded.c.rendition_pk == R.id).where(
                (superseded.c.key == "") | (sa.func.length(superseded.c.sha256) != 64)
            ),
        ),
    }


def _names(table: sa.Table) -> sa.Exists:
    """Whether a table has a row for the recording's room."""
    return sa.select(table.c.room_id).where(table.c.source == C.source, table.c.room_id == C.room_id).exists()


def _broken_chains() -> sa.Select[tuple[str, str, str]]:
    """Renditions whose history has a gap or a line too many: each line begins where the one before it ended, the first with
    nothing (one event for every change, written in its transaction).
    """
    of_one = (L.source, L.recording_id, L.rendition)
    before = sa.func.lag(L.to_state, 1, "").over(partition_by=of_one, order_by=L.id).label("before")
    steps = sa.select(*of_one, L.from_state, before).where(L.rendition != "", L.to_state != "").subquery()
    broken = sa.select(steps.c.source, steps.c.recording_id, steps.c.rendition).where(steps.c.from_state != steps.c.before)
    return broken.distinct()


def _miscounted() -> sa.ColumnElement[bool]:
    """Whether the stored lines of a rendition name more or fewer objects than its row and its superseded ones do.

    A line's data holds key, version, size and digest; one with a reason says that the bytes are those of the object there is.
    A repair without a reason found nothing of the object left.
    """
    mine = L.source == R.source, L.recording_id == C.recording_id, L.rendition == R.name, L.reason == ""
    told = sa.select(sa.func.count(sa.distinct(L.data))).where(*mine, L.event == Event.STORED.value)
    gone = sa.select(sa.func.count()).where(*mine, L.event == "repair_began")
    earlier = sa.select(sa.func.count()).where(superseded.c.rendition_pk == R.id)
    return told.scalar_subquery() != earlier.scalar_subquery() + gone.scalar_subquery() + 1


async def check(conn: AsyncConnection, now: datetime) -> list[Violation]:
    """Every law the catalog breaks, up to a hundred offenders each."""
    found: list[Violation] = []
    for law, (says, query) in _laws(now).items():
        rows = (await conn.execute(query.limit(MOST))).all()
        found += [Violation(law=law, thing="/".join(part for part in row if part), says=says) for row in rows]
    found += await _one_key_each(conn)
    found += await _impossible_steps(conn)
    return found


async def _one_key_each(conn: AsyncConnection) -> list[Violation]:
    """I8: two renditions never share a key."""
    query = sa.select(R.key, sa.func.count()).where(R.key != "", R.sha256 != "").group_by(R.key).having(sa.func.count() > 1)
    rows = (await conn.execute(query.limit(MOST))).all()
    return [Violation(law="I8 key", thing=row[0], says=f"{row[1]} renditions point to it") for row in rows]


async def _impossible_steps(conn: AsyncConnection) -> list[Violation]:
    """Ledger lines that tell of a step the lifecycle does not have."""
    query = (
        sa.select(L.event, L.from_state, L.to_state, sa.func.min(L.id))
        .where(L.from_state != "")
        .group_by(L.event, L.from_state, L.to_state)
    )
    found = []
    for event, before, after, first in (await conn.execute(query)).all():
        try:
            steps = TRANSITIONS.get(Event(event))
        except ValueError:
            continue  # events that are not steps (pass_completed, …)
        if steps is not None and steps.get(State(before)) != after:
            found.append(
                Violation(law="lifecycle", thing=f"ledger line {first}", says=f"{event}: {before} to {after} is no step")
            )
    return found


async def other_objects(conn: AsyncConnection, *, batch: int = 1000) -> AsyncIterator[Sequence[str]]:
    """Keys, in order, that objects may stand under and need not: of renditions that are damaged, to be fetched anew, or
    being deleted, and what repair replaced.
    """
    held = [state.value for state in (State.STORED, State.VERIFIED, State.EXPIRED)]
    current = sa.select(R.key).where(R.state.not_in(held), R.sha256 != "")
    earlier = sa.select(superseded.c.key).join(renditions, R.id == superseded.c.rendition_pk)
    need_not = (R.state == State.EXPIRING.value) | superseded.c.damaged.is_(other=True)
    both = sa.union(current, earlier.where(need_not)).subquery()
    after = ""
    while True:
        query = sa.select(both.c.key).where(both.c.key > after).order_by(both.c.key).limit(batch)
        rows = list((await conn.execute(query)).scalars())
        if not rows:
            return
        yield rows
        after = rows[-1]


async def expected_objects(conn: AsyncConnection, *, batch: int = 1000) -> AsyncIterator[Sequence[tuple[str, str, int]]]:
    """(key, version_id, size) of every object the archive must hold, in key order."""
    held = [state.value for state in (State.STORED, State.VERIFIED)]
    current = sa.select(R.key, R.version_id, R.size).where(R.state.in_(held))
    earlier = sa.select(superseded.c.key, superseded.c.version_id, superseded.c.size)
    earlier = earlier.join(renditions, R.id == superseded.c.rendition_pk)
    earlier = earlier.where(R.state != State.EXPIRING.value, superseded.c.damaged.is_(other=False))
    both = sa.union_all(current, earlier).subquery()
    place = sa.tuple_(both.c.key, both.c.version_id)  # of one key there may be several versions
    after = ("", "")
    while True:
        query = sa.select(both).where(place > after).order_by(both.c.key, both.c.version_id).limit(batch)
        rows = [(row.key, row.version_id, row.size) for row in (await conn.execute(query)).all()]
        if not rows:
            return
        yield rows
        after = rows[-1][:2]
