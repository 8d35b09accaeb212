"""Results for people: tables on a terminal, tab-separated lines everywhere else; text of strangers made harmless."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

WIDEST = 10_000  # characters
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def on_terminal() -> bool:
    """Whether somebody is looking."""
    return sys.stdout.isatty()


def say(text: str = "") -> None:
    """Prints a line; text of strangers in it has been through `visible`.

    A reader that has seen enough (`| head`) ends the command quietly, with exit code 0.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # a character that the locale does not have must not end the command
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its end
        raise click.exceptions.Exit(0) from None


def say_json(document: Any) -> None:
    """Prints a document on one line, in ASCII, so that every pipe and locale can carry it."""
    say(json.dumps(document))


def counted(number: int, thing: str) -> str:
    """`1 recording`, `2,000 recordings`: a number with what it counts."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def visible(text: object) -> str:
    """The text on one line with everything that does not print escaped: a terminal obeys control characters (CWE-150)."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = ()) -> None:
    """Prints rows under headers, those named in `right` aligned to the right."""
    cells = [[visible(cell) for cell in row] for row in rows]
    if not on_terminal():
        for row in ([*headers], *cells):
            say("\t".join(row))
        return
    from rich.console import Console  # noqa: PLC0415 -- a twentieth of a start, of those that end in a pipe or a log
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    # As wide as it has to be: an id that was cut or folded cannot be copied. Terminals wrap by themselves.
    Console(width=WIDEST).print(table, crop=False)


def rounded_size(size: int | None) -> str:
    """A size as people say it: `1.4 MiB`; empty for one that is not known."""
    if size is None:
        return ""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_UNITS[unit]}"


def rounded_duration(seconds: float | None) -> str:
    """A duration as people say it: `45 s`, `12 min`, `5.2 h`, `9 d`; a dash for one that is not known."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def to_the_second(instant: str | None) -> str:
    """An instant of a document without its fraction; a dash for none."""
    return "-" if instant is None else instant[:19] + "Z"
