"""History in day slices: listed newest first, each finished day remembered, the live watermark left alone."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from archiver.domain import errors, windows
from archiver.domain.work import PRIORITY_BACKFILL, PassResult
from archiver.pipeline.cycle import Enough, alongside, holding

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from archiver.domain.ports import Clock, Provider
    from archiver.domain.windows import Window
    from archiver.domain.work import Catalog
    from archiver.pipeline.discover import Discovery, Pass
    from archiver.pipeline.health import Health
    from archiver.pipeline.pump import Pump
    from archiver.pipeline.tally import Tally

log = structlog.get_logger()

SETTLED = timedelta(days=3)  # the horizon of late arrivals (I1): a younger day is listed again by the next run
TRIES = 3  # of a day whose listing failed for a passing reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which days of which source are still to be listed, newest first; `finished` ones are skipped."""

    source: str
    days: tuple[Window, ...]
    finished: int


async def plan(catalog: Catalog, source: str, *, since: datetime, until: datetime) -> Plan:
    """The days of [since, until) and one more on either side, since filters are whole dates of an unknown zone."""
    margin = timedelta(days=1)
    wanted = windows.backfill_days(since=since - margin, until=until + margin)
    done = await catalog.finished_slices(source)
    days = tuple(day for day in wanted if day.first not in done)
    return Plan(source=source, days=days, finished=len(wanted) - len(days))


class Backfill:
    """Lists the planned days of several sources while the pump transfers them."""

    def __init__(
        self,
        *,
        discoveries: Mapping[str, Discovery],
        pump: Pump,
        catalog: Catalog,
        health: Health,
        clock: Clock,
        tally: Tally,
        on_day: Callable[[str, Window, Pass], None] | None = None,
    ) -> None:
        self._discoveries = discoveries
        self._pump = pump
        self._catalog = catalog
        self._health = health
        self._clock = clock
        self._tally = tally
        self._on_day = on_day or (lambda _source, _day, _seen: None)

    async def run(self, plans: Sequence[Plan], *, stop: asyncio.Event) -> None:
        """Runs the plans to their ends, or until `stop`; what was finished is remembered either way."""
        sources = [item.source for item in plans]
        await alongside(
            pump=self._pump,
            jobs=[self._source(item) for item in plans],
            enough=lambda listed: Enough(
                catalog=self._catalog, health=self._health, clock=self._clock, sources=sources, listed=listed
            ),
            stop=stop,
        )

    async def _source(self, item: Plan) -> None:
        mine = self._tally.sources[item.source]
        async with holding(self._catalog, self._clock, f"backfill:{item.source}", wait=True):
            for day in item.days:
                try:
                    seen = await self._day(item.source, day)
                except errors.ProviderError as error:
                    mine.failure = error
                    log.warning("backfill_failed", source=item.source, day=str(day.first), error=str(error))
                    return
                self._tally.passed(item.source, seen)
                self._on_day(item.source, day, seen)
                self._pump.bell.set()

    async def _day(self, source: str, day: Window) -> Pass:
        discovery = self._discoveries[source]
        for attempt in range(1, TRIES + 1):
            try:
                seen = await discovery.day(day, priority=PRIORITY_BACKFILL)
                break
            except errors.ProviderError as error:
                if attempt == TRIES or not isinstance(error, errors.Transient):
                    raise
                await self._clock.sleep(2.0**attempt * (0.5 + self._clock.chance()))
        self._health.succeeded(source)
        if seen.complete and self._clock.now() - day.end >= SETTLED:
            await self._catalog.finish_slice(source, discovery.kind, day.first, _sum(day, seen))
        for problem in (result.problem for result in seen.results if result.problem):
            log.warning("day_incomplete", source=source, day=str(day.first), problem=problem)
            self._tally.sources[source].problems.append(problem)
        return seen


def _sum(day: Window, seen: Pass) -> PassResult:
    """The result of all lists of a day as one."""
    first = seen.results[0]
    return PassResult(
        listing=first.listing,
        window=day,
        started_at=first.started_at,
        complete=seen.complete,
        listed=seen.listed,
        new=seen.new,
        requests=sum(result.requests for result in seen.results),
        ids_sha256=windows.ids_sha256(seen.ids),
    )


@dataclass(slots=True)
class Preview:
    """What a day's lists hold, counted without writing anything."""

    recordings: int = 0
    bytes_known: int = 0


async def preview(provider: Provider, days: Sequence[Window]) -> Preview:
    """Counts what a backfill of `days` would list; for --dry-run. Raises the errors of `Provider.pages`."""
    found = Preview()
    ids: set[str] = set()
    for listing in provider.listings:
        if not listing.windowed:
            continue
        for day in days:
            async with aclosing(provider.pages(listing, day)) as pages:
                async for page in pages:
                    fresh = [item for item in page.recordings if item.recording_id not in ids]
                    ids.update(item.recording_id for item in fresh)
                    found.recordings += len(fresh)
                    found.bytes_known += sum(item.size or 0 for item in fresh)
    return found
