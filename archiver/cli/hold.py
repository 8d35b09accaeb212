"""`hold place`, `hold release` and `hold list`: legal hold by case; it beats retention, release and erasure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from archiver.app import App, open_app
from archiver.catalog import holds
from archiver.cli import exits
from archiver.cli.operate import actor
from archiver.cli.query import open_catalog
from archiver.cli.running import Stop, run_command
from archiver.cli.selecting import selector_of, selector_options
from archiver.cli.tables import print_table, say, say_json, to_the_second, visible
from archiver.custody import Custody
from archiver.domain import errors
from archiver.domain.errors import UsageError
from archiver.domain.keeping import AUTHORISED
from archiver.sealing import seal_before_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archiver.catalog.holds import Placed
    from archiver.cli.context import Invocation

_case = click.option("--case", required=True, metavar="C", help="The case; a name that the history keeps.")
_why = click.option("--reason", required=True, metavar="R", help="Why; kept in the history, so name nobody.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
LONGEST = 500  # characters of a case or a reason
LOOK = 0.2  # seconds between looks at deletions that were under way


@click.group("hold")
def hold() -> None:
    """Keep recordings whatever policies say, until the case is over."""


@hold.command("place")
@_case
@_why
@selector_options
@click.option("--future", is_flag=True, help="Hold on arrival whatever matches later.")
@_as_json
@click.pass_obj
def place(invocation: Invocation, /, case: str, reason: str, *, future: bool, as_json: bool, **given: Any) -> None:
    """Hold what the selectors match, all of them together. Exit code 3 where nothing matches."""
    chosen = selector_of(given)
    _check(case, reason)
    settings = invocation.settings(need_sources=False)

    async def main(_stop: Stop) -> int:
        async with open_app(settings, command="hold", providers=False, probe=settings.storage.locks) as app:
            placed = await app.database.write(lambda tx: holds.place(tx, actor(), case, reason, chosen, future=future))
            late = await _settled(app, placed)
            problems = [f"no such recording: {text}" for text in placed.unknown]
            problems += [f"deleted before the hold was in force: {'/'.join(name)}" for name in late]
            code = exits.SOME_FAILED if problems or not (placed.recordings or future) else exits.DONE
            store = await _in_store(app)
            counts = {"matched": placed.recordings, "renditions": placed.renditions, "fresh": placed.fresh}
            says = f"{placed.recordings:,} matched, {placed.renditions:,} renditions held under {visible(case)}"
            return _tell(
                case, counts, store, problems, code, says if placed.recordings or future else "0 matched", as_json=as_json
            )

    click.get_current_context().exit(run_command(main))


def _check(case: str, reason: str) -> None:
    for name, text in (("--case", case), ("--reason", reason)):
        if not text.strip() or not text.isprintable() or len(text) > LONGEST:
            raise UsageError(f"{name} is empty, has control characters, or more than {LONGEST} characters")


async def _settled(app: App, placed: Placed) -> list[tuple[str, str, str]]:
    """Waits for deletions that were authorised before the hold, and gives those that went through: the hold came too late."""
    left = list(placed.deleting)
    until = app.clock.monotonic() + AUTHORISED
    while left and app.clock.monotonic() < until:
        await app.clock.sleep(LOOK)
        async with app.database.read() as conn:
            left = await holds.deleting(conn, left, await app.database.now())
    async with app.database.read() as conn:
        return await holds.deleted(conn, placed.deleting)


@dataclass(frozen=True, slots=True, kw_only=True)
class InStore:
    """How the store's own holds stand behind a command."""

    says: str
    problems: tuple[str, ...] = ()
    code: int = exits.DONE


async def _in_store(app: App) -> InStore:
    """Brings the store's holds in line and seals the history, so that a catalog restored from an older copy is found out.

    The catalog's hold is in force whatever comes of it, and the daemon goes on trying.
    """
    not_sealed = await seal_before_end(app, wait=True)
    found = await _brought(app)
    if not_sealed is None:
        return found
    code = exits.worst([found.code, exits.of_error(not_sealed)])
    return replace(found, problems=(*found.problems, f"the history is not sealed: {not_sealed}"), code=code)


async def _brought(app: App) -> InStore:
    try:
        held = await Custody(app, actor=actor()).holds()
    except errors.StorageError as error:
        return InStore(says="not yet", problems=(f"not in the store yet: {error}",), code=exits.of_error(error))
    if not held.kept:
        return InStore(says="this store keeps no legal holds; the catalog's hold protects from this program only")
    problems = tuple(held.problems)
    foreign = f", {held.foreign} held there by somebody else" if held.foreign else ""
    says = f"{held.set} set, {held.cleared} cleared{foreign}"
    return InStore(says=says, problems=problems, code=exits.SOME_FAILED if problems else exits.DONE)


def _tell(
    case: str, counts: dict[str, Any], store: InStore, problems: Sequence[str], code: int, says: str, *, as_json: bool
) -> int:
    code = exits.worst([code, store.code])
    told = [*problems, *store.problems]
    if as_json:
        rest = {"store": store.says, "problems": told, "exit_code": code}
        say_json({"schema": "archiver.hold/1", "case": case, **counts, **rest})
        return code
    say(says)
    say(f"in the store: {store.says}")
    for text in told:
        say(f"! {visible(text)}")
    return code


@hold.command("release")
@_case
@_why
@_as_json
@click.pass_obj
def release(invocation: Invocation, /, *, case: str, reason: str, as_json: bool) -> None:
    """End a hold. What another case holds too stays held, in the store as well."""
    _check(case, reason)
    settings = invocation.settings(need_sources=False)

    async def main(_stop: Stop) -> int:
        async with open_app(settings, command="hold", providers=False, probe=settings.storage.locks) as app:
            released = await app.database.write(lambda tx: holds.release(tx, actor(), case, reason))
            code = exits.SOME_FAILED if released is None else exits.DONE
            says = f"0 matched: no hold of case {visible(case)} is in force"
            if released is not None:
                says = f"case {visible(case)} released, {released:,} renditions were held"
            return _tell(case, {"renditions": released or 0}, await _in_store(app), [], code, says, as_json=as_json)

    click.get_current_context().exit(run_command(main))


@hold.command("list")
@_as_json
@click.pass_obj
def listing(invocation: Invocation, /, *, as_json: bool) -> None:
    """List every hold there ever was, the newest last; with --json one object a line."""
    settings = invocation.settings(need_sources=False)

    async def read() -> list[dict[str, Any]]:
        async with open_catalog(settings) as database, database.read() as conn:
            return await holds.listing(conn)

    found = asyncio.run(read())
    if as_json:
        for item in found:
            say_json({"schema": "archiver.hold/1", **item})
        return
    rows = [
        [
            item["case"],
            "released" if item["released_at"] else "in force",
            f"{item['matched']:,}",
            to_the_second(item["placed_at"]),
            item["placed_by"],
            to_the_second(item["released_at"]),
            item["reason"],
        ]
        for item in found
    ]
    print_table(["case", "state", "recordings", "placed", "by", "released", "why"], rows, right=["recordings"])
