"""`status`, `list`, `show`: what the catalog holds. They read, and change nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from archiver.app import SystemClock, open_database
from archiver.catalog import listing as lists
from archiver.catalog import reports
from archiver.catalog.database import sqlite_path
from archiver.catalog.selector import Selector
from archiver.cli.parameters import INSTANT
from archiver.cli.tables import on_terminal, print_table, rounded_duration, rounded_size, say, say_json, to_the_second, visible
from archiver.config import format_instant
from archiver.domain.errors import CatalogUnavailable, UsageError
from archiver.domain.recording import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from datetime import datetime

    from archiver.catalog.database import Database
    from archiver.cli.context import Invocation
    from archiver.config import Settings, StorageSettings

PAGE = 500  # rows read in one transaction, which must not last as long as somebody reads
SCREEN = 100  # rows of a list on a terminal, unless asked for more

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@asynccontextmanager
async def open_catalog(settings: Settings) -> AsyncIterator[Database]:
    """The catalog as it is, not upgraded; raises CatalogUnavailable where there is none, SchemaMismatch."""
    path = sqlite_path(settings.catalog.url.reveal())
    if path is not None and not path.exists():
        raise CatalogUnavailable(
            f"there is no catalog at {path}", hint="archiver sync makes one, and so does archiver catalog upgrade"
        )
    async with open_database(settings, SystemClock(), upgrade=False) as database:
        yield database


def full_key(storage: StorageSettings) -> Callable[[str], str]:
    """How a key of the catalog is called in the archive, without asking the archive."""
    prefix = f"{storage.prefix}/" if storage.prefix else ""
    return lambda key: prefix + key


# -- status


@click.command("status")
@_as_json
@click.pass_obj
def status(invocation: Invocation, *, as_json: bool) -> None:
    """Tell where every source stands: counts by state, freshness, last complete pass, problems."""
    settings = invocation.settings(need_sources=False)

    async def read() -> dict[str, Any]:
        async with open_catalog(settings) as database:
            now = await database.now()
            async with database.read() as conn:
                return await reports.status(conn, now, settings.sources, seal_every=settings.schedule.seal_every)

    found = asyncio.run(read())
    if as_json:
        say_json(found)
    else:
        _say_status(found)


def _say_status(found: Mapping[str, Any]) -> None:
    there = [state for state, count in found["totals"].items() if count]
    rows = [
        [part["name"], *(f"{part['states'].get(state, 0):,}" for state in there), f"{part['failing']:,}"]
        for part in found["sources"]
    ]
    if len(rows) > 1:
        failing = sum(part["failing"] for part in found["sources"])
        rows.append(["all", *(f"{found['totals'][state]:,}" for state in there), f"{failing:,}"])
    print_table(["source", *there, "failing"], rows, right=[*there, "failing"])
    say()
    times = [
        [
            part["name"],
            to_the_second(part["last_complete_pass"]),
            to_the_second(part["covered_since"]),
            rounded_duration(part["oldest_unarchived_seconds"]),
            rounded_duration(part["lateness_p99_seconds"]),
            rounded_duration(part["forecast_seconds"]),
        ]
        for part in found["sources"]
    ]
    print_table(["source", "last complete pass", "covered since", "oldest open", "late p99", "queue empty in"], times)
    say()
    for text in found["problems"]:
        say(f"! {visible(text)}")
    say("ready" if found["ready"] else "not ready: a source has had no complete pass for two of its intervals")


# -- list


@click.command("list")
@click.option("--id", "ids", multiple=True, metavar="ID", help="source/recording_id, or a recording_id; may be repeated.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--state", "states", multiple=True, type=click.Choice([state.value for state in State]), help="May be repeated.")
@click.option("--since", type=INSTANT, metavar="D", help="Ended at this instant or later.")
@click.option("--until", type=INSTANT, metavar="D", help="Ended before this instant.")
@click.option("--room", default="", metavar="ID|GLOB", help="The provider's id of the room, or a shell glob on its name.")
@click.option("--participant", default="", metavar="ID|GLOB", help="The same for the participant.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"At most N; {SCREEN} on a terminal, else all.")
@_as_json
@click.pass_obj
def listing(
    invocation: Invocation,
    *,
    ids: tuple[str, ...],
    sources: tuple[str, ...],
    states: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    room: str,
    participant: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """List renditions, one a line, in the order in which they were first seen (with --since or --until: by source and end)."""
    if since is not None and until is not None and until <= since:
        raise UsageError(f"--until {format_instant(until)} is not after --since {format_instant(since)}")
    settings = invocation.settings(need_sources=False)
    chosen = Selector(ids=ids, sources=sources, states=states, since=since, until=until, room=room, participant=participant)
    shown = limit or (SCREEN if on_terminal() and not as_json else None)
    asyncio.run(_list(settings, chosen, shown, as_json=as_json))


async def _list(settings: Settings, chosen: Selector, limit: int | None, *, as_json: bool) -> None:
    whole = full_key(settings.storage)
    count = 0
    async with open_catalog(settings) as database:
        await _check_sources(database, settings, chosen)
        async for rows in _pages(database, chosen, limit):
            documents = [lists.document(row, whole) for row in rows]
            count += len(rows)
            if as_json:
                for found in documents:
                    say_json({"schema": "archiver.recording/1", **found})
            else:
                _say_rows(documents)
    if limit is not None and count == limit and not as_json and on_terminal():
        say(f"the first {limit:,}; there may be more: --limit N, --json, or a pipe shows them")


async def _pages(database: Database, chosen: Selector, limit: int | None) -> AsyncIterator[list[Any]]:
    """The rows in portions, each read in a transaction of its own."""
    after, left = 0, limit
    while left is None or left > 0:
        wanted = PAGE if left is None else min(PAGE, left)
        async with database.read() as conn:
            rows = await lists.page(conn, chosen, limit=wanted, after=after)
        if rows:
            yield rows
        if len(rows) < wanted:
            return
        after, left = rows[-1].id, None if left is None else left - len(rows)


async def _check_sources(database: Database, settings: Settings, chosen: Selector) -> None:
    """Refuses a source that is neither configured nor in the catalog: a typing mistake must not look like an empty archive."""
    if not chosen.sources:
        return
    async with database.read() as conn:
        known = sorted({item.name for item in settings.sources} | set(await lists.sources_listed(conn)))
    for name in chosen.sources:
        if name not in known:
            raise UsageError(f"--source {name!r}: no such source, accepted: {', '.join(known) or 'none yet'}")


def _say_rows(documents: list[dict[str, Any]]) -> None:
    headers = ["recording", "rendition", "state", "ended", "size", "error" if on_terminal() else "key"]
    rows = [
        [
            f"{found['source']}/{found['recording_id']}",
            found["rendition"],
            found["state"],
            to_the_second(found["ended_at"]),
            rounded_size(found["size"]),
            found["error"] if on_terminal() else found["key"],
        ]
        for found in documents
    ]
    print_table(headers, rows, right=["size"])


# -- show


@click.command("show")
@click.argument("recording", metavar="ID")
@_as_json
@click.pass_obj
def show(invocation: Invocation, *, recording: str, as_json: bool) -> None:
    """Show everything about one recording, with its history. ID: source/recording_id, or the recording_id where one has it."""
    settings = invocation.settings(need_sources=False)

    async def read() -> dict[str, Any]:
        async with open_catalog(settings) as database, database.read() as conn:
            return await lists.show(conn, recording, full_key(settings.storage))

    found = asyncio.run(read())
    if as_json:
        say_json(found)
    else:
        _say_recording(found)


def _say_recording(found: Mapping[str, Any]) -> None:
    say(f"{found['source']}/{visible(found['recording_id'])}  ({found['provider']})")
    facts = {
        "status": f"{found['provider_status']} (the provider's word: {found['provider_status_raw']})",
        "started": _said(found["started_at"]),
        "ended": _said(found["ended_at"]),
        "duration": rounded_duration(found["duration"]) if found["duration"] is not None else None,
        "kind": " ".join(part for part in (found["media_type"], found["codec"], found["container"]) if part),
        "room": " ".join(part for part in (found["room"]["name"], found["room"]["id"]) if part),
        "participant": " ".join(part for part in (found["participant"]["name"], found["participant"]["id"]) if part),
        "lies at": found["external_url"],
        "odd": ", ".join(found["flags"]),
        "first seen": _said(found["first_seen_at"]),
    }
    for name, value in facts.items():
        if value:
            say(f"  {name:<12} {visible(value)}")
    for rendition in found["renditions"]:
        _say_rendition(rendition)
    say()
    headers = ["at", "event", "rendition", "from", "to", "who", "why"]
    lines = [
        [to_the_second(line["at"]), line["event"], line["rendition"], line["from"], line["to"], line["actor"], line["reason"]]
        for line in found["history"]
    ]
    print_table(headers, lines)


def _say_rendition(rendition: Mapping[str, Any]) -> None:
    say(f"\n  {visible(rendition['rendition'])}: {rendition['state']}")
    facts = {
        "key": rendition["key"],
        "version": rendition["version_id"],
        "size": f"{rounded_size(rendition['size'])} ({rendition['size']:,} bytes)" if rendition["size"] is not None else "",
        "sha256": rendition["sha256"],
        "archived": _said(rendition["archived_at"]),
        "verified": _said(rendition["verified_at"]),
        "kept until": _said(rendition["retain_until"]),
        "due": _said(rendition["due_at"]) if rendition["state"] == "due" else "",
        "attempts": rendition["attempts"] or "",
        "error": rendition["error"],
        "earlier": ", ".join(item["key"] for item in rendition["superseded"]),
    }
    for name, value in facts.items():
        if value:
            say(f"    {name:<10} {visible(value)}")


def _said(instant: str | None) -> str:
    return to_the_second(instant) if instant else ""
