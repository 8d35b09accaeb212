"""The simulated providers as three loopback servers: Telnyx, Twilio and a media host, each on an origin of its own."""

from __future__ import annotations

import re
import socket
import time
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from aiohttp import web

from archiver.simulator import twilio_lists, wire
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.faults import Faults
from archiver.simulator.limits import Concurrency, Window
from archiver.simulator.media_host import MediaHost
from archiver.simulator.messages import Host, Reply, Request
from archiver.simulator.telnyx_api import TelnyxApi
from archiver.simulator.twilio_api import TwilioApi
from archiver.simulator.wire import Delivery

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from archiver.simulator.world import Credentials, World

_HOSTS: tuple[Host, ...] = get_args(Host)
_SHUTDOWN = 0.1  # seconds a request in flight gets when the servers stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One line of the audit log: a request as it came, and the status that it was meant to get."""

    host: Host
    method: str
    path: str
    target: str
    header_names: frozenset[str]
    authorized: bool  # an Authorization header was there, whatever was in it
    status: int


class Simulation:
    """Running servers; `audit` holds every request, `faults` and `behaviour` may be changed at any time."""

    def __init__(
        self, world: World, faults: Faults, behaviour: Behaviour, urls: Mapping[Host, str], remember: int | None
    ) -> None:
        self.world = world
        self.faults = faults
        self.behaviour = behaviour
        self.audit: deque[Received] = deque(maxlen=remember)
        self.telnyx_url = urls["telnyx"]
        self.twilio_url = urls["twilio"]
        self.media_url = urls["media"]
        self.media_host = MediaHost(world)
        self.concurrency = Concurrency(behaviour)
        self._window = Window(behaviour)
        self._telnyx = TelnyxApi(world, behaviour, self.media_url)
        self._twilio = TwilioApi(world, behaviour, self.media_url)

    @property
    def credentials(self) -> Credentials:
        return self.world.credentials

    def requests(self, *, host: Host | None = None, method: str | None = None, path: str = "") -> list[Received]:
        """The requests so far, narrowed by host, method and a regular expression that the path contains."""
        return [
            line
            for line in self.audit
            if host in {None, line.host} and method in {None, line.method} and re.search(path, line.path) is not None
        ]

    def answer(self, request: Request) -> Reply:
        """The honest reply."""
        if request.host == "telnyx":
            return self._telnyx.answer(request)
        return self._twilio.answer(request) if request.host == "twilio" else self.media_host.answer(request)

    async def handle(self, host: Host, raw: web.BaseRequest) -> web.StreamResponse:
        """One request from the wire and back."""
        started = time.monotonic()
        request = Request(
            host=host,
            method=raw.method,
            path=raw.path,
            query=tuple(raw.rel_url.query.items()),
            headers={name.lower(): value for name, value in raw.headers.items()},
            body=await raw.read(),
            base_url=f"{raw.scheme}://{raw.host}",
            target=raw.raw_path,
        )
        within = self.concurrency.enter() if host == "twilio" else True
        try:
            delivery = self._deliver(request, within=within, started=started)
            self._note(request, delivery)
            return await wire.send(raw, delivery)
        finally:
            if host == "twilio":
                self.concurrency.leave()

    def _deliver(self, request: Request, *, within: bool, started: float) -> Delivery:
        """Limits come before faults: what is refused here was never processed."""
        if request.host == "telnyx":
            within, headers = self._window.take(self.world.now())
            refusal = self._telnyx.error(request, 429)
        else:
            refusal = twilio_lists.error(429, 20429)
            headers = {"Twilio-Concurrent-Requests": str(self.concurrency.now)}
        delivery = self.faults.deliver(request, self.answer, self.world) if within else Delivery(reply=refusal)
        if request.host == "twilio":
            headers["Twilio-Request-Duration"] = f"{time.monotonic() - started:.3f}"
        rate = self.behaviour.media_rate if request.host == "media" else 0
        reply = delivery.reply
        if request.host != "media":
            reply = replace(reply, headers={**headers, **reply.headers})
        return replace(delivery, reply=reply, delay=delivery.delay + self.behaviour.latency, rate=delivery.rate or rate)

    def _note(self, request: Request, delivery: Delivery) -> None:
        self.audit.append(
            Received(
                host=request.host,
                method=request.method,
                path=request.path,
                target=request.target,
                header_names=frozenset(request.headers),
                authorized="authorization" in request.headers,
                status=delivery.reply.status,
            )
        )


@asynccontextmanager
async def serve(
    world: World,
    *,
    faults: Faults | None = None,
    behaviour: Behaviour | None = None,
    ports: tuple[int, int, int] = (0, 0, 0),
    ssl_context: ssl.SSLContext | None = None,
    remember: int | None = None,
) -> AsyncIterator[Simulation]:
    """Serves a world on 127.0.0.1 until the block ends; `ports` are Telnyx', Twilio's and the media host's, 0 for any free one.

    `remember` bounds the audit log, for long runs. Raises OSError when a port is taken.
    """
    scheme = "http" if ssl_context is None else "https"
    async with AsyncExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=1024)) for port in ports]
        urls = {host: f"{scheme}://127.0.0.1:{sock.getsockname()[1]}" for host, sock in zip(_HOSTS, sockets, strict=True)}
        simulation = Simulation(world, faults or Faults(), behaviour or Behaviour(), urls, remember)
        for host, sock in zip(_HOSTS, sockets, strict=True):
            await _start(stack, simulation, host, sock, ssl_context)
        yield simulation


async def _start(
    stack: AsyncExitStack, simulation: Simulation, host: Host, sock: socket.socket, context: ssl.SSLContext | None
) -> None:
    async def handler(raw: web.BaseRequest) -> web.StreamResponse:
        return await simulation.handle(host, raw)

    # Cancelled when the client goes: else a request left hanging would hang for ever.
    server = web.Server(handler, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, sock, ssl_context=context, backlog=1024).start()
