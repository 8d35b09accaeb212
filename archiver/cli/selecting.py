"""The selector options that several commands share (contract.md, Documents)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from archiver.catalog.selector import Selector
from archiver.cli.parameters import INSTANT
from archiver.config import format_instant
from archiver.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = (
    click.option("--id", "ids", multiple=True, metavar="ID", help="source/recording_id, or a recording_id; may be repeated."),
    click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated."),
    click.option("--room", default="", metavar="ID|GLOB", help="The provider's id of the room, or a shell glob on its name."),
    click.option("--participant", default="", metavar="ID|GLOB", help="The same for the participant."),
    click.option("--since", type=INSTANT, metavar="D", help="Ended at this instant or later."),
    click.option("--until", type=INSTANT, metavar="D", help="Ended before this instant."),
)
NAMES = ("ids", "sources", "room", "participant", "since", "until")


def selector_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options of a selector; the command receives them by NAMES."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def selector_of(given: dict[str, Any], *, required: bool = True) -> Selector:
    """Takes the selector's options out of a command's arguments.

    Raises UsageError for a period that ends before it begins and, where `required`, for one that selects everything.
    """
    chosen = Selector(**{name: given.pop(name) for name in NAMES})
    if chosen.since is not None and chosen.until is not None and chosen.until <= chosen.since:
        raise UsageError(f"--until {format_instant(chosen.until)} is not after --since {format_instant(chosen.since)}")
    if required and chosen == Selector():
        raise UsageError(
            "nothing is selected", hint="name recordings with --id, --source, --room, --participant, --since, --until"
        )
    return chosen
