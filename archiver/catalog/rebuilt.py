"""A new catalog filled from the archive; implements `domain.rebuilding.Rebuilding`.

Lines and facts go into their tables as they are read; from there the rest is made, batch by batch, so that a history of any
length needs little memory. A note says that it is not over: nobody works on such a catalog, and the next rebuild begins anew.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import adopted, replaying, restored, tallies
from archiver.catalog.evidence_tables import manifests, notes, segments
from archiver.catalog.history import Change, record
from archiver.catalog.manifests import COLUMNS, INSTANTS
from archiver.catalog.tables import leases, ledger, metadata, recordings, renditions, workers
from archiver.domain import lifecycle
from archiver.domain.errors import CatalogHeld, UsageError
from archiver.domain.ledger import instant, moment
from archiver.domain.rebuilding import Replays
from archiver.domain.recording import ProviderStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Database, Tx
    from archiver.domain.ledger import Line, Manifest, Sealed
    from archiver.domain.rebuilding import KnownObject, Seen, Stray

C, R = recordings.c, renditions.c
NOTE = "rebuild"
_ALIVE = timedelta(minutes=1)  # a worker that was not heard of for longer has stopped
_OWN = (leases, workers, notes)  # tables that say nothing of recordings


class SqlRebuild:
    """`actor` is who the history names; `providers` maps configured sources to their kind, for what has no facts left."""

    def __init__(self, database: Database, actor: str, providers: Mapping[str, str]) -> None:
        self._database = database
        self._actor = actor
        self._providers = providers

    async def begin(self) -> None:
        await self._database.write(_begin)

    async def segment(self, sealed: Sealed, lines: Sequence[Line]) -> None:
        await self._database.write(lambda tx: _segment(tx, sealed, lines))

    async def digests(self) -> Mapping[int, str]:
        return await self._database.write(lambda tx: restored.digests(tx.conn))

    async def manifest(self, manifest: Manifest, documents: Sequence[Mapping[str, Any]]) -> None:
        await self._database.write(lambda tx: _manifest(tx, manifest, documents))

    async def replay(self) -> Replays:
        after: tuple[str, str] | None = ("", "")
        while after is not None:
            after = await self._database.write(lambda tx, since=after: replaying.batch(tx, since, self._providers))  # type: ignore[misc]
        await self._database.write(lambda tx: restored.everything(tx, self._providers))
        await self._database.write(_follow_on)  # before the first line that is new
        await self._database.write(lambda tx: replaying.undiscovered(tx, self._actor))
        async with self._database.read() as conn:
            counts = [
                (await conn.execute(sa.select(sa.func.count()).select_from(t))).scalar_one() for t in (recordings, renditions)
            ]
        return Replays(recordings=counts[0], renditions=counts[1])

    async def objects(self, *, after: tuple[int, str], limit: int) -> Sequence[KnownObject]:
        async with self._database.read() as conn:
            return await adopted.objects(conn, after, limit)

    async def seen(self, items: Sequence[Seen]) -> None:
        await self._database.write(lambda tx: adopted.seen(tx, self._actor, items))

    async def unknown(self, keys: Collection[str]) -> frozenset[str]:
        return await self._database.write(lambda tx: adopted.unknown(tx.conn, keys))

    async def adopt(self, stray: Stray) -> str | None:
        return await self._database.write(lambda tx: adopted.adopt(tx, self._actor, stray, self._providers))

    async def finish(self, told: Mapping[str, Any]) -> None:
        async def unit(tx: Tx) -> None:
            await record(tx, self._actor, [Change(event="catalog_rebuilt", reason="rebuilt from the archive alone", data=told)])
            await _note(tx, {"state": "done", **told})
            tx.moves.clear()
            await tallies.recount(tx.conn)

        await self._database.write(unit)


async def refuse_unfinished(conn: AsyncConnection) -> None:
    """Raises CatalogHeld while a rebuild is under way, or when one did not come to its end."""
    found = (await conn.execute(sa.select(notes.c.value).where(notes.c.name == NOTE))).scalar()
    if found is not None and found.get("state") != "done":
        raise CatalogHeld(
            f"a rebuild of this catalog began at {found.get('since')} and is not over",
            hint="archiver catalog rebuild begins anew",
        )


async def _begin(tx: Tx) -> None:
    alive = sa.select(workers.c.worker).where(workers.c.seen_at > tx.now - _ALIVE)
    if (busy := (await tx.conn.execute(alive)).scalars().first()) is not None:
        raise CatalogHeld(f"{busy} works on this catalog", hint="stop it first: a rebuild needs the catalog for itself")
    found = (await tx.conn.execute(sa.select(notes.c.value).where(notes.c.name == NOTE))).scalar()
    if found is not None and found.get("state") != "done":
        for table in reversed(metadata.sorted_tables):
            if table is not leases:
                await tx.execute(sa.delete(table))
    for table in metadata.sorted_tables:
        if table not in _OWN and (await tx.conn.execute(sa.select(sa.literal(1)).select_from(table).limit(1))).first():
            raise UsageError(
                f"the catalog is not empty: there are rows in {table.name}; accepted: a catalog without any",
                hint="move it away, or let catalog.url name a new one: what is rebuilt is never mixed with what was there",
            )
    await _note(tx, {"state": "running", "since": instant(tx.now)})


async def _note(tx: Tx, value: Mapping[str, Any]) -> None:
    await tx.execute(sa.delete(notes).where(notes.c.name == NOTE))
    await tx.execute(sa.insert(notes), [{"name": NOTE, "value": dict(value), "at": tx.now}])


async def _segment(tx: Tx, sealed: Sealed, lines: Sequence[Line]) -> None:
    names = ("seq", "at", "actor", "event", "source", "recording_id", "rendition", "from_state", "to_state", "reason", "data")
    number = sealed.header.segment
    rows = [{"id": item.seq, "segment": number, **{name: getattr(item, name) for name in names}} for item in lines]
    if rows:
        await tx.execute(sa.insert(ledger), rows)
    of_header = ("segment", "first_seq", "last_seq", "count", "previous_sha256")
    row = {name: getattr(sealed.header, name) for name in of_header}
    at = lines[-1].at if lines else tx.now
    row |= {"sha256": sealed.sha256, "key": sealed.key, "version_id": sealed.version_id, "sealed_at": at}
    await tx.execute(sa.insert(segments), [row])


async def _follow_on(tx: Tx) -> None:
    """Lets PostgreSQL number new rows behind those whose numbers came from the archive; SQLite does by itself."""
    if tx.conn.dialect.name != "postgresql":
        return
    for table in ("ledger", "erasures"):
        highest = f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false) FROM {table}"  # noqa: S608
        await tx.execute(sa.text(highest))


# -- facts of recordings


async def _manifest(tx: Tx, manifest: Manifest, documents: Sequence[Mapping[str, Any]]) -> None:
    names = ("manifest", "key", "version_id", "sha256", "count")
    await tx.execute(sa.insert(manifests), [{**{n: getattr(manifest, n) for n in names}, "written_at": tx.now}])
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for document in documents:
        name = (document["source"], document["recording_id"])
        if name not in newest or document["manifest"] >= newest[name]["manifest"]:
            newest[name] = document
    have = await replaying.known(tx.conn, newest)
    fresh = [document for name, document in newest.items() if name not in have]
    later = [(have[name].id, document) for name, document in newest.items() if name in have and _later(have[name], document)]
    added: dict[tuple[str, str], int] = {}
    if fresh:
        rows = [_facts(document) for document in fresh]
        insert = sa.insert(recordings).returning(C.id, C.source, C.recording_id)
        added = {(row.source, row.recording_id): row.id for row in (await tx.execute(insert, rows)).all()}
    if later:
        values = [{"pk": pk, **{f"v_{name}": value for name, value in _facts(document).items()}} for pk, document in later]
        columns: dict[str, Any] = {name: sa.bindparam(f"v_{name}") for name in _facts(later[0][1])}
        await tx.execute(sa.update(recordings).where(C.id == sa.bindparam("pk")).values(columns), values)
    pks = {**added, **{(document["source"], document["recording_id"]): pk for pk, document in later}}
    await _renditions(tx, [(pks[name], document) for name, document in newest.items() if name in pks])


def _later(row: Any, document: Mapping[str, Any]) -> bool:
    return int(document["manifest"]) > (row.manifest or 0)


def _facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a manifest's line tells."""
    row: dict[str, Any] = {name: document[name] for name in COLUMNS}
    for name in INSTANTS & row.keys():
        row[name] = moment(row[name]) if row[name] else None
    row["raw"] = json.loads(row["raw"])
    return {**row, "manifest": int(document["manifest"]), "looked_at": row["changed_at"]}


async def _renditions(tx: Tx, documents: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """The renditions that manifests name, as if just discovered: the history says more of most of them."""
    have = {
        (row.recording_pk, row.name)
        for row in (
            await tx.conn.execute(sa.select(R.recording_pk, R.name).where(R.recording_pk.in_([pk for pk, _doc in documents])))
        ).all()
    }
    rows = []
    for pk, document in documents:
        at = moment(document["first_seen_at"])
        state = lifecycle.first_state(ProviderStatus(document["status"]), external=bool(document["external_url"]))
        common = {"recording_pk": pk, "source": document["source"], "state": state.value, "due_at": at, "changed_at": at}
        rows += [{**common, "name": name} for name in document["renditions"] if (pk, name) not in have]
    if rows:
        await tx.execute(sa.insert(renditions), rows)
