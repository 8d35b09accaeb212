"""What the history tells of besides renditions: passes, backfilled days, policies, holds, erasures, attestations."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import attestations, erasure_items, erasures, hold_members, holds, policies
from archiver.catalog.holds import PLACED, RELEASED
from archiver.catalog.ledger import LINE, line_of
from archiver.catalog.tables import ledger, passes, recordings, renditions, slices, sources
from archiver.domain.ledger import moment
from archiver.domain.windows import DAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.domain.ledger import Line

L, C, R = ledger.c, recordings.c, renditions.c
PAGE = 1_000


async def _told(conn: AsyncConnection, *events: str) -> AsyncIterator[Line]:
    """The lines of some events in their order."""
    after = 0
    while True:
        query = LINE.where(L.seq > after, L.event.in_(events)).order_by(L.seq).limit(PAGE)
        rows = (await conn.execute(query)).all()
        for row in rows:
            yield line_of(row)
        if len(rows) < PAGE:
            return
        after = rows[-1].seq


async def digests(conn: AsyncConnection) -> dict[int, str]:
    """The SHA-256 of every manifest that was written and not removed."""
    found: dict[int, str] = {}
    async for line in _told(conn, "manifest_written", "manifest_rewritten", "manifest_removed"):
        data = line.data or {}
        if line.event == "manifest_removed":
            found.pop(int(data["manifest"]), None)
        else:
            found[int(data["manifest"])] = str(data["sha256"])
    return found


async def everything(tx: Tx, providers: Mapping[str, str]) -> None:
    """All of it, in an order in which nothing refers to what is not there yet."""
    await _policies(tx)
    await _sources(tx, providers)
    await _holds(tx)
    await _erasures(tx)
    await _attestations(tx)


async def _policies(tx: Tx) -> None:
    rows: dict[str, dict[str, Any]] = {}
    async for line in _told(tx.conn, "policy_recorded"):
        data = line.data or {}
        row = {"fingerprint": data["fingerprint"], "name": line.reason, "document": data["document"], "first_seen_at": line.at}
        rows.setdefault(data["fingerprint"], row)
    if rows:
        await tx.execute(sa.insert(policies), list(rows.values()))


# -- sources


async def _sources(tx: Tx, providers: Mapping[str, str]) -> None:
    """Each source as its last pass that the history tells of left it. The watermark is that of this pass, so that the next poll
    covers all days since, however long the catalog was gone.
    """
    walks: dict[tuple[Any, ...], dict[str, Any]] = {}
    rows: dict[str, dict[str, Any]] = {}
    days: dict[str, dict[date, dict[str, Any]]] = defaultdict(dict)
    async for line in _told(tx.conn, "pass_completed", "slice_finished"):
        data = line.data or {}
        told = [data["pass"]] if line.event == "slice_finished" else data["passes"]
        for item in told:
            _walk(walks, line, item)
        if line.event == "slice_finished":
            kept = {name: data["pass"][name] for name in ("listed", "new", "ids_sha256")}
            day = date.fromisoformat(data["day"])
            days[line.source][day] = {"source": line.source, "day": day, "finished_at": line.at, **kept}
        else:
            rows[line.source] = _source(rows.get(line.source), line, data)
    for name, row in rows.items():
        while (row["covered_since"] - DAY).date() in days[name]:
            row["covered_since"] -= DAY
        row |= {"source": name, "provider": await _provider(tx.conn, name, providers), "problem": ""}
    for table, found in ((sources, list(rows.values())), (passes, list(walks.values()))):
        if found:
            await tx.execute(sa.insert(table), found)
    finished = [row for of_one in days.values() for row in of_one.values()]
    if finished:
        await tx.execute(sa.insert(slices), finished)


def _source(before: Mapping[str, Any] | None, line: Line, data: Mapping[str, Any]) -> dict[str, Any]:
    starts = [datetime.fromisoformat(item["days"][0]).replace(tzinfo=UTC) for item in data["passes"] if item["days"]]
    since = min([*starts, before["covered_since"]] if before else starts, default=line.at)
    watermark = moment(data["watermark"])
    return {
        "watermark": max(watermark, before["watermark"]) if before else watermark,
        "covered_since": since,
        "last_complete_pass": line.at,
        "last_started": min((moment(item["started_at"]) for item in data["passes"]), default=line.at),
    }


def _walk(walks: dict[tuple[Any, ...], dict[str, Any]], line: Line, item: Mapping[str, Any]) -> None:
    """One complete pass; one that saw the same ids over the same days again is the same row (catalog/sources.py)."""
    first, last = (date.fromisoformat(day) for day in item["days"]) if item["days"] else (None, None)
    name = (line.source, item["listing"], first, last, item["ids_sha256"])
    began = moment(item["started_at"])
    same = walks.get(name)
    if same is not None and not item["new"]:
        same |= {"last_started_at": began, "times": same["times"] + 1, "finished_at": line.at, "requests": item["requests"]}
        return
    counts = {key: item[key] for key in ("listed", "new", "requests", "ids_sha256")}
    row = {"source": line.source, "listing": item["listing"], "first_day": first, "last_day": last, "complete": True, **counts}
    times = {"started_at": began, "last_started_at": began, "times": 1, "finished_at": line.at}
    walks[name if same is None else (*name, line.seq)] = {**row, **times, "problem": ""}


async def _provider(conn: AsyncConnection, source: str, providers: Mapping[str, str]) -> str:
    if source in providers:
        return providers[source]
    return (await conn.execute(sa.select(C.provider).where(C.source == source, C.provider != "").limit(1))).scalar() or ""


# -- holds


async def _holds(tx: Tx) -> None:
    """Cases with all they ever held, released ones too."""
    ids: dict[str, int] = {}
    members: dict[tuple[str, str, str, str], datetime] = {}
    async for line in _told(tx.conn, PLACED, RELEASED):
        case = str((line.data or {}).get("case", ""))
        if line.recording_id:
            if line.event == PLACED:
                members.setdefault((case, line.source, line.recording_id, line.rendition), line.at)
        elif line.event == PLACED:
            ids[case] = await _place(tx, case, line)
        else:
            ended = {"released_at": line.at, "released_by": line.actor, "release_reason": line.reason}
            await tx.execute(sa.update(holds).where(holds.c.case_name == case).values(**ended))
    rows = []
    for (case, source, recording_id, rendition), at in members.items():
        query = sa.select(R.id).join(recordings, C.id == R.recording_pk)
        query = query.where(C.source == source, C.recording_id == recording_id, R.name == rendition)
        pk = (await tx.conn.execute(query)).scalar()
        if pk is not None and case in ids:
            rows.append({"hold_id": ids[case], "rendition_pk": pk, "held_at": at})
    if rows:
        await tx.execute(sa.insert(hold_members), rows)


async def _place(tx: Tx, case: str, line: Line) -> int:
    data = line.data or {}
    row = {"case_name": case, "reason": line.reason, "selector": data["selector"], "future": bool(data["future"])}
    placed = sa.insert(holds).values(**row, placed_at=line.at, placed_by=line.actor).returning(holds.c.id)
    return int((await tx.execute(placed)).scalar_one())


# -- erasures


async def _erasures(tx: Tx) -> None:
    """Requests with what became of them. What a certificate in the archive says besides is taken up when archiving begins."""
    requests: dict[int, dict[str, Any]] = {}
    items: dict[tuple[int, str, str], dict[str, Any]] = {}
    async for line in _told(tx.conn, "erasure_requested", "erased"):
        data = line.data or {}
        if line.event == "erasure_requested":
            number = int(data["erasure"])
            asked = {"id": number, "selector": {}, "reason": line.reason, "requested_at": line.at, "requested_by": line.actor}
            requests.setdefault(number, asked)
            item = {"erasure_id": number, "source": line.source, "recording_id": line.recording_id, "status": "requested"}
            items[(number, line.source, line.recording_id)] = {**item, "executed_at": None, "certificate": ""}
            continue
        for (_number, source, recording_id), item in items.items():
            if (source, recording_id) == (line.source, line.recording_id):
                done = {"executed_at": moment(data["executed_at"]), "certificate": data["certificate"]}
                item |= {"status": "executed", **done}
    if requests:
        await tx.execute(sa.insert(erasures), list(requests.values()))
        await tx.execute(sa.insert(erasure_items), list(items.values()))


async def _attestations(tx: Tx) -> None:
    async for line in _told(tx.conn, "attested"):
        data = line.data or {}
        period = {name: moment(data["period"][name]) for name in ("since", "until")}
        row = {name: data[name] for name in ("sha256", "key", "version_id")}
        await tx.execute(sa.insert(attestations), [{**period, **row, "complete": True, "created_at": line.at}])
