"""`erase request` and `erase status`: erasure on a data subject's request, within holds and locks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from archiver.app import open_app
from archiver.catalog import erasures
from archiver.catalog.keeping import SqlKeeping
from archiver.cli import exits
from archiver.cli.operate import actor
from archiver.cli.query import open_catalog
from archiver.cli.selecting import selector_of, selector_options
from archiver.cli.tables import print_table, say, say_json, to_the_second, visible
from archiver.domain.errors import UsageError
from archiver.sealing import seal_before_end

if TYPE_CHECKING:
    from archiver.catalog.selector import Selector
    from archiver.cli.context import Invocation
    from archiver.config import Settings
    from archiver.domain.errors import ArchiverError

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
LONGEST = 500  # characters of a reason


@click.group("erase")
def erase() -> None:
    """Forget recordings as soon as no hold and no lock forbids it."""


@erase.command("request")
@selector_options
@click.option("--reason", required=True, metavar="R", help="Why; kept in the history for good, so name nobody.")
@_as_json
@click.pass_obj
def request(invocation: Invocation, /, reason: str, *, as_json: bool, **given: Any) -> None:
    """Record a request for what the selectors match, and say when it is lawful. Deletes nothing itself.

    The retention run carries it out: the daemon's, or `retention plan` and `retention apply`. What waits to be archived is taken
    out of the queue at once. The provider's own copy is not touched.
    """
    chosen = selector_of(given)
    if not reason.strip() or not reason.isprintable() or len(reason) > LONGEST:
        raise UsageError(f"--reason is empty, has control characters, or more than {LONGEST} characters")
    number, found, not_sealed = asyncio.run(_request(invocation.settings(need_sources=False), chosen, reason))
    code = exits.DONE if found else exits.SOME_FAILED
    if not_sealed is not None:
        code = exits.worst([code, exits.of_error(not_sealed)])
        click.echo(f"! the request is recorded, but the history is not sealed: {not_sealed}", err=True)
    if as_json:
        say_json({"schema": "archiver.erase/1", "erasure": number or None, "recordings": found, "exit_code": code})
    elif not found:
        say("0 matched")
    else:
        say(f"erasure {number} requested")
        _say(found)
    click.get_current_context().exit(code)


async def _request(settings: Settings, chosen: Selector, reason: str) -> tuple[int, list[dict[str, Any]], ArchiverError | None]:
    """Records the request and seals it, so that a catalog restored from an older copy is found out."""
    async with open_app(settings, command="erase", providers=False, probe=settings.storage.locks) as app:
        database = app.database
        number, count = await database.write(lambda tx: erasures.request(tx, actor(), chosen, reason))
        if not count:
            return 0, [], None
        keeping = SqlKeeping(database, actor())
        for item in await keeping.erasures():
            await keeping.erasure_dated(item)
        async with database.read() as conn:
            found = await erasures.status(conn)
        not_sealed = await seal_before_end(app, wait=True)
    return number, next(item["recordings"] for item in found if item["erasure"] == number), not_sealed


@erase.command("status")
@_as_json
@click.pass_obj
def status(invocation: Invocation, /, *, as_json: bool) -> None:
    """Tell of every request what was carried out, and what it waits for; with --json one request a line."""
    settings = invocation.settings(need_sources=False)

    async def read() -> list[dict[str, Any]]:
        async with open_catalog(settings) as database, database.read() as conn:
            return await erasures.status(conn)

    for item in asyncio.run(read()):
        if as_json:
            say_json({"schema": "archiver.erasure-request/1", **item})
            continue
        asked = f"{to_the_second(item['requested_at'])}, {visible(item['requested_by'])}"
        say(f"erasure {item['erasure']}, {asked}: {visible(item['reason'])}")
        _say(item["recordings"])


def _say(found: list[dict[str, Any]]) -> None:
    rows = [
        [
            f"{item['source']}/{item['recording_id']}",
            item["status"],
            to_the_second(item["lawful_at"]),
            item["why"],
            item["certificate"] or "",
        ]
        for item in found
    ]
    print_table(["recording", "status", "lawful from", "waits because", "certificate"], rows)
