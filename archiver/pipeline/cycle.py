"""One full cycle: poll every source once while the pump works, until nothing is due."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from archiver.domain import errors
from archiver.domain.recording import State
from archiver.pipeline.pump import LONGEST_NAP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
    from datetime import timedelta

    from archiver.domain.ports import Clock
    from archiver.domain.work import Catalog
    from archiver.pipeline.discover import Discovery, Pass
    from archiver.pipeline.health import Health
    from archiver.pipeline.pump import Pump
    from archiver.pipeline.tally import Tally

log = structlog.get_logger()

POLL_LEASE = 60.0  # seconds; renewed while the poll goes on
WAITED_FOR = 60.0  # retries that come due within this many seconds are waited for …
WAITED_IN_ALL = 300.0  # … this long at most
TAKES_TURNS = 1.0  # seconds between tries to get a source that another process is polling


@asynccontextmanager
async def holding(catalog: Catalog, clock: Clock, name: str, *, wait: bool) -> AsyncIterator[bool]:
    """Holds the lease `name` while the block runs, renewing it; yields False at once when it is taken and `wait` is off."""
    while not await catalog.acquire(name, seconds=POLL_LEASE):
        if not wait:
            yield False
            return
        await clock.sleep(TAKES_TURNS)

    async def renew() -> None:
        while True:
            await clock.sleep(POLL_LEASE / 4)
            try:
                await catalog.acquire(name, seconds=POLL_LEASE)
            except errors.CatalogUnavailable as error:
                log.warning("lease_not_renewed", lease=name, error=str(error))

    pulse = asyncio.create_task(renew())
    try:
        yield True
    finally:
        pulse.cancel()
        await asyncio.gather(pulse, return_exceptions=True)
        try:
            await catalog.surrender(name)
        except errors.CatalogUnavailable as error:
            log.warning("lease_not_surrendered", lease=name, error=str(error))


async def poll(
    discovery: Discovery,
    source: str,
    *,
    catalog: Catalog,
    health: Health,
    clock: Clock,
    wait: bool,
    unless_since: timedelta | None = None,
) -> Pass | None:
    """One poll of a source under its lease; None when another process has it (and `wait` is off), or polled it within
    `unless_since`.

    Raises ProviderError and CatalogUnavailable; a provider's failure counts against its circuit.
    """
    async with holding(catalog, clock, f"poll:{source}", wait=wait) as ours:
        if not ours:
            return None
        began = clock.monotonic()
        if unless_since is not None:
            last = (await catalog.source_state(source)).last_started
            if last is not None and clock.now() - last < unless_since:
                return None
        try:
            seen = await discovery.poll()
        except errors.ProviderError as error:
            health.failed(source, error)
            log.warning("poll_failed", source=source, error=str(error), kind=type(error).__name__)
            raise
        health.succeeded(source)
        # Told under the lease, so that by the log, too, nobody polls while somebody else does.
        took = round(clock.monotonic() - began, 3)
        log.info("polled", source=source, listed=seen.listed, new=seen.new, complete=seen.complete, seconds=took)
    return seen


class Enough:
    """Decides when a one-shot run has waited long enough for what is still to come."""

    def __init__(self, *, catalog: Catalog, health: Health, clock: Clock, sources: list[str], listed: asyncio.Event) -> None:
        self._catalog = catalog
        self._health = health
        self._clock = clock
        self._sources = sources
        self._listed = listed
        self._waited = 0.0
        self._asked_at: float | None = None

    async def __call__(self) -> bool:
        """Asked when the pump is idle: True ends the run."""
        if not self._listed.is_set():
            return False
        now = self._clock.monotonic()
        if self._asked_at is not None:  # an idle pump naps for so long at most: what took longer was work
            self._waited += min(now - self._asked_at, LONGEST_NAP)
        self._asked_at = now
        if self._waited > WAITED_IN_ALL:
            return True
        try:
            soonest = await self._soonest()
            return (soonest is None or soonest > WAITED_FOR) and not await self._others_at_work()
        except errors.CatalogUnavailable:
            return False

    async def _others_at_work(self) -> bool:
        """Whether other processes, the daemon for one, still have claims: what they make of them belongs to this run's answer."""
        counts = await self._catalog.counts()
        return any(counts.get(source, {}).get(State.TRANSFERRING.value) for source in self._sources)

    async def _soonest(self) -> float | None:
        """Seconds until the first thing can be done: it is due then, and nobody is paused that it needs."""
        found = []
        for source in self._sources:
            due = await self._catalog.next_due(sources=[source])
            if due is not None:
                found.append(max(due, self._health.opens_in(source)))
        return min(found, default=None)


async def sync(
    *,
    discoveries: Mapping[str, Discovery],
    pump: Pump,
    catalog: Catalog,
    health: Health,
    clock: Clock,
    tally: Tally,
    stop: asyncio.Event,
    on_poll: Callable[[str, Pass], None] | None = None,
) -> None:
    """Polls each source once and works until nothing is due (contract.md, "How sync and backfill end").

    A source whose poll fails is noted in the tally; the others go on. Raises CatalogUnavailable.
    """

    async def one(source: str, discovery: Discovery) -> None:
        try:
            seen = await poll(discovery, source, catalog=catalog, health=health, clock=clock, wait=True)
        except errors.ProviderError as error:
            tally.sources[source].failure = error
            return
        if seen is not None:
            tally.passed(source, seen)
            if on_poll is not None:
                on_poll(source, seen)
        pump.bell.set()

    await alongside(
        pump=pump,
        jobs=[one(source, discovery) for source, discovery in discoveries.items()],
        enough=lambda listed: Enough(catalog=catalog, health=health, clock=clock, sources=list(discoveries), listed=listed),
        stop=stop,
    )


async def alongside(
    *,
    pump: Pump,
    jobs: list[Coroutine[None, None, None]],
    enough: Callable[[asyncio.Event], Callable[[], Awaitable[bool]]],
    stop: asyncio.Event,
) -> None:
    """Runs listing jobs beside the pump; the pump goes on until they have ended and it is `enough`, or until `stop`.

    Raises CatalogUnavailable, also when what was done could not be saved for five minutes: a one-shot run has to end.
    """
    listed = asyncio.Event()

    async def list_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(job)
        finally:
            listed.set()
            pump.bell.set()

    try:
        async with asyncio.TaskGroup() as group:
            listing = group.create_task(list_all())
            await pump.run(until=enough(listed), stop=stop, patience=WAITED_IN_ALL)
            listing.cancel()  # only a stop leaves it unfinished
    except BaseExceptionGroup as failures:
        raise first_of(failures) from None
    finally:
        for job in jobs:
            job.close()  # where a stop came before it began, Python would complain that nobody ever waited for it


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of a group, whatever the nesting."""
    first = failures.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
