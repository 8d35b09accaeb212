"""`verify` and `repair`: fixity of what is archived, and fetching again what is not as it should be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from archiver.app import App, open_app
from archiver.catalog import findings
from archiver.catalog import fixity as facts
from archiver.cli import exits
from archiver.cli.running import Stop, run_command
from archiver.cli.sync import run_pump
from archiver.cli.tables import say, say_json
from archiver.domain import errors
from archiver.domain.errors import UsageError
from archiver.domain.fixity import KINDS
from archiver.domain.recording import ProviderStatus, RecordingRef
from archiver.fixity import check, restore_locks
from archiver.pipeline.side_by_side import side_by_side
from archiver.sealing import seal_before_end

if TYPE_CHECKING:
    from archiver.cli.context import Invocation
    from archiver.domain.fixity import Finding
    from archiver.domain.recording import Entry
    from archiver.pipeline.fixity import Result

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
    cover = await facts.coverage(app.database, await app.database.now())
    document = {"schema": "archiver.verify/1", "checked": result.checked, "ok": result.ok}
    document |= {kind: result.count(kind) for kind in KINDS}
    problems = [_problem(app, finding) for finding in result.findings]
    document |= {"evidence_checked": result.evidence, "coverage": cover, "problems": problems, "exit_code": code}
    if as_json:
        say_json(document)
        return code
    say(", ".join([f"{result.checked:,} checked", f"{result.ok:,} ok", *(f"{result.count(kind):,} {kind}" for kind in KINDS)]))
    if result.evidence:
        say(f"{result.evidence:,} segments and attestations looked at")
    for problem in problems:
        say(f"! {problem['kind']}: {problem['key']}: {problem['says']}")
    if any(finding.kind in ("missing", "mismatched", "unlocked") for finding in result.findings):
        say("hint: archiver repair fetches again what is damaged, and puts back locks")
    say(f"{cover['checked_share']:.2%} of the archive checked within {cover['period_days']} days")
    return code


def _problem(app: App, finding: Finding) -> dict[str, Any]:
    entry = finding.entry
    earlier = finding.held is not None and finding.held.earlier > 0
    says = f"{finding.says} (an earlier object, kept since the provider's bytes changed)" if earlier else finding.says
    return {
        "kind": finding.kind,
        "key": app.storage.full_key(finding.key),
        "version_id": entry.version_id if entry else finding.evidence.version_id if finding.evidence else "",
        "says": says,
        "source": entry.source if entry else "",
        "recording_id": entry.recording_id if entry else "",
        "rendition": entry.rendition if entry else "",
        "earlier": earlier,
    }


@click.command("repair")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def repair(invocation: Invocation, /, *, as_json: bool) -> None:
    """Fetch again what verify found damaged, while the provider still has it, and put back locks that it found too short."""
    settings = invocation.settings()

    async def main(stop: Stop) -> int:
        async with open_app(settings, command="repair") as app:
            document = await mend(app, stop)
            not_sealed = await seal_before_end(app, wait=True)
            codes = [exits.INTEGRITY if _unmended(document) else exits.DONE]
            codes += [exits.of_error(not_sealed)] if not_sealed is not None else []
            code = document["exit_code"] = exits.worst(codes)
            if as_json:
                say_json(document)
            else:
                _say_mended(document)
            return int(code)

    click.get_current_context().exit(run_command(main))


async def mend(app: App, stop: Stop) -> dict[str, Any]:
    """Locks first, which takes no download; then bytes, from the provider. Gives `archiver.repair/1` without its exit code."""
    locks = await restore_locks(app)
    items = await facts.damaged_entries(app.database)
    providers_have, gone = await still_there(app, items)
    stand = await _standing(app, providers_have)
    began = await app.database.write(lambda tx: facts.refetch(tx, app.catalog.worker.name, providers_have, there=stand))
    if began:
        await run_pump(app, stop)
    left = await facts.not_archived(app.database, [item.id for item in items])
    beyond = await app.database.ask(lambda conn: findings.open_ones(conn, kinds=("missing", "mismatched")))
    return {
        "schema": "archiver.repair/1",
        "fetched": began,
        "left": left,
        "not_repairable": [f"{item.source}/{item.recording_id} {item.rendition}" for item in gone],
        "locked_again": locks.locked,
        "problems": locks.problems,
        "beyond_repair": [f"{app.storage.full_key(row.key)}: {row.kind}" for row in beyond],
    }


def _unmended(document: dict[str, Any]) -> bool:
    return bool(document["left"] or document["problems"] or document["beyond_repair"])


def _say_mended(document: dict[str, Any]) -> None:
    say(f"{document['fetched']:,} fetched again, {document['left']:,} still damaged, {document['locked_again']:,} locked again")
    for name in document["not_repairable"]:
        say(f"! {name}: the provider no longer has it")
    for problem in document["problems"]:
        say(f"! {problem}")
    for what in document["beyond_repair"]:
        say(f"! {what}, and no provider can give it again: it is an earlier object, or a piece of evidence")


async def _standing(app: App, items: list[Entry]) -> frozenset[int]:
    """Those whose damaged object is still in the archive."""
    found: set[int] = set()

    async def look(item: Entry) -> None:
        try:
            await app.storage.head(item.key, item.version_id)
        except errors.ObjectMissing:
            return
        found.add(item.id)

    await side_by_side(items, look)
    return frozenset(found)


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
