"""Keeps transfers and verifications going: claims in batches, works side by side, saves outcomes in batches.

Long, because claiming, working and saving share one state, which nobody else may see.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

from archiver.domain import errors, outcomes
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Entry, State
from archiver.domain.work import HEARTBEAT, LEASE, Outcome
from archiver.pipeline.ahead import Ahead
from archiver.pipeline.health import STORE
from archiver.pipeline.pace import Width

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from archiver.domain.ports import Clock, Observer, StoredObject
    from archiver.domain.work import Catalog
    from archiver.pipeline.health import Health
    from archiver.pipeline.locking import LockedTransfer
    from archiver.pipeline.transfer import Transfer
    from archiver.pipeline.verify import Verifier

log = structlog.get_logger()

BATCH = 100  # outcomes saved in one transaction at most
GATHER = 0.1  # seconds an outcome waits for company before it is saved, while others are under way
AHEAD = 150  # entries claimed beyond the free places at most
PATIENCE = 0.05  # seconds after a claim in which a few free places wait for more of them
CHECKS = 1.0  # seconds between looks for what others stored and nobody verified, while there is other work
AT_THE_END = 20.0  # seconds that saving is tried for once a one-shot run was told to stop
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
        self._ready: deque[Entry] = deque()  # claimed, and waiting for a free place
        self._ahead = Ahead(clock, AHEAD)
        self._fed_at = float("-inf")
        self._checks_due = float("-inf")
        self._gathering = False  # free places wait for more of them
        self._ended: asyncio.Queue[Outcome] = asyncio.Queue()
        self._unsaved = 0
        self._patience: float | None = None
        self._stop = asyncio.Event()
        self.bell = asyncio.Event()  # rung when there may be something to do

    @property
    def busy(self) -> bool:
        """Whether anything is under way or not saved yet."""
        return bool(self._tasks) or bool(self._ready) or self._unsaved > 0

    async def run(
        self,
        *,
        until: Callable[[], Awaitable[bool]] | None = None,
        stop: asyncio.Event | None = None,
        patience: float | None = None,
    ) -> None:
        """Works until `stop` is set (then waits for what is under way) or until `until` says, when idle, that it is enough.

        Raises CatalogUnavailable when nothing could be saved for `patience` seconds (None: tries for ever, as a daemon must).
        Cancelling it cancels what is under way; claims are then handed back by the caller.
        """
        stop = self._stop = stop or asyncio.Event()
        self._patience = patience
        saver = asyncio.create_task(self._save_forever(), name="save outcomes")
        pulse = asyncio.create_task(self._heartbeat_forever(), name="renew leases")
        for task in (saver, pulse):
            task.add_done_callback(lambda _task: self.bell.set())  # neither ends but by failing
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _task: self.bell.set())
        try:
            while not stop.is_set():
                self.bell.clear()
                if saver.done() or pulse.done():
                    break
                if await self._feed():
                    continue
                if not self.busy and until is not None and await until():
                    break
                await self._nap()
            waiting = bool(self._ready)
            self._ready.clear()
            if not saver.done() and not pulse.done():
                await self._drain(saver)
                if waiting:
                    await self._hand_back()
        finally:
            self._ready.clear()
            await _end([*self._tasks, saver, pulse, stopping])
        for task in (saver, pulse):
            if not task.cancelled() and task.exception() is not None:
                raise task.exception()  # type: ignore[misc]

    async def _hand_back(self) -> None:
        """Returns what was claimed ahead and not begun."""
        try:
            await self._catalog.hand_back()
        except errors.CatalogUnavailable as error:  # then the caller does it, or the leases run out
            log.warning("claims_not_handed_back", error=str(error))

    async def _feed(self) -> bool:
        """Claims as much as there is room for, and some ahead while places are soon free again; says whether it got anything."""
        self._start()
        width = self._places()
        ahead = 0 if self._health.trying_store() else self._ahead.wanted()
        room = width + ahead - len(self._tasks) - len(self._ready)
        enough = (width + ahead) // 2 if ahead else width // 4
        now = self._clock.monotonic()
        # Claims in batches cost a fraction; but what is under way may take hours, and the places beside it have to be used.
        soon = bool(self._ready) or now - self._fed_at < PATIENCE  # no place is free yet, or none for long
        self._gathering = 0 < room < enough and bool(self._tasks) and soon
        if room < 1 or self._gathering:
            return False
        try:
            found = await self._claim(room)
        except errors.CatalogUnavailable as error:
            log.warning("catalog_unavailable", error=str(error))
            self._start()
            await self._clock.sleep(1 + 4 * self._clock.chance())
            return False
        self._fed_at = now
        self._start()
        return found > 0

    def _places(self) -> int:
        """How many entries may be under way."""
        return 1 if self._health.trying_store() else self._width.current

    def _start(self) -> None:
        """Puts claimed entries into free places."""
        width = self._places()
        while self._ready and len(self._tasks) < width:
            entry = self._ready.popleft()
            task = asyncio.create_task(self._work(entry))
            self._tasks[task] = entry.source
            task.add_done_callback(self._left)
        self._observer.inflight(len(self._tasks))

    async def _claim(self, room: int) -> int:
        """Up to `room` entries: of sources that work as many as there are, of sources on trial one at a time.

        What one claim got is ready before the next is made: if that one fails, the first is ours all the same, and held.
        """
        active, trials = self._health.active(), self._health.on_trial()
        got = await self._claim_stored(room)
        if active and room > got:
            got += self._take(await self._catalog.claim(room - got, sources=active))
        for source in trials:
            if room > got and source not in self._tasks.values():
                got += self._take(await self._catalog.claim(1, sources=[source]))
        return got

    async def _claim_stored(self, room: int) -> int:
        """What waits to be verified; what this process stores, it verifies itself, so that a look now and then is enough."""
        checkable = self._health.checkable()
        now = self._clock.monotonic()
        if not checkable or (self.busy and now < self._checks_due):
            return 0
        got = self._take(await self._catalog.claim_stored(room, sources=checkable))
        self._checks_due = now if got else now + CHECKS
        return got

    def _take(self, entries: Sequence[Entry]) -> int:
        self._ready.extend(entries)
        return len(entries)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._ahead.ended()
        self._start()
        if len(self._ready) < len(self._tasks):  # else there is more than enough, and nobody need be woken for it
            self.bell.set()

    async def _nap(self) -> None:
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
        slept = asyncio.create_task(self._clock.sleep(seconds))
        slept.add_done_callback(lambda _task: self.bell.set())
        try:
            await self.bell.wait()
        finally:
            await _end([slept])

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
        if outcome.event is Event.STORED and self._verifier.promised(outcome):
            outcome = dataclasses.replace(outcome, delay=LEASE)  # verified right here; if not, by whoever comes then
        self._end_with(outcome, began)
        if outcome.event is Event.STORED and outcome.delay:
            await self._confirm(as_stored(outcome), outcome.seen)

    async def _confirm(self, entry: Entry, seen: StoredObject | None) -> None:
        """Verifies what was stored a moment ago, where the store's word is enough; what goes wrong is left to a later check."""
        began = self._clock.monotonic()
        try:
            outcome = await self._verifier.confirm(entry, seen=seen)
        except errors.ArchiverError as error:
            self._health.failed(entry.source, error)
            return
        if outcome is not None:
            self._end_with(outcome, began, told=True)  # the line about the transfer was a moment ago

    def _end_with(self, outcome: Outcome, began: float, *, told: bool = False) -> None:
        if not told:
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
            if self._tasks:
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
        except errors.CatalogUnavailable:
            raise
        except Exception as error:
            if len(batch) > 1:
                return [saved for outcome in batch for saved in await self._save([outcome])]
            entry = batch[0].entry
            log.exception("outcome_refused", source=entry.source, recording_id=entry.recording_id, result=batch[0].event.value)
            return await self._insist([self._failed(entry, error)])

    async def _insist(self, batch: Sequence[Outcome]) -> list[Outcome]:
        """Saves as often as it takes: an outcome dropped would be work done twice, an hour's outage many.

        Raises CatalogUnavailable when patience is at its end.
        """
        attempt, began = 0, self._clock.monotonic()
        while True:
            try:
                late = await self._catalog.save(batch)
                break
            except errors.CatalogUnavailable as error:
                attempt += 1
                log.warning("catalog_unavailable", error=str(error), attempt=attempt)
                if self._impatient(self._clock.monotonic() - began):
                    raise
                await self._clock.sleep(min(30.0, 2.0**attempt) * (0.5 + self._clock.chance() / 2))
        for outcome in late:
            entry = outcome.entry
            log.warning("outcome_too_late", source=entry.source, recording_id=entry.recording_id, result=outcome.event.value)
        return [outcome for outcome in batch if outcome not in late]

    def _impatient(self, tried: float) -> bool:
        """Whether `tried` seconds of trying to save are enough for a one-shot run, whose caller waits for an end."""
        if self._patience is None:
            return False
        return tried > (min(self._patience, AT_THE_END) if self._stop.is_set() else self._patience)

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


_FACTS = frozenset(field.name for field in dataclasses.fields(Entry))


def as_stored(outcome: Outcome) -> Entry:
    """The entry as the catalog will have it once a STORED outcome is saved."""
    facts = {name: value for name, value in outcome.facts.items() if name in _FACTS}
    return dataclasses.replace(outcome.entry, state=State.STORED, revision=outcome.entry.revision + 1, **facts)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels what still runs and waits until it is gone."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
