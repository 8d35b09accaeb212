"""`run`: the daemon with its web page."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click
import structlog

from archiver.app import VERSION, open_app
from archiver.cli import exits
from archiver.cli.running import Stop, run_command
from archiver.daemon import Daemon
from archiver.web import Hooks, View, serve

if TYPE_CHECKING:
    from archiver.app import App
    from archiver.cli.context import Invocation

log = structlog.get_logger()


@click.command("run")
@click.pass_obj
def run(invocation: Invocation) -> None:
    """Poll, transfer, verify and serve the web page until SIGTERM or SIGINT; drains within 30 s."""
    settings = invocation.settings()

    async def main(stop: Stop) -> int:
        async with open_app(settings, command="run") as app:
            await run_daemon(app, stop)
        return exits.DONE

    click.get_current_context().exit(run_command(main))


async def run_daemon(app: App, stop: Stop) -> None:
    """The daemon over an opened App, with the web page beside it unless `web.listen` is empty."""
    daemon = Daemon(app, stop)
    web = app.settings.web
    async with AsyncExitStack() as stack:
        if web.listen:
            view = View(
                database=app.database,
                sources=app.settings.sources,
                metrics=app.metrics,
                clock=app.clock,
                problems=daemon.problems,
                full_key=app.storage.full_key,
                version=VERSION,
                users=web.users,
                tokens=web.tokens,
                public_url=web.public_url,
                hooks=Hooks(sources=app.settings.sources, note=daemon.hints.note),
            )
            server = await stack.enter_async_context(serve(view, host=web.host, port=web.port))
            log.info("listening", url=server.url)
        await daemon.run()
