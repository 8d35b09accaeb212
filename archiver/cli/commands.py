"""Which file holds which command; it is imported when the command is asked for: all of them together take most of a second."""

from __future__ import annotations

import gc
import importlib

import click

PLACES = {
    "run": "run:run",
    "sync": "sync:sync",
    "backfill": "sync:backfill",
    "status": "query:status",
    "list": "query:listing",
    "show": "query:show",
    "explain": "explain:explain",
    "retry": "operate:retry",
    "verify": "fixity:verify",
    "repair": "fixity:repair",
    "doctor": "doctor:doctor",
    "config": "config:config",
    "catalog": "operate:catalog",
    "attest": "attest:attest",
    "evidence": "evidence:evidence",
    "ledger": "ledger:ledger",
    "retention": "retention:retention",
    "hold": "hold:hold",
    "erase": "erase:erase",
    "demo": "demo:demo",
    "simulate": "demo:simulate",
}
MEMBERS = {"catalog": ("export:export", "ledger:rebuild")}  # of groups, beyond those in the group's own file


class Commands(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return sorted(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        if cmd_name not in PLACES:
            return None
        if cmd_name not in self.commands:
            found = _imported(PLACES[cmd_name])
            for place in MEMBERS.get(cmd_name, ()):
                if isinstance(found, click.Group):
                    found.add_command(_imported(place))
            self.commands[cmd_name] = found
            gc.freeze()  # what is imported now stays to the end; a collector would walk through it again and again
            gc.enable()
        return self.commands[cmd_name]


def _imported(place: str) -> click.Command:
    module, _, name = place.partition(":")
    found: click.Command = getattr(importlib.import_module(f"archiver.cli.{module}"), name)
    return found
