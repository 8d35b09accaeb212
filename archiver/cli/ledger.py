"""`ledger verify` and `catalog rebuild`: the sealed history held to its chain, and a lost catalog made anew from it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from archiver.app import SystemClock, make_storage, open_database
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import sqlite_path
from archiver.catalog.holder import sole_daemon
from archiver.catalog.leases import this_worker
from archiver.catalog.ledger import SqlHistory
from archiver.catalog.rebuilt import SqlRebuild
from archiver.cli import exits
from archiver.cli.operate import actor
from archiver.cli.query import open_catalog
from archiver.cli.tables import counted, print_table, say, say_json
from archiver.pipeline.audit import Audit, audit
from archiver.pipeline.rebuild import Rebuild, Rebuilt

if TYPE_CHECKING:
    from archiver.cli.context import Invocation
    from archiver.config import Settings

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group("ledger")
def ledger() -> None:
    """The history of every change, sealed into the archive."""


@ledger.command("verify")
@click.option("--head", default="", metavar="SHA256", help="A head noted earlier, which must be in the chain.")
@_as_json
@click.pass_context
def verify(context: click.Context, *, head: str, as_json: bool) -> None:
    """Hold the history to its sealed segments in the archive: any edit, deletion, insertion, exchange or cut up to the last seal.

    Exit code 4 names what was found, and where. Events after the last seal are counted; nothing outside the catalog knows them.
    """
    invocation: Invocation = context.obj
    settings = invocation.settings(need_sources=False)

    async def main() -> Audit:
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(open_catalog(settings))
            storage = make_storage(settings.storage, SystemClock())
            stack.push_async_callback(storage.aclose)
            return await audit(SqlHistory(database), storage, known_head=head.lower())

    found = asyncio.run(main())
    if as_json:
        say_json(_document(found))
    else:
        _say(found)
    context.exit(exits.INTEGRITY if found.problems else exits.DONE)


def _document(found: Audit) -> dict[str, Any]:
    """`archiver.ledger/1` (contract.md, documents)."""
    return {
        "schema": "archiver.ledger/1",
        "ok": not found.problems,
        "segments": found.segments,
        "events": found.events,
        "unsealed": found.unsealed,
        "head": found.head,
        "problems": [asdict(problem) for problem in found.problems],
    }


def _say(found: Audit) -> None:
    if found.problems:
        rows = [[_blank(problem.segment), _blank(problem.line), problem.what] for problem in found.problems]
        print_table(["segment", "line", "what is wrong"], rows)
        say()
    say(f"{counted(found.events, 'event')} in {counted(found.segments, 'segment')}; {found.unsealed:,} not sealed yet")
    say(f"head {found.head or '(nothing is sealed)'}")
    say(f"{len(found.problems):,} problems" if found.problems else "the history is whole: catalog, archive and chain agree")


def _blank(value: int | None) -> str:
    return "-" if value is None else str(value)


# -- catalog rebuild


@click.command("rebuild")
@click.option("--despite-damage", is_flag=True, help="Take what can still be read of a damaged history.")
@_as_json
@click.pass_context
def rebuild(context: click.Context, *, despite_damage: bool, as_json: bool) -> None:
    """Make a lost catalog anew, from the archive alone, in an empty database.

    A catalog with anything in it is refused: move it away first, or let catalog.url name a new one. Restored are recordings,
    renditions, holds, retention, erasures and the whole sealed history; objects that came after the last seal are adopted.
    The next polls find nothing to fetch twice. Exit code 4 where objects are missing or the history was damaged.
    """
    invocation: Invocation = context.obj
    settings = invocation.settings(need_sources=False)
    found = asyncio.run(rebuilt(settings, despite_damage=despite_damage))
    code = exits.INTEGRITY if found.problems else exits.DONE
    if as_json:
        say_json({"schema": "archiver.rebuild/1", "ok": not found.problems, **asdict(found), "exit_code": code})
    else:
        parts = f"{counted(found.segments, 'segment')}, {counted(found.manifests, 'manifest')}"
        say(f"{counted(found.events, 'event')} of {parts}")
        what = f"{counted(found.recordings, 'recording')} with {counted(found.renditions, 'rendition')}"
        say(f"{what}; {counted(found.adopted, 'object')} adopted")
        for text in found.problems:
            click.echo(f"! {text}", err=True)
        say("the catalog was rebuilt; the next sync or run goes on with it")
    context.exit(code)


async def rebuilt(settings: Settings, *, despite_damage: bool) -> Rebuilt:
    """Rebuilds the configured catalog; raises what `Rebuild.run` raises."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        path = sqlite_path(settings.catalog.url.reveal())
        worker = this_worker("rebuild", socket.gethostname(), clock.token())
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(sole_daemon(path, worker.name))
        database = await stack.enter_async_context(open_database(settings, clock, upgrade=True))
        storage = make_storage(settings.storage, clock)
        stack.push_async_callback(storage.aclose)
        run = Rebuild(
            target=SqlRebuild(database, actor(), {item.name: item.provider for item in settings.sources}),
            catalog=SqlCatalog(database, worker),
            storage=storage,
            clock=clock,
            locks=settings.storage.locks,
            despite_damage=despite_damage,
        )
        return await run.run()
