"""Kept connections to one endpoint, one request at a time on each: aiohttp's connection and parser without its client.

aiohttp's client makes a dozen objects for each request, which costs more than all the rest of a small one. Here is only what it
does for us: a pool for one origin, a head, a body in slices, an answer.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from multidict import CIMultiDictProxy

SLICE = 256 * 1024  # bytes handed to the transport at once: it copies what the socket does not take, at most this much
STALL = 60.0  # seconds in which a slice has to leave, or an answer has to show a sign of life
CONNECT = 10.0  # seconds to connect and shake hands
KEPT = 15.0  # seconds that an idle connection is used again; servers close theirs some time later
LOST = (aiohttp.ClientError, HttpProcessingError, OSError)  # what a request that got no answer ends with
_CLOSED = (aiohttp.ServerDisconnectedError, ConnectionError)
_UNSENDABLE = ("\r", "\n", "\0")


@dataclass(frozen=True, slots=True)
class Answer:
    """The status, headers and little body of an answer."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class Lines:
    """Connections to one host and port. `tls` None speaks plain HTTP."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._idle: list[tuple[ResponseHandler, float]] = []
        self._busy: set[ResponseHandler] = set()

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: memoryview,
        *,
        seconds: float,
        most: int,
        patience: float = 0.0,
    ) -> Answer:
        """The answer to one request, read up to `most` bytes, within `seconds`; `patience` of them are for the answer alone.

        Only HEAD and GET are sent a second time, where a kept connection turns out to be closed. Raises one of LOST.
        """
        head = _head(method, target, headers)
        loop = asyncio.get_running_loop()
        line = self._kept(loop.time())
        again = line is not None and method in ("HEAD", "GET")
        while True:
            try:
                async with asyncio.timeout(seconds) as limit:
                    if line is None:
                        line = await self._connect(loop)
                    self._busy.add(line)
                    answer = await _exchange(line, head, body, limit, skip=method == "HEAD", most=most, patience=patience)
            except BaseException as lost:
                if line is not None:
                    self._busy.discard(line)
                    # Not closed in order, which waits for what the peer does not take: the socket would stay open.
                    line.abort()
                    line = None
                if again and isinstance(lost, _CLOSED):
                    again = False
                    continue
                raise
            self._give_back(line, loop.time())
            return answer

    async def aclose(self) -> None:
        """Closes the idle connections, and cuts the others off."""
        for line in [*(line for line, _ in self._idle), *self._busy]:
            line.close()
        self._idle.clear()
        await asyncio.sleep(0)

    def _kept(self, now: float) -> ResponseHandler | None:
        while self._idle:
            line, since = self._idle.pop()
            if line.is_connected() and not line.should_close and now - since < KEPT:
                return line
            line.close()
        return None

    def _give_back(self, line: ResponseHandler, now: float) -> None:
        self._busy.discard(line)
        if line.should_close or not line.is_connected():
            line.close()
            return
        while self._idle and now - self._idle[0][1] >= KEPT:
            self._idle.pop(0)[0].close()
        self._idle.append((line, now))

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> ResponseHandler:
        async with asyncio.timeout(CONNECT):
            _, line = await loop.create_connection(
                functools.partial(ResponseHandler, loop),
                self._host,
                self._port,
                ssl=self._tls,
                happy_eyeballs_delay=0.25,
            )
        return line


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if text.count("\r\n") != len(headers) or text.count("\n") != len(headers) or text.count("\r") != len(headers) or "\0" in text:
        raise ValueError("a header with a line break in it")
    return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode()


async def _exchange(
    line: ResponseHandler, head: bytes, body: memoryview, limit: asyncio.Timeout, *, skip: bool, most: int, patience: float
) -> Answer:
    """Sends a request and reads its answer."""
    line.set_response_params(skip_payload=skip, read_until_eof=True, auto_decompress=False, read_bufsize=most)
    transport = line.transport
    if transport is None:
        raise aiohttp.ServerDisconnectedError
    transport.writelines((head, body[:SLICE]) if body else (head,))
    if len(body) > SLICE:
        await _rest(line, body, limit, patience)
    message, payload = await line.read()
    while 100 <= message.code < 200:
        message, payload = await line.read()
    answer = b""
    while len(answer) < most and (chunk := await payload.readany()):
        answer += chunk
    return Answer(message.code, message.headers, answer)


async def _rest(line: ResponseHandler, body: memoryview, limit: asyncio.Timeout, patience: float) -> None:
    """What follows the first slice; each has to leave before the next is handed on."""
    loop = asyncio.get_running_loop()
    end = limit.when()
    for start in range(SLICE, len(body), SLICE):
        if end is not None:
            limit.reschedule(min(end, loop.time() + STALL))
        await line._drain_helper()  # noqa: SLF001 -- what aiohttp's own writer waits for
        transport = line.transport
        if transport is None:
            break  # the answer, or the reason why there is none, is waiting to be read
        transport.write(body[start : start + SLICE])
    if end is not None:
        limit.reschedule(min(end, loop.time() + STALL + patience))
