"""Renditions made anew from the lines of the history, a batch of recordings at a time."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.history import Change, record
from archiver.catalog.ledger import LINE, line_of
from archiver.catalog.tables import ledger, recordings, renditions, superseded
from archiver.domain.lifecycle import Event
from archiver.domain.recording import ProviderStatus, State
from archiver.domain.replay import Replayed, replay

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx

C, R, L = recordings.c, renditions.c, ledger.c
BATCH = 200  # recordings whose lines are read and followed in one transaction
NO_FACTS = "rebuilt from the history alone: its facts were not in any manifest"
_RELEASES = ("", "intended", "deleted")

Name = tuple[str, str]


async def batch(tx: Tx, after: Name, providers: Mapping[str, str]) -> Name | None:
    """Follows the lines of the next recordings behind `after`; gives the last of them, None at the end."""
    names = await _next(tx.conn, after)
    if not names:
        return None
    source, ids = names[0][0], [recording_id for _source, recording_id in names]
    rows = (await tx.conn.execute(LINE.where(L.source == source, L.recording_id.in_(ids)).order_by(L.recording_id, L.seq))).all()
    found = {}
    for recording_id, lines in groupby(rows, key=lambda row: row.recording_id):
        replayed = replay(line_of(row) for row in lines)
        if replayed is not None:
            found[(source, str(recording_id))] = replayed
    pks = await _recordings(tx, found, providers)
    await _renditions(tx, pks, found)
    return names[-1]


async def _next(conn: AsyncConnection, after: Name) -> list[Name]:
    """The names of the next recordings that the history tells of, all of one source."""
    source, recording_id = after
    distinct = sa.select(L.recording_id).distinct().order_by(L.recording_id).limit(BATCH)
    ids = (
        (await conn.execute(distinct.where(L.source == source, L.recording_id > recording_id))).scalars().all() if source else []
    )
    while not ids:
        following = (await conn.execute(sa.select(sa.func.min(L.source)).where(L.source > source))).scalar()
        if following is None:
            return []
        source = following
        ids = (await conn.execute(distinct.where(L.source == source, L.recording_id != ""))).scalars().all()
    return [(source, key) for key in ids]


async def known(conn: AsyncConnection, names: Collection[Name]) -> dict[Name, Any]:
    """The rows of recordings that are there, as far as a rebuild looks at them."""
    found: dict[Name, Any] = {}
    ordered = sorted(names)
    for source, items in groupby(ordered, key=lambda name: name[0]):
        ids = [recording_id for _source, recording_id in items]
        query = sa.select(C.id, C.recording_id, C.manifest, C.release, C.status)
        for row in (await conn.execute(query.where(C.source == source, C.recording_id.in_(ids)))).all():
            found[(source, row.recording_id)] = row
    return found


async def _recordings(tx: Tx, found: Mapping[Name, Replayed], providers: Mapping[str, str]) -> dict[Name, int]:
    """Rows for those that no manifest told of; and what the history knows better than a manifest that came before it."""
    have = await known(tx.conn, found)
    missing = [(name, item) for name, item in found.items() if name not in have]
    pks = {name: row.id for name, row in have.items()}
    for name, item in missing:
        pks[name] = await bare(tx, name, providers, status=item.status, at=item.first_at)
    for name, item in found.items():
        row = have.get(name)
        before = row.release if row is not None else ""
        if _RELEASES.index(item.release) > _RELEASES.index(before):
            values: dict[str, Any] = {"release": item.release, "released_at": item.released_at, "manifest": None}
            values |= {"status": item.status.value} if item.status and item.release == "deleted" else {}
            await tx.execute(sa.update(recordings).where(C.id == pks[name]).values(**values))
    return pks


async def bare(tx: Tx, name: Name, providers: Mapping[str, str], *, status: ProviderStatus | None, at: datetime) -> int:
    """A recording of which nothing but its name is known: its provider status is unknown, so that the next poll asks for it."""
    source, recording_id = name
    row: dict[str, Any] = {
        "source": source,
        "recording_id": recording_id,
        "provider": providers.get(source, ""),
        "status": (status or ProviderStatus.UNKNOWN).value,
        "flags": [NO_FACTS],
        "raw": {},
        "fingerprint": "",
        **dict.fromkeys(("first_seen_at", "changed_at", "looked_at"), at),
    }
    return int((await tx.execute(sa.insert(recordings).values(**row).returning(C.id))).scalar_one())


async def _renditions(tx: Tx, pks: Mapping[Name, int], found: Mapping[Name, Replayed]) -> None:
    there = sa.select(R.id, R.recording_pk, R.name).where(R.recording_pk.in_(list(pks.values())))
    have = {(row.recording_pk, row.name): row.id for row in (await tx.conn.execute(there)).all()}
    fresh, changed = [], []
    for name, item in found.items():
        for rendition, told in item.renditions.items():
            values = _columns(told.columns, tx.now)
            pk = have.get((pks[name], rendition))
            if pk is None:
                fresh.append({"recording_pk": pks[name], "source": name[0], "name": rendition, **values})
            else:
                changed.append({"pk": pk, **{f"v_{column}": value for column, value in values.items()}})
    if changed:
        columns: dict[str, Any] = {name.removeprefix("v_"): sa.bindparam(name) for name in changed[0] if name != "pk"}
        await tx.execute(sa.update(renditions).where(R.id == sa.bindparam("pk")).values(columns), changed)
    if fresh:
        insert = sa.insert(renditions).returning(R.id, R.recording_pk, R.name)
        have |= {(row.recording_pk, row.name): row.id for row in (await tx.execute(insert, fresh)).all()}
    earlier = [
        {"rendition_pk": have[(pks[name], rendition)], **item}
        for name, replayed in found.items()
        for rendition, told in replayed.renditions.items()
        for item in told.superseded
    ]
    if earlier:
        await tx.execute(sa.insert(superseded), earlier)


def _columns(columns: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The columns to write: a claim whose worker is gone has run out."""
    lease = now if columns["state"] == State.TRANSFERRING.value else None
    return {**columns, "lease_until": lease}


async def undiscovered(tx: Tx, actor: str) -> int:
    """Gives renditions that only a manifest told of the line that every rendition begins with; says how many there were."""
    mine = sa.select(L.id).where(L.source == R.source, L.recording_id == C.recording_id, L.rendition == R.name)
    query = sa.select(R.source, C.recording_id, R.name, R.state).join(recordings, C.id == R.recording_pk)
    rows: Sequence[Any] = (await tx.conn.execute(query.where(~mine.exists()).order_by(R.id))).all()
    await record(
        tx,
        actor,
        [
            Change(
                event=Event.DISCOVERED,
                source=row.source,
                recording_id=row.recording_id,
                rendition=row.name,
                to_state=row.state,
                reason="found in a manifest by a rebuild",
            )
            for row in rows
        ],
    )
    return len(rows)
