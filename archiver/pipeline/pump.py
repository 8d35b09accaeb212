"""Keeps transfers and verifications going: claims in batches, works side by side, saves outcomes in batches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from archiver.domain import errors, outcomes
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.work import HEARTBEAT, Outcome
from archiver.pipeline.health import STORE
from archiver.pipeline.pace import Width

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from archiver.domain.ports import Clock, Observer
    from archiver.domain.recording import Entry
    from archiver.domain.work import Catalog
    from archiver.pipeline.health import Health
    from archiver.pipeline.locking import LockedTransfer
    from archiver.pipeline.transfer import Transfer
    from archiver.pipeline.verify import Verifier

log = structlog.get_logger()

BATCH = 50  # outcomes saved in one transaction at most
GATHER = 0.01  # seconds an outcome waits for company before it is saved
PATIENCE = 0.05  # seconds after a claim in which a few free places wait for more of them
LONGEST_NAP = 5.0  # seconds between looks at the queue when nothing rings: other processes put work into it too


class Pump:
    """One process's share of the work in the catalog."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        transfer: Transfer | LockedTransfer,
        verifier: Verifier,
        health: Health,
        clock: Clock,
        observer: Observer,
        concurrency: int,
        max_attempts: int,
        done: Callable[[Outcome], None] | None = None,
    ) -> None:
        self._catalog = catalog
        self._transfer = transfer
        self._verifier = verifier
        self._health = health
        self._clock = clock
        self._observer = observer
        self._width = Width(concurrency)
        self._max_attempts = max_attempts
        self._done = done or (lambda _outcome: None)
        self._tasks: dict[asyncio.Task[None], str] = {}  # what is under way, and of which source
        self._fed_at = float("-inf")
        self._gathering = False  # free places wait for more of them
        self._ended: asyncio.Queue[Outcome] = asyncio.Queue()
        self._unsaved = 0
        self.bell = asyncio.Event()  # rung when there may be something to do

    @property
    def busy(self) -> bool:
        """Whether anything is under way or not saved yet."""
        return bool(self._tasks) or self._unsaved > 0

    async def run(self, *, until: Callable[[], Awaitable[bool]] | None = None, stop: asyncio.Event | None = None) -> None:
        """Works until `stop` is set (then waits for what is under way) or until `until` says, when idle, that it is enough.

        Cancelling it cancels what is under way; claims are then handed back by the caller.
        """
        stop = stop or asyncio.Event()
        saver = asyncio.create_task(self._save_forever(), name="save outcomes")
        pulse = asyncio.create_task(self._heartbeat_forever(), name="renew leases")
        for task in (saver, pulse):
            task.add_done_callback(lambda _task: self.bell.set())  # neither ends but by failing
        try:
            while not stop.is_set():
                self.bell.clear()
                if saver.done() or pulse.done():
                    break
                if await self._feed():
                    continue
                if not self.busy and until is not None and await until():
                    break
                await self._nap(stop)
            if not saver.done() and not pulse.done():
                await self._drain(saver)
        finally:
            await _end([*self._tasks, saver, pulse])
        for task in (saver, pulse):
            if not task.cancelled() and task.exception() is not None:
                raise task.exception()  # type: ignore[misc]

    async def _feed(self) -> bool:
        """Claims as much as there is room for; says whether it got anything."""
        width = 1 if self._health.trying_store() else self._width.current
        room = width - len(self._tasks)
        now = self._clock.monotonic()
        # Claims in batches cost a fraction; but what is under way may take hours, and the places beside it have to be used.
        self._gathering = 0 < room < width // 4 and bool(self._tasks) and now - self._fed_at < PATIENCE
        if room < 1 or self._gathering:
            return False
        try:
            entries = await self._claim(room)
        except errors.CatalogUnavailable as error:
            log.warning("catalog_unavailable", error=str(error))
            await self._clock.sleep(1 + 4 * self._clock.chance())
            return False
        self._fed_at = now
        for entry in entries:
            task = asyncio.create_task(self._work(entry))
            self._tasks[task] = entry.source
            task.add_done_callback(self._left)
        self._observer.inflight(len(self._tasks))
        return bool(entries)

    async def _claim(self, room: int) -> list[Entry]:
        """Up to `room` entries: of sources that work as many as there are, of sources on trial one at a time."""
        active, trials = self._health.active(), self._health.on_trial()
        checkable = self._health.checkable()
        found = list(await self._catalog.claim_stored(room, sources=checkable)) if checkable else []
        if active and room > len(found):
            found += await self._catalog.claim(room - len(found), sources=active)
        for source in trials:
            if room > len(found) and source not in self._tasks.values():
                found += await self._catalog.claim(1, sources=[source])
        return found

    def _left(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self.bell.set()

    async def _nap(self, stop: asyncio.Event) -> None:
        """Waits for the bell, the next due entry or the end of a pause, whichever comes first."""
        seconds = PATIENCE if self._gathering else LONGEST_NAP
        if not self.busy:
            try:
                due = await self._catalog.next_due(sources=[*self._health.active(), *self._health.on_trial()])
            except errors.CatalogUnavailable:
                due = None
            seconds = min(seconds, max(0.02, due)) if due is not None else seconds
            opens = self._health.opens_at()
            if opens is not None:
                seconds = min(seconds, max(0.02, (opens - self._clock.now()).total_seconds()))
        rung = asyncio.create_task(self.bell.wait())
        stopped = asyncio.create_task(stop.wait())
        slept = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait((rung, stopped, slept), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end([rung, stopped, slept])

    async def _work(self, entry: Entry) -> None:
        """One entry to its outcome; nothing that goes wrong with one reaches another."""
        began = self._clock.monotonic()
        try:
            if entry.state is State.TRANSFERRING:
                outcome = await self._transfer.archive(entry)
                self._health.succeeded(entry.source, STORE)
            else:
                outcome = await self._verifier.check(entry)
                self._health.succeeded(STORE)  # says nothing about the source
            self._width.went_well()
        except errors.StaleEntry:
            log.info("claim_lost", source=entry.source, recording_id=entry.recording_id, rendition=entry.rendition)
            return
        except Exception as error:  # noqa: BLE001 -- one poison item must not stop the others (I19)
            self._health.failed(entry.source, error)
            if isinstance(error, errors.StorageUnavailable):
                self._width.pushed_back()
            outcome = self._failed(self._transfer.as_noted(entry), error)
        self._tell(outcome, self._clock.monotonic() - began)
        self._unsaved += 1
        self._ended.put_nowait(outcome)

    def _failed(self, entry: Entry, error: Exception) -> Outcome:
        if not isinstance(error, errors.ArchiverError):
            log.error("unexpected_error", source=entry.source, recording_id=entry.recording_id, exc_info=error)
        down = self._health.down(entry.source) or self._health.down(STORE)
        return outcomes.after_error(entry, error, max_attempts=self._max_attempts, down=down, chance=self._clock.chance())

    def _tell(self, outcome: Outcome, seconds: float) -> None:
        """One log line and the metrics of an attempt."""
        entry = outcome.entry
        size = outcome.facts.get("size") or 0
        fields = {"source": entry.source, "recording_id": entry.recording_id, "rendition": entry.rendition}
        say = log.info if outcome.event in (Event.STORED, Event.VERIFIED, Event.EXTERNAL) else log.warning
        more = {"reason": outcome.reason} if outcome.reason else {}
        size_field = {"bytes": size} if size else {}
        say(LOGGED[outcome.event], **fields, attempt=entry.attempts + 1, seconds=round(seconds, 3), **size_field, **more)
        if entry.state is State.TRANSFERRING:
            self._observer.transferred(source=entry.source, result=outcome.event.value, size=size, seconds=seconds)
        if outcome.event is Event.STORED and entry.ended_at is not None and not entry.sha256:
            self._observer.archived_late(max(0.0, (self._clock.now() - entry.ended_at).total_seconds()))
        if outcome.event is Event.LOST:
            self._observer.lost(entry.source)

    async def _save_forever(self) -> None:
        while True:
            batch = [await self._ended.get()]
            await self._clock.sleep(GATHER)
            while len(batch) < BATCH and not self._ended.empty():
                batch.append(self._ended.get_nowait())
            for outcome in await self._save(batch):
                self._done(outcome)
            self._unsaved -= len(batch)
            self.bell.set()

    async def _save(self, batch: Sequence[Outcome]) -> list[Outcome]:
        """Saves outcomes and returns those that changed something.

        One that the catalog refuses is saved as a failure instead, without the others; raises where that is refused, too.
        """
        try:
            return await self._insist(batch)
        except Exception as error:
            if len(batch) > 1:
                return [saved for outcome in batch for saved in await self._save([outcome])]
            entry = batch[0].entry
            log.exception("outcome_refused", source=entry.source, recording_id=entry.recording_id, result=batch[0].event.value)
            return await self._insist([self._failed(entry, error)])

    async def _insist(self, batch: Sequence[Outcome]) -> list[Outcome]:
        """Saves as often as it takes: an outcome dropped would be work done twice, an hour's outage many."""
        attempt = 0
        while True:
            try:
                late = await self._catalog.save(batch)
                break
            except errors.CatalogUnavailable as error:
                attempt += 1
                log.warning("catalog_unavailable", error=str(error), attempt=attempt)
                await self._clock.sleep(min(30.0, 2.0**attempt) * (0.5 + self._clock.chance() / 2))
        for outcome in late:
            entry = outcome.entry
            log.warning("outcome_too_late", source=entry.source, recording_id=entry.recording_id, result=outcome.event.value)
        return [outcome for outcome in batch if outcome not in late]

    async def _heartbeat_forever(self) -> None:
        while True:
            await self._clock.sleep(HEARTBEAT)
            try:
                await self._catalog.heartbeat()
            except errors.CatalogUnavailable as error:
                log.warning("heartbeat_failed", error=str(error))

    async def _drain(self, saver: asyncio.Task[None]) -> None:
        """Waits for what is under way, and until it is saved."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        while self._unsaved and not saver.done():
            self.bell.clear()
            await self.bell.wait()


LOGGED = {
    Event.STORED: "transferred",
    Event.VERIFIED: "verified",
    Event.RETRY_SCHEDULED: "attempt_failed",
    Event.FAILED: "parked",
    Event.LOST: "lost",
    Event.UNAVAILABLE: "unavailable",
    Event.EXTERNAL: "external",
    Event.DAMAGED: "damaged",
}


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels what still runs and waits until it is gone."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
