"""A TCP proxy on loopback that does to a connection what networks do, in front of S3, PostgreSQL and providers alike.

    async with proxy("127.0.0.1", 5432) as p:
        rule = p.add(DropReply(request=rb"COMMIT"), times=1)
        ...                                  # the product uses p.url_for(url)
        assert rule.fired == 1

Faults are in tests.testbed.faults. Every fault counts the connections that it touched, so that a campaign sees whether it was
injected at all. TLS passes unseen.
"""

import asyncio
import collections
import contextlib
import socket
import urllib.parse
from collections.abc import AsyncIterator, Callable, Collection

from tests.testbed.faults import End, Fault
from tests.testbed.link import PIECE, Link
from tests.testbed.rules import Flow, Rule, Rules

# A sender must feel a slow way out. Left alone, the kernel would swallow 6 MB first.
_TURNS = 5  # of the loop
_RECEIVE_BUFFER = 256 * 1024


class Proxy:
    """Listens, and knows its connections; made by `proxy()`."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._rules = Rules()
        self._listener: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], Link] = {}
        self._broken: list[Exception] = []
        self.host = "127.0.0.1"
        self.port = 0
        self.connections = 0  # accepted since the start

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._links)

    @property
    def fired(self) -> collections.Counter[str]:
        """How many connections each kind of fault has touched, by rules removed since too: `{"Cut": 3}`."""
        return self._rules.fired()

    def url_for(self, url: str) -> str:
        """Return `url` with this proxy in the place of its host and port."""
        parts = urllib.parse.urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{user}{'@' if user else ''}{self.host}:{self.port}").geturl()

    def add(
        self,
        fault: Fault,
        *,
        nth: int | Collection[int] | None = None,
        when: Callable[[Flow], bool] | None = None,
        times: int | None = None,
    ) -> Rule[Fault]:
        """Inject `fault` from now on, into open connections too.

        `nth`: the connections by number, from 1 in the order of arrival. `when`: asked for every piece until the fault has
        fired. `times`: how many connections at most.
        """
        rule = Rule(fault=fault, nth={nth} if isinstance(nth, int) else nth, when=when, times=times)
        self._rules.add(rule)
        return rule

    def remove(self, rule: Rule[Fault]) -> None:
        """Inject it no longer; what it held back passes now."""
        self._rules.remove(rule)

    def clear(self) -> None:
        """Be an ordinary proxy again."""
        self._rules.clear()

    def cut_all(self, end: End = End.RST) -> int:
        """End every open connection now; return how many there were."""
        for link in self._links.values():
            link.cut(end)
        return len(self._links)

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Refuse new connections (ECONNREFUSED) for the length of the block; open ones go on."""
        self._stop_listening()
        with self._socket():  # bound and not listening: the kernel refuses, and nobody else gets the port
            yield
        await self._listen()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, sock=self._socket(), limit=PIECE)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()  # wait_closed() would wait for the connections too, from Python 3.12 on
            self._listener = None

    def _socket(self) -> socket.socket:
        new = socket.socket()
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        new.bind((self.host, self.port))
        self.port = new.getsockname()[1]
        return new

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        link = self._links[task] = Link(Flow(number=self.connections), self._rules, (reader, writer))
        # Swallowed: asyncio logs a handler that ends cancelled as an error, and here the cancelling is ours.
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await link.run(*self._upstream)
            except Exception as error:  # noqa: BLE001 - a predicate that raised must fail the test, not a log line
                self._broken.append(error)
        del self._links[task]

    async def _end(self) -> None:
        self._stop_listening()
        self._rules.clear()
        for _ in range(_TURNS):  # what the kernel had accepted already becomes a connection only now, and closing takes a turn
            tasks = list(self._links)
            self.cut_all()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)
        if self._broken:
            raise ExceptionGroup("connections that the proxy itself broke", self._broken)


@contextlib.asynccontextmanager
async def proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    """Listen on an ephemeral port of 127.0.0.1 and forward to `host`:`port`, faithfully until a rule is added."""
    it = Proxy(host, port)
    await it._listen()
    try:
        yield it
    finally:
        await it._end()
