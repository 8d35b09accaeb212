"""`catalog export`: the catalog as a table that spreadsheets and other programs read."""

from __future__ import annotations

import asyncio
import csv
import io
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from archiver.catalog import listing as lists
from archiver.cli import parquet
from archiver.cli.query import full_key, open_catalog
from archiver.cli.selecting import selector_of, selector_options
from archiver.cli.tables import counted, say
from archiver.domain.errors import StorageFull, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archiver.catalog.selector import Selector
    from archiver.cli.context import Invocation
    from archiver.config import Settings

PAGE = 500
COLUMNS = (
    *("source", "provider", "recording_id", "rendition", "provider_status", "state", "key", "version_id", "size", "sha256"),
    *("started_at", "ended_at", "first_seen_at", "archived_at", "verified_at", "retain_until", "holds", "attempts", "error"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@click.command("export")
@selector_options
@click.option("-o", "output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Instead of stdout.")
@click.option(
    "--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True, help="Parquet needs pyarrow."
)
@click.pass_obj
def export(invocation: Invocation, /, output: Path | None, form: str, **given: Any) -> None:
    """Write one row a rendition, with the fields of `list --json`; everything, or what the selectors choose.

    In CSV a cell that a spreadsheet would take for a formula gets an apostrophe before it; Parquet keeps texts as they are.
    """
    chosen = selector_of(given, required=False)
    settings = invocation.settings(need_sources=False)
    if form == "parquet":
        if output is None:
            raise UsageError("--format parquet needs -o FILE: what it writes is not text")
        parquet.load()  # before a file is made
    if output is None:
        asyncio.run(write(settings, chosen, csv_rows(sys.stdout)))
        return
    try:
        lines = _to_file(settings, chosen, output, form)
    except FileExistsError:
        raise UsageError(f"-o {output} exists already") from None
    except OSError as error:
        raise StorageFull(f"-o {output} cannot be written: {error.strerror}") from None
    say(f"{output}: {counted(lines, 'rendition')}")


def _to_file(settings: Settings, chosen: Selector, output: Path, form: str) -> int:
    """Whole or not at all: half a table looks like a table, and pyarrow ends its file properly whatever happened."""
    with output.open("xb") as raw, ExitStack() as stack:
        stack.callback(output.unlink)
        if form == "parquet":
            with parquet.writing(raw, COLUMNS) as take:
                lines = asyncio.run(write(settings, chosen, take))
        else:
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as text:
                lines = asyncio.run(write(settings, chosen, csv_rows(text)))
        stack.pop_all()
        return lines


def csv_rows(file: IO[str]) -> Callable[[Mapping[str, Any]], None]:
    """Writes the header, and gives what writes one rendition after the other."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    return lambda document: writer.writerow([cell(document[name]) for name in COLUMNS])


async def write(settings: Settings, chosen: Selector, take: Callable[[Mapping[str, Any]], None]) -> int:
    """Hands every rendition to `take`; returns how many. One short transaction a page, so a slow reader holds nothing up."""
    lines = after = 0
    async with open_catalog(settings) as database:
        while True:
            async with database.read() as conn:
                rows = await lists.page(conn, chosen, limit=PAGE, after=after)
            for row in rows:
                take(lists.document(row, full_key(settings.storage)))
            lines += len(rows)
            if len(rows) < PAGE:
                return lines
            after = rows[-1].id


def cell(value: Any) -> str:
    """A value as one harmless cell (CWE-1236); numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, list):
        value = " ".join(str(item) for item in value)
    text = str(value)
    return f"'{text}" if not isinstance(value, int) and text.startswith(_FORMULA) else text
