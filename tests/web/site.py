"""A server over a catalog, and ways to ask it: a client that follows nothing, and raw bytes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp
import yarl
from multidict import CIMultiDict

from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import Database
from archiver.catalog.leases import Worker
from archiver.telemetry import Metrics
from archiver.web import View, WebServer, serve
from tests.web.clock import Clock
from tests.web.seeds import SOURCES, Seeder


async def nothing_wrong() -> list[str]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: CIMultiDict[str]
    text: str


@dataclass(slots=True, kw_only=True)
class Site:
    """`view` is what the server shows; `seeder` brings recordings in."""

    view: View
    server: WebServer
    clock: Clock
    seeder: Seeder
    session: aiohttp.ClientSession

    async def get(self, path: str, *, method: str = "GET", **options) -> Answer:
        """Asks for exactly this path, with no normalisation."""
        url = yarl.URL(self.server.url + path, encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            return Answer(status=response.status, headers=response.headers.copy(), text=await response.text())

    async def json(self, path: str, **options):
        return json.loads((await self.get(path, **options)).text)

    async def raw(self, request: bytes) -> bytes:
        """Sends bytes and returns everything until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            writer.write(request)
            await writer.drain()
            async with asyncio.timeout(5):
                return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def catalog_at(url: str) -> AsyncIterator[tuple[SqlCatalog, Clock]]:
    clock = Clock()
    async with Database(url, clock=clock.now, clock_rules=True) as database:
        yield SqlCatalog(database, Worker(name="me", host="here", pid=1, born=1, command="test")), clock


def view_of(catalog: SqlCatalog, clock: Clock, **changes) -> View:
    view = View(
        database=catalog.database,
        sources=SOURCES,
        metrics=Metrics(version="0.1.0", sources=[source.name for source in SOURCES]),
        clock=clock,
        problems=nothing_wrong,
        full_key=lambda key: f"prefix/{key}",
        version="0.1.0",
    )
    return replace(view, **changes)


@contextlib.asynccontextmanager
async def site_at(url: str, *, host: str = "127.0.0.1", **changes) -> AsyncIterator[Site]:
    """A server over the catalog behind `url`; `changes` are fields of the View."""
    async with catalog_at(url) as (catalog, clock):
        view = view_of(catalog, clock, **changes)
        async with serve(view, host=host, port=0) as server, aiohttp.ClientSession() as session:
            yield Site(view=view, server=server, clock=clock, seeder=Seeder(catalog, clock, first=1_000_000), session=session)
