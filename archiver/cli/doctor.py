"""`doctor`: whether everything the archive stands on is there, and what is not."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from archiver.app import SystemClock, make_storage, open_database, source_options
from archiver.catalog import schema
from archiver.cli import exits
from archiver.domain.errors import ArchiverError
from archiver.providers.registry import open_provider
from archiver.telemetry import register_secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from archiver.cli.context import Invocation
    from archiver.config import Settings

MARKS = {"ok": "ok  ", "warning": "WARN", "failed": "FAIL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: `result` is ok, warning or failed."""

    check: str
    result: str
    says: str
    code: int = exits.DONE


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--iam", is_flag=True, help="Print the least-privilege IAM policy for the configured bucket and nothing else.")
@click.pass_obj
def doctor(invocation: Invocation, as_json: bool, iam: bool) -> None:  # noqa: FBT001 -- click passes by name
    """Check credentials, bucket, catalog, clock and providers; changes nothing but canaries that it removes."""
    settings = invocation.settings()
    if iam:
        click.echo(json.dumps(iam_policy(settings), indent=2))
        return
    findings = asyncio.run(examine(settings))
    code = exits.worst(finding.code for finding in findings)
    if as_json:
        rows = [{key: value for key, value in asdict(finding).items() if key != "code"} for finding in findings]
        click.echo(json.dumps({"schema": "archiver.doctor/1", "checks": rows, "exit_code": code}))
    else:
        for finding in findings:
            click.echo(f"{MARKS[finding.result]}  {finding.check}: {finding.says}")
        if settings.storage.bucket:
            click.echo("\nLeast-privilege policy for the bucket: archiver doctor --iam")
    click.get_current_context().exit(code)


async def examine(settings: Settings) -> list[Finding]:
    """Everything once, in the order in which an operator would mend it."""
    for secret in settings.secrets:
        register_secret(secret.reveal())
    findings = [Finding(check="configuration", result="warning", says=text) for text in settings.warnings]
    findings = findings or [Finding(check="configuration", result="ok", says=str(settings.path or "environment and defaults"))]
    findings += await looked("catalog", lambda: _catalog(settings))
    findings += await looked("storage", lambda: _storage(settings))
    for item in settings.sources:
        findings += await looked(f"source {item.name}", lambda item=item: _source(settings, item.name))  # type: ignore[misc]
    return findings


async def looked(check: str, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """The findings of a look; an error becomes one."""
    try:
        return await look()
    except ArchiverError as error:
        return [Finding(check=check, result="failed", says=str(error), code=exits.of_error(error))]


async def _catalog(settings: Settings) -> list[Finding]:
    clock = SystemClock()
    url = settings.catalog.url.reveal()
    state = await asyncio.to_thread(schema.state_now, url)
    if not state.known:
        says = f"its schema is {state.found}, this program knows up to {state.head}: a newer one was here"
        return [Finding(check="catalog", result="failed", says=says, code=exits.USAGE)]
    if not state.current:
        after = "the next run brings it up to date" if settings.catalog.auto_upgrade else "run `archiver catalog upgrade`"
        return [Finding(check="catalog", result="warning", says=f"schema {state.found or 'empty'}, needs {state.head}: {after}")]
    async with open_database(settings, clock, upgrade=False) as database:
        away = abs((await database.now() - clock.now()).total_seconds())
        found = [Finding(check="catalog", result="ok", says=f"{database.where}, schema {state.head}")]
    if away > 1:
        says = f"the database's clock and this machine's are {away:.0f} s apart"
        found.append(Finding(check="clock", result="warning", says=says))
    return found


async def _storage(settings: Settings) -> list[Finding]:
    storage = make_storage(settings.storage, SystemClock())
    try:
        able = await storage.probe()
    finally:
        await storage.aclose()
    enforced = {
        "refuses wrong checksums": able.refuses_wrong_checksum,
        "refuses wrong parts": able.refuses_wrong_part,
        "proves whole multipart objects": able.proves_whole,
        "refuses to overwrite": able.conditional_put and able.conditional_complete,
        "keeps versions": able.versioning,
        "locks at creation": able.lock,
        "keeps metadata": able.keeps_metadata,
    }
    yes = ", ".join(name for name, there in enforced.items() if there) or "nothing"
    no = ", ".join(name for name, there in enforced.items() if not there)
    says = f"{settings.storage.url}: {yes}" + (f"; not: {no}" if no else "")
    found = [Finding(check="storage", result="ok", says=says)]
    if settings.storage.locks and not able.lock:
        says = f"object_lock = {settings.storage.object_lock!r}, but objects are not locked when they are created"
        found.append(Finding(check="storage", result="failed", says=says, code=exits.POLICY))
    return found + [Finding(check="storage", result="warning", says=note) for note in able.notes]


async def _source(settings: Settings, name: str) -> list[Finding]:
    item = next(source for source in settings.sources if source.name == name)
    provider = open_provider(item.provider, source_options(item, min_rate=settings.transfer.min_rate), SystemClock())
    try:
        says = await provider.check()
    finally:
        await provider.aclose()
    return [Finding(check=f"source {name}", result="ok", says=says)]


def iam_policy(settings: Settings) -> dict[str, object]:
    """The least an archiving process needs on AWS: no deletion of versions, no bypass, no bucket settings."""
    text = importlib.resources.files("archiver.cli").joinpath("iam_archive.json").read_text()
    prefix = f"{settings.storage.prefix}/" if settings.storage.prefix else ""
    filled = text.replace("BUCKET", settings.storage.bucket or "BUCKET").replace("PREFIX/", prefix)
    policy: dict[str, object] = json.loads(filled)
    return policy
