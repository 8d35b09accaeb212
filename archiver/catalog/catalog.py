"""The catalog as the pipeline knows it: the port of `domain/work.py`, each method one transaction."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archiver.catalog import erasures, holds, leases, rebuilt, recordings, sources, uploads, work
from archiver.catalog.listed_before import Pages, Prints, all_known
from archiver.domain.errors import StaleEntry
from archiver.domain.work import PRIORITY_LIVE, Added, Known, Outcome, PassResult, SourceState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from archiver.catalog.database import Database, Tx
    from archiver.catalog.leases import Worker
    from archiver.domain.recording import Entry, Listed, RecordingRef, Rejected, Room
    from archiver.domain.windows import Window
    from archiver.domain.work import Gone, UploadOwner


class SqlCatalog:
    """A worker's view of the catalog."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self.database = database
        self.worker = worker
        self._turns = itertools.count()
        self._pages = Pages()
        self._held: dict[int, int] = {}  # the entries whose claim we know of, with its revision: only those are renewed

    async def enter(self) -> int:
        """Registers the worker; returns how many claims of dead workers of this host it freed. Raises CatalogHeld in the
        middle of a rebuild.
        """

        async def unit(tx: Tx) -> int:
            await rebuilt.refuse_unfinished(tx.conn)
            return await leases.enter(tx, self.worker)

        return await self.database.write(unit)

    async def leave(self) -> None:
        """Ends the worker's registration."""
        await self.database.write(lambda tx: leases.leave(tx, self.worker))

    async def source_state(self, source: str) -> SourceState:
        return await self.database.ask(lambda conn: sources.state(conn, source))

    async def add_page(
        self,
        source: str,
        kind: str,
        listed: Sequence[Listed],
        *,
        rejected: Sequence[Rejected] = (),
        priority: int = PRIORITY_LIVE,
    ) -> Added:
        prints = self._pages.prints(listed)
        if not rejected and await self._unchanged(source, prints):
            return Added(new=0, changed=0, ids=prints.ids)

        async def unit(tx: Tx) -> Added:
            if rejected:
                await recordings.quarantine_rows(tx, source, rejected)
            wanted = await erasures.without_erased(tx.conn, source, listed)
            added = await recordings.add_page(tx, self.worker.name, source, kind, wanted, priority, prints)
            await holds.arrivals(tx, self.worker.name, source, added.ids)
            return replace(added, ids=prints.ids)

        return await self.database.write(unit)

    async def _unchanged(self, source: str, prints: Prints) -> bool:
        """Whether there is nothing to write of a page, in one question; most polls end with it.

        With a hold in force, or a clock in doubt, there may be: that is for a transaction that writes to say.
        """
        if not prints.known_of(prints.ids):
            return False
        known, held, now = await self.database.ask(lambda conn: all_known(conn, source, prints))
        return known and not held and self.database.steady(now)

    async def finish_pass(self, source: str, kind: str, results: Sequence[PassResult], *, watermark: datetime | None) -> None:
        await self.database.write(lambda tx: sources.finish_pass(tx, self.worker.name, source, kind, results, watermark))

    async def record_problem(self, source: str, kind: str, problem: str) -> None:
        await self.database.write(lambda tx: sources.record_problem(tx, source, kind, problem))

    async def confirmed_ids(self, source: str, listing: str, window: Window | None) -> str:
        return await self.database.ask(lambda conn: sources.confirmed_ids(conn, source, listing, window))

    async def ended_between(self, source: str, start: datetime, end: datetime) -> Sequence[Known]:
        return await self.database.ask(lambda conn: recordings.ended_between(conn, source, start, end))

    async def open_recordings(self, source: str, *, limit: int) -> Sequence[RecordingRef]:
        return await self.database.write(lambda tx: recordings.take_open(tx, source, limit))

    async def record_gone(self, source: str, recording_id: str, *, looks: int) -> Gone:
        return await self.database.write(lambda tx: recordings.record_gone(tx, self.worker.name, source, recording_id, looks))

    async def rooms_missing(self, source: str, *, limit: int) -> Sequence[str]:
        return await self.database.ask(lambda conn: sources.rooms_missing(conn, source, limit))

    async def save_rooms(self, source: str, rooms: Mapping[str, Room | None]) -> None:
        async def unit(tx: Tx) -> None:
            await sources.save_rooms(tx, source, rooms)
            await holds.arrivals_in(tx, self.worker.name, source, rooms)  # a hold may go by the room's name

        await self.database.write(unit)

    async def finished_slices(self, source: str) -> frozenset[date]:
        return await self.database.ask(lambda conn: sources.finished_slices(conn, source))

    async def finish_slice(self, source: str, kind: str, day: date, result: PassResult) -> None:
        await self.database.write(lambda tx: sources.finish_slice(tx, self.worker.name, source, kind, day, result))

    async def acquire(self, name: str, *, seconds: float) -> bool:
        return await self.database.write(lambda tx: leases.acquire(tx, self.worker, name, seconds))

    async def surrender(self, name: str) -> None:
        await self.database.write(lambda tx: leases.surrender(tx, self.worker, name))

    async def heartbeat(self) -> None:
        held = frozenset(self._held)
        await self.database.write(lambda tx: leases.heartbeat(tx, self.worker, held))

    async def hand_back(self) -> int:
        actor = self.worker.name
        self._held.clear()  # first: what cannot be handed back now comes back when its lease is over, and must not be renewed
        return await self.database.write(lambda tx: work.hand_back(tx, actor, [actor], "handed back at shutdown"))

    async def claim(self, limit: int, *, sources: Collection[str]) -> Sequence[Entry]:
        turn = next(self._turns)
        held = frozenset(self._held)
        entries = await self.database.write(lambda tx: work.claim(tx, self.worker.name, limit, sources, turn, held))
        return self._hold(entries)

    async def claim_stored(self, limit: int, *, sources: Collection[str]) -> Sequence[Entry]:
        held = frozenset(self._held)
        entries = await self.database.write(lambda tx: work.claim_stored(tx, self.worker.name, limit, sources, held))
        return self._hold(entries)

    def _hold(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        self._held.update((item.id, item.revision) for item in entries)
        return entries

    def _let_go(self, entries: Iterable[Entry]) -> None:
        """These have come to an end; a later claim of the same entry has not."""
        for item in entries:
            if item.revision >= self._held.get(item.id, item.revision):
                self._held.pop(item.id, None)

    async def save(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        late = await self.database.write(lambda tx: work.save(tx, self.worker.name, outcomes))
        self._let_go(item.entry for item in outcomes)
        return late

    async def note_upload(self, entry: Entry, *, facts: Mapping[str, Any]) -> Entry:
        try:
            return await self.database.write(lambda tx: work.note_upload(tx, entry, facts))
        except StaleEntry:
            self._let_go([entry])  # whoever is at it gives it up now
            raise

    async def upload_owner(self, upload_id: str, key: str) -> UploadOwner:
        now = await self.database.now()
        return await self.database.ask(lambda conn: uploads.owner(conn, now, upload_id, key))

    async def forget_upload(self, upload_id: str) -> None:
        await self.database.write(lambda tx: uploads.forget(tx, upload_id))

    async def counts(self) -> Mapping[str, Mapping[str, int]]:
        return await self.database.ask(work.counts)

    async def next_due(self, *, sources: Collection[str]) -> float | None:
        now = await self.database.now()
        return await self.database.ask(lambda conn: work.next_due(conn, now, sources))
