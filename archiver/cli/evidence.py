"""`evidence export` and `evidence verify`: recordings for somebody who trusts neither us nor our software."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archiver.app import VERSION, App, open_app
from archiver.catalog import evidence as facts
from archiver.cli import exits
from archiver.cli.running import Stop, run_command
from archiver.cli.selecting import selector_of, selector_options
from archiver.cli.tables import counted, rounded_size, say, say_json
from archiver.domain import errors, verify_bag
from archiver.domain.errors import UsageError
from archiver.domain.keys import segment
from archiver.pipeline.bag import Bag

if TYPE_CHECKING:
    from archiver.catalog.selector import Selector
    from archiver.cli.context import Invocation

ARCHIVED = ("stored", "verified")


@click.group("evidence")
def evidence() -> None:
    """Hand recordings over with their history, and check such a bag."""


@evidence.command("export")
@selector_options
@click.option("-o", "output", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="Made anew.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def export(invocation: Invocation, /, output: Path, *, as_json: bool, **given: Any) -> None:
    """Write a BagIt bag: media, the provider's own JSON, history, attestation, manifests and a script that checks them."""
    chosen = selector_of(given)
    settings = invocation.settings()
    if output.exists() and any(output.iterdir()):
        raise UsageError(f"-o {output} is not empty", hint="a bag is made anew, never added to")

    output.mkdir(parents=True, exist_ok=True)

    async def main(_stop: Stop) -> int:
        async with open_app(settings, command="evidence", providers=False, probe=False) as app:
            return await fill(app, chosen, output, as_json=as_json)

    click.get_current_context().exit(run_command(main))


async def fill(app: App, chosen: Selector, output: Path, *, as_json: bool) -> int:
    """Fills the bag; the exit code says whether everything read back was what the catalog says."""
    bag = Bag(output)
    problems: list[str] = []
    recordings = media = octets = 0
    async for record in facts.records(app.database, chosen):
        recordings += 1
        kept = [item for item in record["renditions"] if item["state"] in ARCHIVED]
        for item in kept:
            problem = await _media(app, bag, record, item)
            if problem is not None:
                problems.append(problem)
            else:
                media += 1
                octets += item["size"]
            for earlier in item["superseded"]:
                problem = await _media(app, bag, record, {**item, **earlier})
                problems += [problem] if problem is not None else []
        document = {**record, "renditions": kept, "not_archived": [i for i in record["renditions"] if i not in kept]}
        text = json.dumps(document, indent=1, sort_keys=True)
        await bag.add_bytes(f"recordings/{record['source']}/{segment(record['recording_id'])}.json", text.encode())
    if not recordings:
        say("0 matched")
        return exits.SOME_FAILED
    segments = await _history(app, bag, problems)
    attested = await _attestation(app, bag, problems)
    info = {
        "Bag-Software-Agent": f"archiver {VERSION}",
        "Bagging-Date": f"{await app.database.now():%Y-%m-%d}",
        "External-Description": f"{recordings} recordings, {media} media files, {segments} pieces of history",
    }
    await asyncio.to_thread(bag.finish, info)
    code = exits.INTEGRITY if problems else exits.DONE
    if as_json:
        counts = {"recordings": recordings, "media": media, "bytes": octets, "segments": segments, "attestation": attested}
        say_json({"schema": "archiver.evidence/1", "bag": str(output), **counts, "problems": problems, "exit_code": code})
        return code
    what = f"{counted(recordings, 'recording')}, {counted(media, 'media file')}"
    say(f"{output}: {what}, {rounded_size(octets)}, {segments:,} {'piece' if segments == 1 else 'pieces'} of history")
    for problem in problems:
        say(f"! {problem}")
    say("Anybody can check it: python3 verify.py, sha256sum -c manifest-sha256.txt, or bagit.py --validate")
    return code


async def _media(app: App, bag: Bag, record: dict[str, Any], item: dict[str, Any]) -> str | None:
    """Puts one media file into the bag, read from the archive now; says what was wrong with it."""
    who = f"{record['source']}/{record['recording_id']} {item['rendition']}"
    try:
        found = await bag.add(f"media/{item['key']}", app.storage.read(item["key"], item["version_id"]))
    except errors.ObjectMissing as error:
        return f"{who}: missing: {error}"
    if found != item["sha256"]:
        return f"{who}: SHA-256 {found} read back, {item['sha256']} in the catalog"
    return None


async def _history(app: App, bag: Bag, problems: list[str]) -> int:
    """The whole sealed history as it lies in the archive: a chain with a piece left out proves nothing."""
    async with app.database.read() as conn:
        segments = await facts.segments_of(conn)
    for piece in segments:
        name = piece.key.rpartition("/")[2]
        try:
            digest = await bag.add(f"ledger/{name}", app.storage.read(piece.key, piece.version_id))
        except errors.ObjectMissing:
            problems.append(f"history piece {piece.segment} is missing in the archive")
            continue
        if digest != piece.sha256:
            problems.append(f"history piece {piece.segment} in the archive is not the one that was sealed")
    return len(segments)


async def _attestation(app: App, bag: Bag, problems: list[str]) -> bool:
    """The latest statement, where there is one."""
    async with app.database.read() as conn:
        latest = await facts.latest_attestation(conn)
    if latest is None:
        return False
    try:
        digest = await bag.add("attestation.json", app.storage.read(latest.key, latest.version_id))
    except errors.ObjectMissing:
        problems.append(f"the attestation {latest.key} is missing in the archive")
        return False
    if digest != latest.sha256:
        problems.append(f"the attestation {latest.key} in the archive is not the one that was made")
    return True


@evidence.command("verify")
@click.argument("bag", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(bag: Path, *, as_json: bool) -> None:
    """Check a bag with the same script that lies in it; exit code 4 where anything does not hold."""
    problems, said = verify_bag.check(bag)
    code = exits.INTEGRITY if problems else exits.DONE
    if as_json:
        click.echo(json.dumps({"schema": "archiver.evidence-check/1", "ok": not problems, "says": said, "problems": problems}))
    else:
        for line in [*said, *(f"! {problem}" for problem in problems), "everything holds" if not problems else ""]:
            if line:
                say(line)
    click.get_current_context().exit(code)
