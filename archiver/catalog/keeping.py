"""The catalog as deletion knows it: the port of `domain/keeping.py`, each method one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archiver.catalog import erasures, evidence_locks, holds, notes, releases, retention, store_holds
from archiver.domain.fixity import SEGMENT, STATEMENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from archiver.catalog.database import Database
    from archiver.domain.fixity import Evidence
    from archiver.domain.keeping import Certificate, Confirm, Custody, Erasing, Longer, Releasable, StoreHold
    from archiver.domain.plan import Candidate, Name
    from archiver.domain.retention import Policy


class SqlKeeping:
    """One actor's view of it; `actor` is who the history names."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    async def now(self) -> datetime:
        return await self._database.now()

    async def remember(self, policies: Sequence[Policy]) -> None:
        await self._database.write(lambda tx: retention.remember(tx, self._actor, policies))

    async def candidates(self, *, as_of: datetime | None = None) -> AsyncIterator[Sequence[Candidate]]:
        after = 0
        while True:
            async with self._database.read() as conn:
                found = await retention.page(conn, after=after, as_of=as_of)
            if found:
                yield found
            if len(found) < retention.PORTION:
                return
            after = found[-1].pk

    async def archived(self) -> int:
        async with self._database.read() as conn:
            return await retention.archived(conn)

    async def settled(self, names: Collection[Name]) -> frozenset[Name]:
        async with self._database.read() as conn:
            return await retention.settled(conn, names)

    async def unfinished(self) -> Sequence[Custody]:
        async with self._database.read() as conn:
            return await retention.unfinished(conn)

    async def custody(self, pk: int) -> Custody | None:
        async with self._database.read() as conn:
            return await retention.custody(conn, pk)

    async def authorise(self, pk: int, confirm: Confirm, *, data: Mapping[str, Any]) -> Custody | str:
        return await self._database.write(lambda tx: retention.authorise(tx, self._actor, pk, confirm, data))

    async def expired(self, pk: int, *, reason: str, data: Mapping[str, Any]) -> None:
        await self._database.write(lambda tx: retention.expired(tx, self._actor, pk, reason, data))

    async def spared(self, pk: int, *, reason: str) -> None:
        await self._database.write(lambda tx: retention.spared(tx, self._actor, pk, reason))

    async def retained(self, longer: Sequence[Longer]) -> None:
        await self._database.write(lambda tx: retention.retained(tx, self._actor, longer))

    async def evidence(self) -> AsyncIterator[Sequence[Evidence]]:
        for kind in (SEGMENT, STATEMENT):
            after = 0
            while True:
                async with self._database.read() as conn:
                    found = await evidence_locks.page(conn, kind, after=after)
                    needed = await evidence_locks.needs(conn, found) if found else {}
                if found:
                    yield [replace(item, needed=needed.get(item.number)) for item in found]
                if len(found) < evidence_locks.PORTION:
                    break
                after = found[-1].number

    async def evidence_seen(self, items: Sequence[tuple[Evidence, datetime]]) -> None:
        await self._database.write(lambda tx: evidence_locks.seen(tx, items))

    async def evidence_lengthened(self, items: Sequence[tuple[Evidence, datetime]]) -> None:
        await self._database.write(lambda tx: evidence_locks.lengthened(tx, self._actor, items))

    async def releasable(self, source: str, recording_id: str) -> Releasable | None:
        async with self._database.read() as conn:
            return await releases.releasable(conn, source, recording_id)

    async def authorise_release(
        self, source: str, recording_id: str, confirm: Callable[[Sequence[Candidate], datetime], str | None]
    ) -> str | None:
        return await self._database.write(lambda tx: releases.authorise(tx, self._actor, source, recording_id, confirm))

    async def release_ended(self, source: str, recording_id: str, *, gone: bool, reason: str, data: Mapping[str, Any]) -> None:
        await self._database.write(
            lambda tx: releases.ended(tx, self._actor, source, recording_id, gone=gone, reason=reason, data=data)
        )

    async def hold_differences(self, *, limit: int) -> Sequence[StoreHold]:
        async with self._database.read() as conn:
            return await store_holds.differences(conn, limit=limit)

    async def store_held(self, item: StoreHold) -> bool:
        return await self._database.write(lambda tx: store_holds.done(tx, item))

    async def sweep_holds(self) -> int:
        return await self._database.write(lambda tx: holds.sweep(tx, self._actor))

    async def erasures(self) -> Sequence[Erasing]:
        async with self._database.read() as conn:
            return await erasures.waiting(conn)

    async def erasure_dated(self, item: Erasing) -> None:
        await self._database.write(lambda tx: erasures.dated(tx, item))

    async def scrub(self, item: Erasing) -> None:
        await self._database.write(lambda tx: erasures.scrub(tx, item.source, item.recording_id))

    async def erased(self, item: Erasing, certificate: Certificate) -> None:
        await self._database.write(lambda tx: erasures.erased(tx, self._actor, item, certificate))

    async def recall(self, certificate: Certificate) -> bool:
        return await self._database.write(lambda tx: erasures.recall(tx, self._actor, certificate))

    async def certified(self) -> frozenset[str]:
        async with self._database.read() as conn:
            return await erasures.certified(conn)

    async def note(self, name: str, value: Mapping[str, Any]) -> None:
        await self._database.write(lambda tx: notes.note(tx, name, value))

    async def noted(self, name: str) -> tuple[Mapping[str, Any], datetime] | None:
        async with self._database.read() as conn:
            return await notes.noted(conn, name)

    async def last_event(self) -> datetime | None:
        async with self._database.read() as conn:
            return await retention.last_event(conn)

    async def last_segment(self) -> int:
        async with self._database.read() as conn:
            return await retention.last_segment(conn)
