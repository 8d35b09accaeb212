"""How a reply leaves: politely through aiohttp, or by hand on the transport where a fault needs what aiohttp would not do."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http
import socket
import struct
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aiohttp import web
from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from archiver.simulator.messages import Reply

_PAUSE = 0.001
_FULL_BUFFER = 2**20
_FLUSH_TRIES = 2000
_TICKS_PER_SECOND = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A reply and the way it is sent; the defaults are a proper answer on a connection that stays open.

    Byte counts are of the body. `stop_after` cuts the body there; `hang_after` sends so much and then nothing, for ever (-1: not
    even the head); `announce` is the Content-Length that is claimed. `framing` "eof" announces no length and closes at the end,
    "http10" does so in an HTTP/1.0 answer, "chunked" sends chunks. `ending` says how: "whole" ends as the framing wants it, "fin"
    and "rst" end the connection where the body stopped; `headless` ends it before a single byte.
    """

    reply: Reply
    delay: float = 0.0
    rate: int = 0  # bytes a second, 0: as fast as it goes
    framing: Literal["length", "chunked", "eof", "http10"] = "length"
    announce: int | None = None
    stop_after: int | None = None
    hang_after: int | None = None
    ending: Literal["whole", "fin", "rst"] = "whole"
    headless: bool = False
    head_lines: tuple[str, ...] = ()  # raw header lines besides; with framing "eof" they are free to lie about the length

    @property
    def is_polite(self) -> bool:
        """Whether aiohttp itself can send it."""
        odd = self.announce is not None or self.stop_after is not None or self.hang_after is not None
        return self.framing == "length" and self.ending == "whole" and not (odd or self.head_lines)


class _Sent(web.StreamResponse):
    """Tells aiohttp that the answer is out already and the connection is over."""

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002 -- aiohttp's signature
        raise ConnectionResetError("answered on the transport")


async def send(request: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
    """Sends a delivery; what it returns goes back to aiohttp."""
    if delivery.delay:
        await asyncio.sleep(delivery.delay)
    if delivery.is_polite:
        return await _send_politely(request, delivery)
    with contextlib.suppress(ConnectionError):  # the client went first
        await _send_raw(request, delivery)
    return _Sent()


async def _send_politely(request: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
    reply = delivery.reply
    headers = CIMultiDict(reply.headers)
    if isinstance(reply.body, bytes) and not delivery.rate:
        return web.Response(status=reply.status, headers=headers, body=reply.body)
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.content_length = len(reply.body)
    await response.prepare(request)
    for chunk in reply.chunks():
        for piece, pause in _paced(chunk, delivery.rate):
            await response.write(piece)
            await asyncio.sleep(pause)
    await response.write_eof()
    return response


def _paced(chunk: bytes, rate: int) -> Iterator[tuple[bytes, float]]:
    """The chunk in pieces, each with the seconds to wait after it."""
    if not rate:
        yield chunk, 0.0
        return
    size = max(1, rate // _TICKS_PER_SECOND)
    for start in range(0, len(chunk), size):
        piece = chunk[start : start + size]
        yield piece, len(piece) / rate


async def _send_raw(request: web.BaseRequest, delivery: Delivery) -> None:
    transport = request.transport
    if transport is None:
        return
    if delivery.hang_after == -1:
        await asyncio.Event().wait()
    if not delivery.headless:
        await _write_body(transport, delivery)
    if delivery.ending == "rst":
        await _reset(transport)
    else:
        transport.close()


async def _write_body(transport: asyncio.Transport, delivery: Delivery) -> None:
    """Head and body as far as the delivery goes, framed as it says."""
    transport.write(_head(delivery))
    chunked = delivery.framing == "chunked"
    bounds = [bound for bound in (delivery.stop_after, delivery.hang_after) if bound is not None]
    left = min(len(delivery.reply.body), *bounds) if bounds else len(delivery.reply.body)
    for chunk in delivery.reply.chunks():
        for piece, pause in _paced(chunk[:left], delivery.rate):
            if piece:
                await _write(transport, b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            left -= len(piece)
            await asyncio.sleep(pause)
        if not left:
            break
    if delivery.hang_after is not None:
        await asyncio.Event().wait()
    if chunked and delivery.ending == "whole":
        transport.write(b"0\r\n\r\n")


def _head(delivery: Delivery) -> bytes:
    reply = delivery.reply
    version = "1.0" if delivery.framing == "http10" else "1.1"
    lines = [f"HTTP/{version} {reply.status} {http.HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if delivery.framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    elif delivery.framing == "length":
        lines.append(f"Content-Length: {len(reply.body) if delivery.announce is None else delivery.announce}")
    return "\r\n".join([*lines, *delivery.head_lines, "Connection: close", "", ""]).encode("latin-1")


async def _write(transport: asyncio.Transport, data: bytes) -> None:
    """Writes, and waits while the client does not take it; raises ConnectionResetError when it is gone."""
    transport.write(data)
    while transport.get_write_buffer_size() > _FULL_BUFFER:  # noqa: ASYNC110 -- a transport tells its protocol alone
        await asyncio.sleep(_PAUSE)
    if transport.is_closing():
        raise ConnectionResetError("the client closed")


async def _reset(transport: asyncio.Transport) -> None:
    """Ends with RST, after what was written has arrived: a reset throws away what the kernel still holds."""
    sock = transport.get_extra_info("socket")
    for _ in range(_FLUSH_TRIES):
        waiting = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        if transport.get_write_buffer_size() == 0 and waiting == 0:
            break
        await asyncio.sleep(_PAUSE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
