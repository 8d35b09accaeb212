"""Opens the port, and closes it again."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archiver.config.addresses import is_loopback
from archiver.domain.errors import ConfigurationError
from archiver.web import hosts
from archiver.web.access import Access
from archiver.web.api import Api
from archiver.web.archive import Archive
from archiver.web.connection import Door
from archiver.web.front import Front
from archiver.web.machines import Machines
from archiver.web.pages import Pages
from archiver.web.patience import Patience
from archiver.web.routes import TELLING, Route
from archiver.web.static_files import StaticFiles
from archiver.web.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from archiver.web.view import View

GOODBYE = 2.0  # seconds that answers under way get when the server stops


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServer:
    """A server that listens. `url` is where to look at it, without a slash at its end."""

    url: str
    port: int
    routes: tuple[Route, ...]


@contextlib.asynccontextmanager
async def serve(view: View, *, host: str, port: int) -> AsyncIterator[WebServer]:
    """Serves the pages on host and port (0: any free one) for the length of the block.

    Raises ConfigurationError where the address cannot be bound or a configured password hash cannot be used.
    """
    local = is_loopback(host)
    access = Access(users=view.users, tokens=view.tokens, local=local, clock=view.clock)
    patience = Patience()
    archive = Archive(view, patience)
    files = StaticFiles()
    machines = Machines(view, archive, patience)
    pages = Pages(view, archive, machines, files)
    hooks = Webhooks(view.hooks, public_url=view.public_url, clock=view.clock)
    routes = _routes(machines, Api(archive, machines), pages, files, hooks)
    ours = hosts.names(listen=host, public_url=view.public_url)
    door = Door(Front(routes=routes, pages=pages, access=access, ours=ours, local=local, clock=view.clock))
    try:
        listening = await asyncio.get_running_loop().create_server(door, host, port)
    except OSError as error:
        problem = f"web.listen: {host}:{port} cannot be listened on: {error.strerror or error}"
        raise ConfigurationError((f"{problem}; hint: choose another address, or end the program that has it",)) from None
    try:
        bound = int(listening.sockets[0].getsockname()[1])
        yield WebServer(url=f"http://{_shown(host)}:{bound}", port=bound, routes=routes)
    finally:
        listening.close()
        door.pre_shutdown()
        await door.shutdown(GOODBYE)
        await patience.aclose()
        await listening.wait_closed()


def _routes(machines: Machines, api: Api, pages: Pages, files: StaticFiles, hooks: Webhooks) -> tuple[Route, ...]:
    """Every address there is."""
    return (
        Route(pattern="/livez", answer=machines.livez, for_machines=True),
        Route(pattern="/readyz", answer=machines.readyz, for_machines=True),
        Route(pattern="/metrics", answer=machines.metrics, for_machines=True),
        Route(pattern="/", answer=pages.overview),
        Route(pattern="/recordings", answer=pages.recordings),
        Route(pattern="/recordings/{source}/{id}", answer=pages.recording),
        Route(pattern="/api/v1/status", answer=api.status),
        Route(pattern="/api/v1/recordings", answer=api.recordings),
        Route(pattern="/api/v1/recordings/{id...}", answer=api.recording),
        Route(pattern="/static/{file}", answer=files.answer),
        Route(pattern="/webhooks/telnyx", answer=hooks.telnyx, signed=True, methods=TELLING),
        Route(pattern="/webhooks/twilio", answer=hooks.twilio, signed=True, methods=TELLING),
    )


def _shown(host: str) -> str:
    """An address that a browser on this machine can use; one that stands for all of them is none."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 -- named, not bound
    return f"[{reachable}]" if ":" in reachable else reachable
