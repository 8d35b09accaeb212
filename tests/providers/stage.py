"""A clock that jumps, servers on loopback that answer as told, and resolvers that lie: what the provider tests stand on."""

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web
from aiohttp.abc import AbstractResolver

from archiver.domain.recording import RecordingRef
from archiver.domain.windows import Window
from archiver.providers.http import Api, route
from archiver.providers.media import MediaClient
from archiver.providers.settings import Credentials, SourceOptions
from archiver.providers.telnyx import describe_error

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ROOM_UUID = "6b61621f-62e0-4aad-ab11-9fd19e272e73"
RT = "RT" + "a" * 32
CANARY = "CANARY7e1f"  # in every secret of these tests, and in nothing else
API_KEY = f"KEY{CANARY}bearer"
PASSWORD = f"{CANARY}password"
SIGNATURE = f"X-Amz-Signature={CANARY}signature"
KNOWN = {"amazonaws.com": "", "telnyx.com": "", "twilio.com": ""}
WINDOW = Window(first=(NOON - timedelta(days=2)).date(), last=(NOON + timedelta(days=1)).date())


class Clock:
    """Time that passes only by sleeping, and by `ticks` seconds with every look at the monotonic clock."""

    def __init__(self, now=NOON, *, chance=0.5):
        self._now = now
        self._monotonic = 1000.0
        self._chance = chance
        self.ticks = 0.0
        self.slept = []

    def now(self):
        return self._now

    def monotonic(self):
        self._pass(self.ticks)
        return self._monotonic

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self._pass(seconds)
        await asyncio.sleep(0)

    def chance(self):
        return self._chance

    def token(self):
        return "0" * 32

    def _pass(self, seconds):
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)


@dataclass
class Server:
    """A server that answers with what `answer` returns; `seen` holds every request, `connections` counts them."""

    url: str = ""
    seen: list = field(default_factory=list)
    answer: object = None

    @property
    def host(self):
        return self.url.partition("://")[2]

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def headers(self):
        return [dict(request.headers) for request in self.seen]


@contextlib.asynccontextmanager
async def serving(answer, *, ssl_context=None):
    """`answer(request)` returns a response, or a coroutine of one."""
    server = Server(answer=answer)

    async def handler(request):
        server.seen.append(request)
        found = server.answer(request)
        return await found if asyncio.iscoroutine(found) else found

    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, sock, ssl_context=ssl_context).start()
    server.url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{sock.getsockname()[1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def replies(*answers):
    """Each answer once, the last one for ever: a status, or a status with a body or headers."""
    left = list(answers)

    def answer(_):
        found = left.pop(0) if len(left) > 1 else left[0]
        status, body, headers = (*(found if isinstance(found, tuple) else (found,)), None, None)[:3]
        return web.Response(status=status, text=json.dumps({"ok": True} if body is None else body), headers=headers)

    return answer


@contextlib.asynccontextmanager
async def sending(*pieces, hold=False):
    """A server that writes these bytes whatever was asked, and closes, or with `hold` waits for the client to go."""

    async def talk(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if hold:
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield Server(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()
        await server.wait_closed()


@dataclass
class Sink:
    """Counts connections; nobody ought to come."""

    port: int = 0
    connections: int = 0


@contextlib.asynccontextmanager
async def sink():
    found = Sink()

    async def talk(reader, writer):
        found.connections += 1
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


class Resolver(AbstractResolver):
    """Answers with the next of some addresses, the last one for ever; `port` is where a connection really goes."""

    def __init__(self, *addresses, port=None):
        self.addresses = list(addresses)
        self.port = port
        self.asked = []

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked.append(host)
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        known = socket.AF_INET6 if ":" in address else socket.AF_INET
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [{"hostname": host, "host": address, "port": self.port or port, "family": known, "proto": 0, "flags": flags}]

    async def close(self):
        pass


def options(base_url="", **changes):
    credentials = Credentials(api_key=API_KEY, account_sid="AC" + "1" * 32, username="SK" + "2" * 32, password=PASSWORD)
    return SourceOptions(**{"name": "src", "base_url": base_url, "credentials": credentials, "min_rate": 0.0, **changes})


TABLE = (
    route("list", "GET", "/v2/things"),
    route("thing", "GET", "/v2/things/[0-9]+"),
    route("delete", "DELETE", "/v2/things/[0-9]+"),
)


@contextlib.asynccontextmanager
async def an_api(base_url, clock=None, *, resolver=None, **changes):
    """An Api over a small table of routes; `observed` gathers what it reports."""
    observed = []
    api = Api(
        options(base_url, **changes),
        default_url="https://api.example.com",
        routes=TABLE,
        authorization=f"Bearer {API_KEY}",
        describe=describe_error,
        clock=clock or Clock(),
        observe=lambda endpoint, code: observed.append((endpoint, code)),
        resolver=resolver,
    )
    api.observed = observed
    try:
        yield api
    finally:
        await api.aclose()


@contextlib.asynccontextmanager
async def a_media_client(*hosts, clock=None, resolver=None, **changes):
    client = MediaClient(options(media_hosts=hosts, **changes), hosts=KNOWN, clock=clock or Clock(), resolver=resolver)
    try:
        yield client
    finally:
        await client.aclose()


async def fetched(client, link, resume=None):
    """The media behind a link and all its bytes."""
    opened = await client.open(link, resume)
    try:
        return opened.media, b"".join([chunk async for chunk in opened.media.chunks])
    finally:
        await opened.aclose()


async def until(condition):
    """Lets the loop turn until something is so."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to be so")


async def collected(pages):
    return [page async for page in pages]


def ref(recording_id, source="src"):
    return RecordingRef(source=source, recording_id=recording_id)


def texts_of(error):
    """Everything that a log or a crash report could show of an error: texts, reprs, causes, contexts, traceback lines."""
    import traceback

    found, seen, todo = [], set(), [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        found += [str(each), repr(each), repr(each.args), *traceback.format_exception(each)]
        todo += [each.__cause__, each.__context__]
    return "\n".join(found)
