"""`retention plan`, `apply` and `report`: what is over, what goes, and what is kept for how long."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archiver.app import open_app
from archiver.catalog.alarms import alarms
from archiver.catalog.keeping import SqlKeeping
from archiver.cli import exits
from archiver.cli.export import cell
from archiver.cli.operate import actor
from archiver.cli.query import open_catalog
from archiver.cli.running import Stop, run_command
from archiver.cli.tables import print_table, rounded_size, say, say_json, to_the_second, visible
from archiver.custody import Applied, Custody
from archiver.domain.errors import UsageError
from archiver.domain.plan import Action, Plan, read
from archiver.domain.retention import RefusedByPolicy, instant
from archiver.domain.retention_report import Report
from archiver.pipeline.clocks import sure_since
from archiver.pipeline.planning import Work, make, refuse_over_caps
from archiver.policies import caps, rules
from archiver.sealing import seal_before_end

if TYPE_CHECKING:
    from archiver.cli.context import Invocation
    from archiver.config import Settings
    from archiver.domain.plan import Read

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group("retention")
def retention() -> None:
    """Delete what policies keep no longer: first a plan to look at, then exactly that plan."""


# -- plan


@retention.command("plan")
@click.option("-o", "output", type=click.Path(path_type=Path, dir_okay=False), metavar="PLAN", help="Write the plan to a file.")
@_as_json
@click.pass_obj
def plan(invocation: Invocation, /, *, output: Path | None, as_json: bool) -> None:
    """Say of every stored or verified rendition what would happen to it now, and why. Changes nothing."""
    settings = invocation.settings(need_sources=False)
    found, over = asyncio.run(_plan(settings))
    document = found.document()
    if output is not None:
        try:
            output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"-o {output} cannot be written: {error.strerror}") from None
    if as_json:
        say_json(document)
        return
    _say_plan(found)
    for text in over:
        say(f"! {text}")
    if output is not None:
        say(f"archiver retention apply {visible(output)} does exactly this, within seven days")


async def _plan(settings: Settings) -> tuple[Plan, list[str]]:
    async with open_catalog(settings) as database:
        keeping = SqlKeeping(database, actor())
        sure = rules(settings).sure(await sure_since(keeping))
        found, candidates = await make(keeping, sure, now=await database.now())
        work = Work()
        for item in found.items:
            work.take(candidates[item.name], item)
        return found, await refuse_over_caps(keeping, work, caps(settings))


def _say_plan(found: Plan) -> None:
    ends = {item: to_the_second(instant(item.retain_until) if item.retain_until else None) for item in found.items}
    rows = [
        [item.action.value, "/".join(item.name), ends[item], item.reason]
        for item in found.items
        if item.action is not Action.KEEP
    ]
    if rows:
        print_table(["action", "rendition", "kept until", "why"], rows)
    counts = found.counts()
    say(", ".join(f"{count:,} to {action}" for action, count in counts.items()))


# -- apply


@retention.command("apply")
@click.argument("path", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--max-count", type=click.IntRange(min=0), metavar="N", help="Allow up to N deletions, in the place of [retention]."
)
@_as_json
@click.pass_obj
def apply(invocation: Invocation, /, *, path: Path, max_count: int | None, as_json: bool) -> None:
    """Do exactly what a plan says. Exit code 7 where it is stale or edited, over the caps, or the clocks are in doubt."""
    planned = _read(path)
    releases = any(item["action"] == Action.RELEASE.value for item in planned.items)
    settings = invocation.settings(need_sources=releases)

    async def main(_stop: Stop) -> int:
        async with open_app(settings, command="retention", providers=releases, probe=settings.storage.locks) as app:
            applied = await Custody(app, actor=actor()).apply(planned, allowed=max_count)
            not_sealed = await seal_before_end(app, wait=True)
            if not_sealed is not None:
                applied.problems.append(f"the history is not sealed: {not_sealed}")
            return _tell(applied, planned, as_json=as_json)

    click.get_current_context().exit(run_command(main))


def _read(path: Path) -> Read:
    try:
        return read(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise RefusedByPolicy(f"{path} is no plan", hint="archiver retention plan -o FILE makes one") from None


def _tell(applied: Applied, planned: Read, *, as_json: bool) -> int:
    code = exits.POLICY if applied.refused else exits.SOME_FAILED if applied.problems else exits.DONE
    expired = sum(item.deleted for item in applied.expired)
    released = sum(item.deleted for item in applied.released)
    if as_json:
        counts = {"expired": expired, "released": released, "erased": applied.erased}
        rest = {"refused": applied.refused, "problems": applied.problems, "exit_code": code}
        say_json({"schema": "archiver.apply/1", "fingerprint": planned.fingerprint, **counts, **rest})
        return code
    say(f"{expired:,} deleted from the archive, {released:,} deleted at the provider, {applied.erased:,} recordings erased")
    for text in [*applied.refused, *applied.problems]:
        say(f"! {visible(text)}")
    return code


# -- report


@retention.command("report")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@_as_json
@click.pass_obj
def report(invocation: Invocation, /, *, as_csv: bool, as_json: bool) -> None:
    """Tell what is kept for how long, by source and policy."""
    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other")
    settings = invocation.settings(need_sources=False)
    found, problems = asyncio.run(_report(settings))
    lines = [line.document() for line in found.lines()]
    if as_json:
        body = {"generated_at": instant(found.now), "lines": lines, "problems": problems}
        say_json({"schema": "archiver.retention-report/1", **body})
    elif as_csv:
        _write_csv(lines)
    else:
        _say_report(lines, problems)


async def _report(settings: Settings) -> tuple[Report, list[str]]:
    deciding = rules(settings)
    async with open_catalog(settings) as database:
        found = Report(await database.now())
        async for portion in SqlKeeping(database, actor()).candidates():
            for one in portion:
                found.add(one, deciding.decide(one, found.now))
        async with database.read() as conn:
            return found, await alarms(conn, found.now)


def _write_csv(lines: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = list(Report.columns())
    writer.writerow(names)
    writer.writerows([cell(line[name]) for name in names] for line in lines)


def _say_report(lines: list[dict[str, Any]], problems: list[str]) -> None:
    counted = ("renditions", "locked", "held", "over", "over_in_30d", "over_in_365d", "for_ever")
    rows = [
        [
            line["source"],
            line["policy"] or "none",
            rounded_size(line["bytes"]),
            *(f"{line[name]:,}" for name in counted),
            to_the_second(line["first_until"]),
            to_the_second(line["last_until"]),
        ]
        for line in lines
    ]
    headers = ["renditions", "locked", "held", "over", "in 30 d", "in 365 d", "for ever"]
    print_table(["source", "policy", "size", *headers, "first until", "last until"], rows, right=["size", *headers])
    for text in problems:
        say(f"! {visible(text)}")
