"""A provider that answers with documented pages and nothing else, and a media host on an origin of its own."""

import contextlib
import copy
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from archiver.simulator.world import Credentials

CREDENTIALS = Credentials(
    api_key="KEYseedpage",
    account_sid="AC" + "a" * 32,
    auth_token="",
    api_key_sid="SK" + "a" * 32,
    api_key_secret="seedsecretseedsecret",
)


def seed(name):
    """The example of a documentation page, as it stands there."""
    return json.loads((Path(__file__).parent / "seeds" / f"{name}.json").read_text())


@contextlib.asynccontextmanager
async def serving(answer):
    """`answer(request)` returns a response; yields the origin."""

    async def handler(request):
        return answer(request)

    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        await web.SockSite(runner, sock).start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            await runner.cleanup()


@dataclass
class Provider:
    """What answers: `pages` by path, each a document or a function of the request; `media` bytes and type by path.

    It has the names of a running simulation, so that it is configured like one.
    """

    pages: dict = field(default_factory=dict)
    media: dict = field(default_factory=dict)
    seen: list = field(default_factory=list)
    telnyx_url: str = ""
    media_url: str = ""
    credentials: Credentials = CREDENTIALS

    @property
    def twilio_url(self):
        return self.telnyx_url

    def api(self, request):
        self.seen.append(request)
        page = self.pages.get(request.path)
        if page is None:
            return web.json_response({"errors": [{"code": "10005", "title": "Resource not found"}]}, status=404)
        document = page(request) if callable(page) else copy.deepcopy(page)
        return document if isinstance(document, web.Response) else web.json_response(document)

    def file(self, request):
        self.seen.append(request)
        body, content_type = self.media[request.path]
        return web.Response(body=body, content_type=content_type, headers={"ETag": '"seed"'})


@contextlib.asynccontextmanager
async def provider():
    """A running provider without any page yet."""
    it = Provider()
    async with serving(it.api) as it.telnyx_url, serving(it.file) as it.media_url:
        yield it
