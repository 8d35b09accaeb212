"""`sync` and `backfill`: the one-shot commands that archive."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from archiver.app import App, SystemClock, open_app
from archiver.cli import exits, summary
from archiver.cli.parameters import DURATION, INSTANT, SIZE
from archiver.cli.progress import RunProgress
from archiver.cli.running import Stop, run_command
from archiver.cli.tables import print_table, rounded_size
from archiver.config import format_instant
from archiver.domain.errors import UsageError
from archiver.domain.recording import State
from archiver.pipeline import cycle
from archiver.pipeline.backfill import Backfill, Plan, plan, preview
from archiver.sealing import seal_before_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from archiver.cli.context import Invocation
    from archiver.config import Settings
    from archiver.domain.work import Outcome
    from archiver.pipeline.tally import Tally


def check_names(settings: Settings, wanted: Sequence[str]) -> None:
    """Refuses `--source` names that are not configured."""
    known = [item.name for item in settings.sources]
    for name in wanted:
        if name not in known:
            raise UsageError(f"--source {name!r}: no such source is configured, accepted: {', '.join(known)}")


@asynccontextmanager
async def reporting(app: App, *, schema: str, as_json: bool, tally: Tally) -> AsyncIterator[Report]:
    """Brackets a run: counts before and after, then its document or table on stdout."""
    report = Report(code=exits.DONE)
    began = time.monotonic()
    before = await app.catalog.counts()
    yield report
    not_sealed = await seal_before_end(app, wait=not report.stopped)
    after = await app.catalog.counts()
    settled = without_queue(after) if report.over_budget else after
    codes = [summary.exit_code(tally, before, settled), *([exits.BUDGET] if report.over_budget else [])]
    codes += [exits.of_error(not_sealed)] if not_sealed is not None else []
    report.code = report.stopped or exits.worst(codes)
    seconds = time.monotonic() - began
    if as_json:
        click.echo(json.dumps(summary.document(schema, tally, seconds=seconds, code=report.code)))
        return
    summary.show(tally, seconds=seconds)
    for text in [*summary.problems(tally), *([f"the history is not sealed: {not_sealed}"] if not_sealed else [])]:
        click.echo(f"! {text}", err=True)


def without_queue(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Counts without what is still in the queue: to a run that its budget ended that is more to do, and nothing that failed."""
    queued = (State.DUE, State.TRANSFERRING, State.STORED)
    return {name: {state: count for state, count in states.items() if state not in queued} for name, states in counts.items()}


@dataclass(slots=True)
class Report:
    """How a run ended, besides what its tally says."""

    code: int
    over_budget: bool = False
    stopped: int = 0


@click.command("sync")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def sync(invocation: Invocation, sources: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 -- click passes by name
    """Run one full cycle over every source: discover, transfer, verify until nothing is due."""
    settings = invocation.settings()
    check_names(settings, sources)

    async def main(stop: Stop) -> int:
        async with open_app(settings, command="sync", only=sources) as app:
            return await run_sync(app, stop, as_json=as_json)

    click.get_current_context().exit(run_command(main))


async def run_sync(app: App, stop: Stop, *, as_json: bool = False) -> int:
    """One cycle over an opened App, with progress on stderr and the result on stdout; returns the exit code."""
    tally = app.tally()
    async with reporting(app, schema="archiver.sync/1", as_json=as_json, tally=tally) as report:
        with RunProgress(tally) as progress:
            await cycle.sync(
                discoveries=app.discoveries(),
                pump=app.pump(done=progress.outcome),
                catalog=app.catalog,
                health=app.health,
                clock=app.clock,
                tally=tally,
                stop=stop,
                on_poll=progress.polled,
            )
        report.stopped = stop.code if stop.is_set() else 0
    return report.code


async def run_pump(app: App, stop: Stop) -> None:
    """Works off what is due, without polling anybody."""
    listed = asyncio.Event()
    listed.set()
    enough = cycle.Enough(catalog=app.catalog, health=app.health, clock=app.clock, sources=list(app.providers), listed=listed)
    await app.pump().run(until=enough, stop=stop, patience=cycle.WAITED_IN_ALL)


@click.command("backfill")
@click.option("--since", required=True, type=INSTANT, metavar="D", help="First instant: a date, or an instant with a zone.")
@click.option("--until", type=INSTANT, metavar="D", help="First instant no longer wanted; now, where not given.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--max-bytes", type=SIZE, metavar="S", help="Stop after about this much, e.g. 50GiB; exit code 8.")
@click.option("--max-duration", type=DURATION, metavar="T", help="Stop after this long, e.g. 2h; exit code 8.")
@click.option("--dry-run", is_flag=True, help="Only count what the providers list; writes nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def backfill(
    invocation: Invocation,
    since: datetime,
    until: datetime | None,
    sources: tuple[str, ...],
    max_bytes: int | None,
    max_duration: timedelta | None,
    dry_run: bool,  # noqa: FBT001 -- click passes by name
    as_json: bool,  # noqa: FBT001 -- click passes by name
) -> None:
    """Archive history in day slices; a rerun goes on where the last one stopped."""
    settings = invocation.settings()
    check_names(settings, sources)
    first, last = period(since, until, now=SystemClock().now())
    budget = Budget(size=max_bytes, duration=max_duration)

    async def main(stop: Stop) -> int:
        async with open_app(settings, command="backfill", only=sources, probe=not dry_run) as app:
            plans = [await plan(app.catalog, name, since=first, until=last) for name in app.providers]
            if dry_run:
                return await show_preview(app, plans, as_json=as_json)
            return await run_backfill(app, plans, stop, budget, as_json=as_json)

    click.get_current_context().exit(run_command(main))


def period(since: datetime, until: datetime | None, *, now: datetime) -> tuple[datetime, datetime]:
    """The two ends of a period; raises UsageError where they make no sense together."""
    last = until or now
    if since > now:
        raise UsageError(f"--since {format_instant(since)} lies in the future")
    if last <= since:
        raise UsageError(f"--until {format_instant(last)} is not after --since {format_instant(since)}")
    return since, min(last, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When a backfill stops early: bytes stored, time gone by."""

    size: int | None = None
    duration: timedelta | None = None


async def run_backfill(app: App, plans: Sequence[Plan], stop: Stop, budget: Budget, *, as_json: bool = False) -> int:
    """Runs a planned backfill; returns the exit code."""
    tally = app.tally()
    enough = asyncio.Event()
    async with reporting(app, schema="archiver.backfill/1", as_json=as_json, tally=tally) as report:
        with RunProgress(tally, days=sum(len(item.days) for item in plans)) as progress:

            def done(outcome: Outcome) -> None:
                progress.outcome(outcome)
                if budget.size is not None and tally.total("bytes") >= budget.size:
                    enough.set()

            run = Backfill(
                discoveries=app.discoveries(),
                pump=app.pump(done=done),
                catalog=app.catalog,
                health=app.health,
                clock=app.clock,
                tally=tally,
                on_day=progress.day_done,
            )
            watch = asyncio.create_task(_watch(stop, enough, budget.duration))
            try:
                await run.run(plans, stop=enough)
            finally:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
        report.over_budget = enough.is_set() and not stop.is_set()
        report.stopped = stop.code if stop.is_set() else 0
    return report.code


async def _watch(stop: Stop, enough: asyncio.Event, duration: timedelta | None) -> None:
    """Ends the run when a signal came or the time is up."""
    try:
        async with asyncio.timeout(None if duration is None else duration.total_seconds()):
            await stop.wait()
    except TimeoutError:
        pass
    enough.set()


async def show_preview(app: App, plans: Sequence[Plan], *, as_json: bool) -> int:
    """What a backfill would list, counted and not written."""
    rows: list[dict[str, Any]] = []
    for item in plans:
        found = await preview(app.providers[item.source], item.days)
        rows.append(
            {
                "name": item.source,
                "days": len(item.days),
                "days_finished": item.finished,
                "listed": found.recordings,
                "bytes_known": found.bytes_known,
            }
        )
    if as_json:
        click.echo(json.dumps({"schema": "archiver.backfill-preview/1", "sources": rows, "exit_code": 0}))
        return exits.DONE
    headers = ["source", "days to list", "days finished", "recordings", "size, where listed"]
    cells = [
        [row["name"], *(f"{row[key]:,}" for key in ("days", "days_finished", "listed")), rounded_size(row["bytes_known"])]
        for row in rows
    ]
    print_table(headers, cells, right=headers[1:])
    return exits.DONE
