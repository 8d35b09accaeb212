"""The server's side of a connection: how many there may be, and answers to what is not even HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from archiver.web.headers import armoured

if TYPE_CHECKING:
    import asyncio

log = structlog.get_logger(__name__)

MOST = 256  # connections at once; more than dashboards need, and far below the descriptors that transfers want
IDLE = 30.0  # seconds without a complete request head: idle browsers, and whoever sends a byte now and then
LINGER = 1.0  # seconds that an unread body is read on for, so that the answer is not lost in a reset


class Connection(web.RequestHandler):
    """aiohttp's protocol with our own words, and our headers, where the parser refuses a request."""

    __slots__ = ("_door",)

    def __init__(self, door: Door, *, loop: asyncio.AbstractEventLoop) -> None:
        # Nothing is unpacked: bodies that say they are packed are refused, and one byte must not become a thousand meanwhile.
        super().__init__(
            door,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=IDLE,
            lingering_time=LINGER,
            auto_decompress=False,
        )
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or drops it where there are too many."""
        if len(self._door.connections) >= MOST:
            self._door.refuses()
            transport.abort()  # type: ignore[attr-defined]
            return
        self._door.takes()
        super().connection_made(transport)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answers what the parser refused. aiohttp's own answer repeats the bytes it did not like, without our headers."""
        if status == HTTPStatus.BAD_REQUEST:
            log.info("request_refused", address=request.remote, kind=type(exc).__name__)
        else:
            log.error("request_failed", address=request.remote, exc_info=exc, says=message)
        found = HTTPStatus(status)
        response = web.Response(status=status, text=f"{found.value} {found.phrase}\n", content_type="text/plain")
        response.force_close()
        return armoured(response)


class Door(web.Server):
    """Makes a Connection for every client."""

    _full = False

    def refuses(self) -> None:
        """Tells that there are too many connections: once, and again after there was room."""
        if not self._full:
            log.warning("connections_refused", open=MOST)
        self._full = True

    def takes(self) -> None:
        """Notes that there is room."""
        self._full = False

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop)
