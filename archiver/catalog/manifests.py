"""The recordings' facts on their way into manifests in the archive; implements `domain.ledger.RecordingFacts`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.evidence_tables import manifests
from archiver.catalog.history import Change, record
from archiver.catalog.tables import Instant, recordings, renditions
from archiver.domain.ledger import Facts, Manifest, instant

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Database, Tx

C, R, M = recordings.c, renditions.c, manifests.c
LEFT_OUT = ("id", "manifest", "looked_at")  # the catalog's own affairs; looked_at changes at every look at an open recording
COLUMNS = tuple(column.name for column in recordings.c if column.name not in LEFT_OUT)
INSTANTS = frozenset(name for name in COLUMNS if isinstance(recordings.c[name].type, Instant))
# Raw JSON goes as the text it is: evidence that nobody reformats, numbers that JSON readers would round included.
_FACTS = sa.select(C.id, *(sa.type_coerce(C.raw, sa.Text).label("raw") if name == "raw" else C[name] for name in COLUMNS))


class SqlFacts:
    """The recordings of one catalog; `actor` is who the history names for manifests."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    async def next_manifest(self) -> int:
        async with self._database.read() as conn:
            return ((await conn.execute(sa.select(sa.func.max(M.manifest)))).scalar() or 0) + 1

    async def unwritten(self, limit: int) -> Sequence[Facts]:
        async with self._database.read() as conn:
            return await _facts(conn, _FACTS.where(C.manifest.is_(None)).order_by(C.id).limit(limit))

    async def written(self, manifest: Manifest, facts: Sequence[Facts]) -> None:
        async def unit(tx: Tx) -> None:
            if not await _known(tx, manifest.manifest):
                await _keep(tx, self._actor, manifest, "manifest_written")
            read = {item.pk: item for item in facts}
            now = await _facts(tx.conn, _FACTS.where(C.id.in_(list(read))).order_by(C.id).with_for_update())
            same = [item.pk for item in now if item == read[item.pk]]
            mine = sa.update(recordings).where(C.id.in_(same), C.manifest.is_(None))
            await tx.execute(mine.values(manifest=manifest.manifest))

        await self._database.write(unit)

    async def manifests_holding(self, recordings: Collection[tuple[str, str]]) -> Sequence[Manifest]:
        async with self._database.read() as conn:
            first = []
            for source, ids in _by_source(recordings):
                query = sa.select(C.first_seen_at).where(C.source == source, C.recording_id.in_(ids))
                first += list((await conn.execute(query)).scalars())
            known = len(first) == len(set(recordings))
            wanted = [M.written_at >= min(first)] if first and known else []
            rows = (await conn.execute(sa.select(manifests).where(*wanted).order_by(M.manifest))).all()
        names = ("manifest", "key", "version_id", "sha256", "count")
        return [Manifest(**{name: getattr(row, name) for name in names}) for row in rows]

    async def rewritten(self, old: Manifest, new: Manifest) -> None:
        async def unit(tx: Tx) -> None:
            if not await _known(tx, new.manifest):
                await _keep(tx, self._actor, new, "manifest_rewritten", instead_of=old.manifest)

        await self._database.write(unit)

    async def removed(self, old: Manifest) -> None:
        async def unit(tx: Tx) -> None:
            if (await tx.execute(sa.delete(manifests).where(M.manifest == old.manifest))).rowcount:
                await record(tx, self._actor, [Change(event="manifest_removed", data={"manifest": old.manifest, "key": old.key})])

        await self._database.write(unit)

    async def forget(self, recordings: Collection[tuple[str, str]]) -> None:
        async def unit(tx: Tx) -> None:
            for source, ids in _by_source(recordings):
                await tx.execute(sa.update(C.id.table).where(C.source == source, C.recording_id.in_(ids)).values(manifest=None))

        await self._database.write(unit)


async def _facts(conn: AsyncConnection, query: sa.Select[Any]) -> list[Facts]:
    rows = (await conn.execute(query)).all()
    names: dict[int, list[str]] = {}
    mine = sa.select(R.recording_pk, R.name).where(R.recording_pk.in_([row.id for row in rows])).order_by(R.id)
    for row in (await conn.execute(mine)).all():
        names.setdefault(row.recording_pk, []).append(row.name)
    return [Facts(pk=row.id, columns=_columns(row), renditions=names.get(row.id, [])) for row in rows]


def _columns(row: Any) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in COLUMNS}
    for name in INSTANTS:
        if values[name]:
            values[name] = instant(values[name])
    if values["duration"] is not None and values["duration"].is_integer():
        values["duration"] = int(values["duration"])  # as canonical JSON writes it, and a seventh of the work
    return values


async def _known(tx: Tx, number: int) -> bool:
    return (await tx.conn.execute(sa.select(M.manifest).where(M.manifest == number))).scalar() is not None


async def _keep(tx: Tx, actor: str, manifest: Manifest, event: str, **more: Any) -> None:
    """The row, and a line of the history with the digest: what the chain names cannot be changed quietly."""
    names = ("manifest", "key", "version_id", "sha256", "count")
    row = {name: getattr(manifest, name) for name in names}
    await tx.execute(sa.insert(manifests), [{**row, "written_at": tx.now}])
    await record(tx, actor, [Change(event=event, data={**row, **more})])


def _by_source(recordings: Collection[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    ordered = sorted(set(recordings))
    return [(source, [key for _source, key in items]) for source, items in groupby(ordered, key=lambda item: item[0])]
