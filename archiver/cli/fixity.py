"""`verify` and `repair`: fixity of what is archived, and fetching again what is not as it should be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from archiver.app import App, open_app
from archiver.catalog import fixity as facts
from archiver.cli import exits
from archiver.cli.running import Stop, run_command
from archiver.cli.sync import run_pump
from archiver.cli.tables import say, say_json
from archiver.domain import errors
from archiver.domain.errors import UsageError
from archiver.domain.recording import ProviderStatus, RecordingRef
from archiver.fixity import check
from archiver.pipeline.fixity import KINDS, Result
from archiver.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from archiver.cli.context import Invocation
    from archiver.domain.recording import Entry

_SLICE = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


class Slice(click.ParamType[Any]):
    """`n/t`, as restic writes it: the nth of t parts."""

    name = "n/t"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = _SLICE.fullmatch(str(value))
        if found is None or int(found[1]) > int(found[2]):
            self.fail(f"found {value!r}, accepted is n/t with n from 1 to t, e.g. 3/90", param, ctx)
        return int(found[1]), int(found[2])


@click.command("verify")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only N, those not checked for longest.")
@click.option("--slice", "part", type=Slice(), metavar="n/t", help="Only the nth of t parts; t runs check everything once.")
@click.option("--read-back", is_flag=True, help="Read every byte, whatever the store attests.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def verify(
    invocation: Invocation, /, *, sample: int | None, part: tuple[int, int] | None, read_back: bool, as_json: bool
) -> None:
    """Compare the archive with the catalog: missing, mismatched, unlocked, untracked, hidden by a delete marker."""
    if sample is not None and part is not None:
        raise UsageError("--sample and --slice exclude each other")
    settings = invocation.settings(need_sources=False)
    back = read_back or settings.storage.verify == "read-back"

    async def main(_stop: Stop) -> int:
        async with open_app(settings, command="verify", providers=False) as app:
            result = await check(app, sample=sample, part=part, read_back=back)
            return await tell(app, result, as_json=as_json)

    click.get_current_context().exit(run_command(main))


async def tell(app: App, result: Result, *, as_json: bool) -> int:
    """`archiver.verify/1`, or the same for people; exit code 4 with any problem."""
    code = exits.INTEGRITY if result.findings else exits.DONE
    problems = [
        {
            "kind": finding.kind,
            "key": app.storage.full_key(finding.key),
            "says": finding.says,
            "source": finding.entry.source if finding.entry else "",
            "recording_id": finding.entry.recording_id if finding.entry else "",
            "rendition": finding.entry.rendition if finding.entry else "",
        }
        for finding in result.findings
    ]
    cover = await facts.coverage(app.database, await app.database.now())
    document = {"schema": "archiver.verify/1", "checked": result.checked, "ok": result.ok}
    document |= {kind: result.count(kind) for kind in KINDS}
    document |= {"coverage": cover, "problems": problems, "exit_code": code}
    if as_json:
        say_json(document)
        return code
    say(", ".join([f"{result.checked:,} checked", f"{result.ok:,} ok", *(f"{result.count(kind):,} {kind}" for kind in KINDS)]))
    for problem in problems:
        say(f"! {problem['kind']}: {problem['key']}: {problem['says']}")
    say(f"{cover['checked_share']:.0%} of the archive checked within {cover['period_days']} days")
    return code


@click.command("repair")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def repair(invocation: Invocation, /, *, as_json: bool) -> None:
    """Fetch again what verify found damaged, while the provider still has it."""
    settings = invocation.settings()

    async def main(stop: Stop) -> int:
        async with open_app(settings, command="repair") as app:
            items = await facts.damaged_entries(app.database)
            there, gone = await still_there(app, items)
            began = await app.database.write(lambda tx: facts.refetch(tx, app.catalog.worker.name, there))
            if began:
                await run_pump(app, stop)
            left = len(await facts.damaged_entries(app.database))
            code = exits.INTEGRITY if left else exits.DONE
            if as_json:
                rows = [f"{item.source}/{item.recording_id} {item.rendition}" for item in gone]
                say_json(
                    {"schema": "archiver.repair/1", "fetched": began, "left": left, "not_repairable": rows, "exit_code": code}
                )
                return code
            say(f"{began:,} fetched again, {left:,} still damaged")
            for item in gone:
                say(f"! {item.source}/{item.recording_id} {item.rendition}: the provider no longer has it")
            return code

    click.get_current_context().exit(run_command(main))


async def still_there(app: App, items: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Which of the damaged entries the provider still holds, and which it does not."""
    there: list[Entry] = []
    gone: list[Entry] = []

    async def ask(item: Entry) -> None:
        provider = app.providers.get(item.source)
        ref = RecordingRef(source=item.source, recording_id=item.recording_id, room_id=item.room_id)
        try:
            listed = await provider.get(ref) if provider is not None else None
        except errors.RecordingGone:
            listed = None
        (there if listed is not None and listed.status is ProviderStatus.COMPLETED else gone).append(item)

    await side_by_side(items, ask)
    return there, gone
