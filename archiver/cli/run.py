"""`run`: the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from archiver.app import open_app
from archiver.cli import exits
from archiver.cli.running import Stop, run_command
from archiver.daemon import Daemon

if TYPE_CHECKING:
    from archiver.cli.context import Invocation


@click.command("run")
@click.pass_obj
def run(invocation: Invocation) -> None:
    """Poll, transfer, verify and serve the web page until SIGTERM or SIGINT; drains within 30 s."""
    settings = invocation.settings()

    async def main(stop: Stop) -> int:
        async with open_app(settings, command="run") as app:
            await Daemon(app, stop).run()
        return exits.DONE

    click.get_current_context().exit(run_command(main))
