"""`retry` and `catalog upgrade|check`: what an operator does to the catalog."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from typing import TYPE_CHECKING, Any

import click

from archiver.catalog import consistency, operator, schema, tallies
from archiver.cli import exits
from archiver.cli.query import open_catalog
from archiver.cli.tables import print_table, say, say_json
from archiver.domain.errors import UsageError

if TYPE_CHECKING:
    from archiver.catalog.database import Tx
    from archiver.cli.context import Invocation

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def actor() -> str:
    """Who the history names for what an operator does here."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's numeric user has no name
        user = f"uid {os.getuid()}"
    return f"operator:{user}@{socket.gethostname()}"


@click.command("retry")
@click.argument("recordings", metavar="ID", nargs=-1)
@click.option("--all-failed", is_flag=True, help="Every rendition whose attempts are used up.")
@_as_json
@click.pass_obj
def retry(invocation: Invocation, *, recordings: tuple[str, ...], all_failed: bool, as_json: bool) -> None:
    """Put failed recordings back into the queue, with all their attempts before them.

    Named ones may also be unavailable or lost: the provider is then asked again.
    """
    if bool(recordings) == all_failed:
        raise UsageError("retry takes either IDs or --all-failed", hint="archiver list --state failed names them")
    settings = invocation.settings(need_sources=False)

    async def act(tx: Tx) -> int:
        return await operator.retry_all_failed(tx, actor()) if all_failed else await operator.retry(tx, actor(), recordings)

    async def main() -> int:
        async with open_catalog(settings) as database:
            return await database.write(act)

    count = asyncio.run(main())
    if as_json:
        say_json({"schema": "archiver.retry/1", "retried": count})
    else:
        say("1 rendition is due again" if count == 1 else f"{count:,} renditions are due again")


@click.group("catalog")
def catalog() -> None:
    """Bring the catalog up to date, and check it."""


@catalog.command("upgrade")
@_as_json
@click.pass_obj
def upgrade(invocation: Invocation, *, as_json: bool) -> None:
    """Bring the catalog's schema to what the program needs, make anew what it keeps twice; one process at a time, others wait."""
    settings = invocation.settings(need_sources=False)

    async def main() -> schema.SchemaState:
        before = await schema.ready(settings.catalog.url.reveal(), upgrade=True)
        async with open_catalog(settings) as database:
            await database.write(lambda tx: tallies.recount(tx.conn))
        return before

    before = asyncio.run(main())
    if as_json:
        say_json({"schema": "archiver.upgrade/1", "was": before.found, "now": before.head})
    elif before.current:
        say(f"the catalog is up to date: schema {before.head}")
    else:
        say(f"the catalog was upgraded: schema {before.head}, was {before.found or 'empty'}")


@catalog.command("check")
@_as_json
@click.pass_context
def check(context: click.Context, *, as_json: bool) -> None:
    """Hold the catalog to its own laws; reads all of it. Exit code 4 names what breaks them."""
    invocation: Invocation = context.obj
    settings = invocation.settings(need_sources=False)

    async def main() -> dict[str, Any]:
        async with open_catalog(settings) as database:
            state = await asyncio.to_thread(schema.state_now, settings.catalog.url.reveal())
            now = await database.now()
            async with database.read() as conn:
                return await consistency.check(conn, now, revision=state.head)

    found = asyncio.run(main())
    if as_json:
        say_json(found)
    else:
        counted = ", ".join(f"{count:,} {name}" for name, count in found["rows"].items())
        say(f"schema {found['revision']}: {counted}")
        if found["problems"]:
            rows = [[problem["law"], problem["thing"], problem["says"]] for problem in found["problems"]]
            print_table(["law", "thing", "what is wrong"], rows)
        say("the catalog agrees with itself" if found["ok"] else f"{len(found['problems'])} problems")
    context.exit(exits.DONE if found["ok"] else exits.INTEGRITY)
