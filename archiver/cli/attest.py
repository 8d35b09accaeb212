"""`attest`: signed statements of completeness, their keys, and checking them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import structlog

from archiver.app import VERSION, open_app
from archiver.catalog import attest as facts
from archiver.cli import exits
from archiver.cli.parameters import INSTANT
from archiver.cli.running import Stop, run_command
from archiver.cli.sync import check_names, period
from archiver.cli.tables import say, say_json
from archiver.domain import attestation, errors
from archiver.domain.errors import UsageError
from archiver.pipeline.attest import lay_down, rendered
from archiver.pipeline.signing import load_key, load_public_key, make_key, signature_problem, signed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from archiver.app import App
    from archiver.cli.context import Invocation

log = structlog.get_logger()

NO_WITNESS = "the provider was not asked for sessions without recordings"


@click.group("attest", invoke_without_command=True)
@click.option("--since", type=INSTANT, metavar="D", help="First instant of the period.")
@click.option("--until", type=INSTANT, metavar="D", help="First instant no longer in it; in the past.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("-o", "output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write it here.")
@click.option("--json", "as_json", is_flag=True, help="Print the statement.")
@click.option("--no-questions", is_flag=True, help="Do not ask the providers for sessions without recordings.")
@click.pass_context
def attest(
    context: click.Context,
    since: datetime | None,
    until: datetime | None,
    sources: tuple[str, ...],
    output: Path | None,
    as_json: bool,  # noqa: FBT001 -- click passes by name
    no_questions: bool,  # noqa: FBT001 -- click passes by name
) -> None:
    """State what the providers listed for a period, and how much of it is archived and verified.

    Signed only where every day of the period was covered by a complete pass made after it had ended. Exit code 11 whenever
    the statement names a gap or a loss.
    """
    if context.invoked_subcommand is not None:
        return
    if since is None or until is None:
        raise UsageError("attest needs --since and --until", hint="e.g. archiver attest --since 2026-01-01 --until 2026-02-01")
    invocation: Invocation = context.obj
    settings = invocation.settings()
    check_names(settings, sources)

    async def main(_stop: Stop) -> int:
        async with open_app(settings, command="attest", only=sources) as app:
            now = await app.database.now()
            first, last = period(since, until, now=now)
            if until > now:
                raise UsageError("--until lies in the future: nobody can state what has not happened yet")
            statement = await state(app, first, last, ask=not no_questions)
            return await publish(app, statement, output=output, as_json=as_json)

    context.exit(run_command(main))


async def state(app: App, since: datetime, until: datetime, *, ask: bool) -> dict[str, Any]:
    """The statement about every opened source, not signed yet."""
    days = attestation.days_of(since, until)
    sources = []
    for name, provider in app.providers.items():
        questions, sightings = [], []
        witness = getattr(provider, "witness", None)
        if ask and witness is not None:
            try:
                sightings = list(await witness(since, until))
            except errors.ProviderError as error:
                questions = [{"question": f"the provider could not be asked: {error}"}]
        async with app.database.read() as conn:
            questions += [dict(seen) for seen in await facts.unrecorded(conn, name, sightings)]
            statement = attestation.source_statement(
                name=name,
                provider=provider.kind,
                period=days,
                passes=await facts.passes_over(conn, name, days),
                listings=[listing.name for listing in provider.listings if listing.windowed],
                count=await facts.count(conn, name, since, until),
                questions=questions,
            )
        if witness is not None and not ask:
            statement["questions_not_asked"] = NO_WITNESS
        sources.append(statement)
    async with app.database.read() as conn:
        head = await facts.ledger_head(conn)
    return {
        "schema": attestation.SCHEMA,
        "period": {"since": attestation.text(since), "until": attestation.text(until)},
        "sources": sources,
        "ledger_head": head,
        "created_at": attestation.text(await app.database.now()),
        "program": f"archiver {VERSION}",
    }


async def publish(app: App, statement: dict[str, Any], *, output: Path | None, as_json: bool) -> int:
    """Signs what may be signed, lays it down in the archive, writes it where asked, and tells what it found."""
    complete = all(source["complete"] for source in statement["sources"])
    key_file = app.settings.attest.key_file
    refused = ""
    if not complete:
        refused = "not signed: the period was not fully polled"
    elif key_file is None:
        refused = "not signed: attest.key_file is not set; hint: archiver attest key -o FILE"
    whole = {**statement, "public_key": "", "signature": ""}
    if not refused and key_file is not None:
        whole = signed(statement, load_key(key_file))
        await _keep(app, whole)
    if output is not None:
        _write(output, rendered(whole))
    found = attestation.findings(whole)
    if as_json:
        say_json(whole)
    else:
        for line in _told(whole):
            say(line)
        for line in [*found, *([refused] if refused else [])]:
            say(f"! {line}")
    return exits.GAP if found or not complete else exits.DONE


async def _keep(app: App, whole: dict[str, Any]) -> None:
    moment = await app.database.now()
    lock = app.lock_for_ledger(moment)
    key, version_id, sha256 = await lay_down(
        whole, storage=app.storage, clock=app.clock, created_at=moment, lock=lock, version=VERSION
    )
    seen = await app.storage.head(key, version_id)
    if app.settings.storage.locks and seen.retain_until is None:
        log.error("statement_not_locked", key=key, hint="archiver doctor; the retention run locks it where the store can do that")
    since, until = (attestation_instant(whole["period"][name]) for name in ("since", "until"))
    values = {"since": since, "until": until, "complete": True, "sha256": sha256, "key": key, "version_id": version_id}
    values["locked_until"] = seen.retain_until
    data = {"key": key, "version_id": version_id, "sha256": sha256, "period": whole["period"]}
    await app.database.write(lambda tx: facts.keep(tx, app.catalog.worker.name, values, data))


def attestation_instant(value: str) -> datetime:
    """An instant of a statement, read back."""
    instant: datetime = INSTANT.convert(value, None, None)
    return instant


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"-o {path} cannot be written: {error.strerror}") from None


def _told(whole: dict[str, Any]) -> Sequence[str]:
    """The statement for people."""
    lines = [f"Period {whole['period']['since']} to {whole['period']['until']}"]
    for source in whole["sources"]:
        counts = ", ".join(f"{source[name]:,} {name}" for name in ("listed", "verified", "waiting", "excluded", "lost"))
        lines.append(f"{source['name']}: {'complete' if source['complete'] else 'NOT complete'}; {counts}")
        lines += [f"  {gap['recording_id']}: {gap['reason']}" for gap in source["gaps"][:20]]
        if len(source["gaps"]) > 20:  # a screenful; all of them are in the statement
            lines.append(f"  and {len(source['gaps']) - 20} more")
        lines += [f"  question: {json.dumps(question)}" for question in source["questions"][:20]]
    if whole["signature"]:
        lines.append(f"Signed by {whole['public_key']}")
    return lines


@attest.command("key")
@click.option("-o", "output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE")
def key(output: Path) -> None:
    """Make an Ed25519 key: the private one in FILE (0600), the public one in FILE.pub."""
    public = make_key(output)
    say(f"{output}: private key; keep it where the archive's operators cannot change it\n{output}.pub: {public}")


@attest.command("verify")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--key", "public", type=click.Path(path_type=Path, dir_okay=False), metavar="PUB", help="The key it must be by.")
def verify(file: Path, public: Path | None) -> None:
    """Check a statement's signature; exit code 4 where it does not hold."""
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is not a statement: {error}") from None
    if not isinstance(document, dict) or document.get("schema") != attestation.SCHEMA:
        raise UsageError(f"{file} is not a statement: its schema is not {attestation.SCHEMA}")
    problem = signature_problem(document, public_key=None if public is None else load_public_key(public))
    if problem is not None:
        say(f"! {file}: {problem}")
        click.get_current_context().exit(exits.INTEGRITY)
    say(
        f"{file}: signed by {document['public_key']}" + ("" if public else " (no --key given: whose key that is, is not checked)")
    )
