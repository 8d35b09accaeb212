"""The daemon: what runs when, side by side, and how it all stops.

APScheduler only rings: its jobs set events, and the work runs in this file's TaskGroup, because the scheduler's own shutdown
cancels what it runs (F15) and its default grace drops a ring that comes a second late (F16).
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Self

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from archiver.app import VERSION
from archiver.catalog import alarms, reports
from archiver.custody import Custody
from archiver.domain import errors
from archiver.fixity import daily
from archiver.pipeline.cycle import first_of, holding, poll
from archiver.pipeline.hints import Hints
from archiver.pipeline.sweep import sweep
from archiver.rotation import Rotation
from archiver.sealing import Sealing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from archiver.app import App
    from archiver.pipeline.pump import Pump

log = structlog.get_logger()

DRAIN = 25.0  # seconds for what is under way; handing back and closing take the rest of the 30 that users are promised
AGAIN = 5.0  # seconds that a background job has to end in before it is cancelled once more
TICK = 0.5  # seconds between the loop's own pulse
BLOCKED = 1.0  # a pulse this late says that something held the loop
COUNTS = timedelta(seconds=15)  # how often gauges are refreshed
SECRETS = timedelta(seconds=30)  # how often secret files are looked at: a rotated one is in use within a minute
HOLDS = timedelta(minutes=5)  # how often the store's legal holds are brought in line
CANARY = timedelta(days=1)  # how often locks have to prove themselves
SWEEP = timedelta(hours=6)  # how often unfinished uploads are looked over
HURRY = 5  # webhooks without an id lead to this many polls more in an interval at most
STALLED = 2  # poll intervals without a complete pass after which a source counts as stalled (I20)


class Bells:
    """One event for each periodic job, rung by the scheduler and by whoever wants the job to run now."""

    def __init__(self, missed: Callable[[str], None]) -> None:
        # Rings in the loop itself: an event must not be set from a thread, and a ring there at the end would be told as an error.
        self._scheduler = AsyncIOScheduler(timezone=UTC, executors={"default": DebugExecutor()})
        self._missed = missed
        self._scheduler.add_listener(self._on_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES | EVENT_JOB_ERROR)

    def every(self, name: str, interval: timedelta) -> asyncio.Event:
        """A new event that rings now and then every `interval`."""
        event = asyncio.Event()
        event.set()
        self._scheduler.add_job(
            event.set,
            "interval",
            id=name,
            seconds=interval.total_seconds(),
            jitter=min(10.0, interval.total_seconds() / 10),
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
        return event

    def _on_missed(self, event: object) -> None:
        job = str(getattr(event, "job_id", "unknown"))
        self._missed(job.partition(":")[0])
        log.warning("schedule_missed", job=job)

    def __enter__(self) -> Self:
        self._scheduler.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._scheduler.shutdown(wait=False)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Until all of them have ended, which were cancelled before; once more where a library took that for a failure of its own."""
    left = {task for task in tasks if not task.done()}
    while left:
        _done, left = await asyncio.wait(left, timeout=AGAIN)
        for task in left:
            task.cancel()


class Daemon:
    """Everything that runs until SIGTERM, over one opened App."""

    def __init__(self, app: App, stop: asyncio.Event) -> None:
        self._app = app
        self._stop = stop
        self._started = app.clock.now()
        self._rotation = Rotation(app)
        self._custody = Custody(app, actor=app.catalog.worker.name)
        self._sealing = Sealing(app)
        self._turns = {name: asyncio.Lock() for name in app.providers}
        self.hints = Hints(app.providers, app.clock)

    async def run(self) -> None:
        """Works until `stop` is set, then drains; cancelling it stops at once. Claims are handed back by `open_app`."""
        app = self._app
        pump = app.pump()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._rotation.aclose)
            bells = stack.enter_context(Bells(app.metrics.schedule_missed))
            try:
                async with asyncio.TaskGroup() as group:
                    background = [group.create_task(job) for job in self._jobs(bells, pump)]
                    working = group.create_task(pump.run(stop=self._stop))
                    log.info("started", version=VERSION, sources=list(app.providers))
                    await self._stop.wait()
                    log.info("draining", seconds=DRAIN)
                    for task in background:
                        task.cancel()
                    done, _ = await asyncio.wait({working}, timeout=DRAIN)
                    if not done:
                        log.warning("drain_cut_short", seconds=DRAIN)
                        working.cancel()
                    await _ended([*background, working])
            except BaseExceptionGroup as failures:
                raise first_of(failures) from None
        log.info("stopped")

    def _jobs(self, bells: Bells, pump: Pump) -> list[Coroutine[None, None, None]]:
        """One line for each periodic job."""
        app = self._app
        polls = [self._polling(name, bells.every(f"poll:{name}", app.source(name).poll_every), pump) for name in app.providers]
        return [
            *polls,
            *(self._following(name, pump) for name in app.providers),
            *(self._hurrying(name, pump) for name in app.providers),
            self._repeating("verify", bells.every("verify", app.settings.schedule.verify_every), self._verify),
            self._repeating("retention", bells.every("retention", app.settings.schedule.retention_every), self._custody.daily),
            self._repeating("holds", bells.every("holds", HOLDS), self._custody.holds),
            self._repeating("canary", bells.every("canary", CANARY), self._custody.canary),
            self._repeating("seal", bells.every("seal", app.settings.schedule.seal_every), self._sealing.job),
            self._repeating("sweep", bells.every("sweep", SWEEP), self._sweep),
            self._repeating("secrets", bells.every("secrets", SECRETS), self._rotation.look),
            self._repeating("counts", bells.every("counts", COUNTS), self._count),
            self._watching(),
        ]

    async def _repeating(self, name: str, bell: asyncio.Event, act: Callable[[], Awaitable[object]]) -> None:
        """Runs `act` at every ring; a failure is told and the next ring tries again."""
        while True:
            await bell.wait()
            bell.clear()
            try:
                await act()
            except errors.ArchiverError as error:
                log.warning("job_failed", job=name, error=str(error), kind=type(error).__name__)
            except Exception:
                log.exception("job_failed", job=name)

    async def _polling(self, source: str, bell: asyncio.Event, pump: Pump) -> None:
        every = self._app.source(source).poll_every
        await self._repeating(f"poll:{source}", bell, lambda: self._poll(source, pump, unless_since=every / 2))

    async def _poll(self, source: str, pump: Pump, *, unless_since: timedelta | None) -> None:
        app = self._app
        async with self._turns[source]:
            seen = await poll(
                app.discovery(source),  # made anew: a rotated secret replaces the provider
                source,
                catalog=app.catalog,
                health=app.health,
                clock=app.clock,
                wait=False,
                unless_since=unless_since,
            )
        if seen is not None:
            app.metrics.lost(source, seen.lost)
        if seen is not None and seen.complete:
            app.metrics.pass_completed(source, app.clock.now())
        pump.bell.set()

    async def _following(self, source: str, pump: Pump) -> None:
        """Asks the provider for what webhooks named. What goes wrong here is no loss: the next poll asks for everything."""
        app = self._app

        async def once() -> None:
            ids = self.hints.take(source)
            if not ids or app.health.down(source):  # a source in trouble is not asked more often for being told to
                return
            async with self._turns[source]:
                try:
                    seen = await app.discovery(source).look(ids, spared=self.hints.spared(source))
                except errors.ProviderError as error:
                    app.health.failed(source, error)
                    raise
            self.hints.absent(source, seen.gone)
            app.metrics.lost(source, seen.lost)
            log.info("hints_followed", source=source, asked=len(ids), new=seen.new, gone=len(seen.gone))
            pump.bell.set()

        await self._repeating(f"hints:{source}", self.hints.asks[source], once)

    async def _hurrying(self, source: str, pump: Pump) -> None:
        """Polls sooner where webhooks told that there is something, and not what."""
        app = self._app
        apart = app.source(source).poll_every.total_seconds() / HURRY
        last = float("-inf")

        async def once() -> None:
            nonlocal last
            await app.clock.sleep(max(0.0, last + apart - app.clock.monotonic()))
            last = app.clock.monotonic()
            if not app.health.down(source):
                await self._poll(source, pump, unless_since=None)

        await self._repeating(f"hurry:{source}", self.hints.polls[source], once)

    async def _sweep(self) -> None:
        app = self._app
        async with holding(app.catalog, app.clock, "sweep", wait=False) as ours:
            if ours:
                await sweep(storage=app.storage, catalog=app.catalog, clock=app.clock)

    async def _verify(self) -> None:
        app = self._app
        async with holding(app.catalog, app.clock, "verify", wait=False) as ours:
            if ours:
                await daily(app, await app.database.now())

    async def _count(self) -> None:
        """Gauges from the same query that `status` shows (I25)."""
        app = self._app
        async with app.database.read() as conn:
            counts = await reports.state_counts(conn)
            oldest = await reports.oldest_unarchived(conn, await app.database.now())
        app.metrics.count_recordings(counts)
        for source in app.providers:
            age = oldest.get(source)
            app.metrics.set_oldest_unarchived(source, None if age is None else timedelta(seconds=age))
            remaining = getattr(app.providers[source], "ratelimit_remaining", None)
            if remaining is not None:
                app.metrics.set_ratelimit_remaining(source, remaining)

    async def _watching(self) -> None:
        """Tells when something held the loop: everything else here is late then, too."""
        clock = self._app.clock
        while True:
            before = clock.monotonic()
            await clock.sleep(TICK)
            late = clock.monotonic() - before - TICK
            if late > BLOCKED:
                log.warning("loop_blocked", seconds=round(late, 3))

    async def problems(self) -> list[str]:
        """Why the daemon is not ready, one sentence each; empty when it is (contract.md, /readyz)."""
        app = self._app
        found = app.health.problems()
        try:
            async with asyncio.timeout(2):
                for name in app.providers:
                    state = await app.catalog.source_state(name)
                    every = app.source(name).poll_every
                    last = state.last_complete_pass or self._started
                    if app.clock.now() - last > STALLED * every and app.clock.now() - self._started > STALLED * every:
                        age = int((app.clock.now() - last).total_seconds())
                        found.append(f"{name}: no complete pass for {age} s" + (f" ({state.problem})" if state.problem else ""))
                if app.settings.storage.locks:
                    async with app.database.read() as conn:
                        found += await alarms.locks(conn, app.clock.now())
                found += await self._sealing.problems()
        except (errors.CatalogError, TimeoutError) as error:
            # Whoever reaches the port may read this; where the catalog is, and as whom, is the log's business.
            log.warning("catalog_unavailable", error=str(error) or "no answer within 2 s")
            found.append("the catalog cannot be reached" if str(error) else "the catalog does not answer within 2 s")
        return found
