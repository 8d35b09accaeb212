"""Forged links: by whatever spelling, redirect, DNS answer or rebinding, nothing inside is ever connected to (S1, G22)."""

import pytest
from aiohttp import web

from archiver.domain.errors import ProviderUnavailable, UrlRefused
from tests.providers.stage import Resolver, a_media_client, sending, serving, sink
from tests.providers.test_reach import NOT_PUBLIC

# {port} is where a server listens on the loopback address and waits for what should not come.
SPELLINGS = (
    "http://127.0.0.1:{port}/x", "https://127.0.0.1:{port}/x", "http://127.0.0.1:{port}", "http://localhost:{port}/x",
    "https://localhost:{port}/x", "http://LOCALHOST:{port}/x", "http://localhost.:{port}/x", "http://127.0.0.1.:{port}/x",
    "http://localhost.localdomain:{port}/x", "http://127.1:{port}/x", "http://127.0.1:{port}/x", "http://2130706433:{port}/x",
    "http://017700000001:{port}/x", "http://0x7f000001:{port}/x", "http://0x7f.0x0.0x0.0x1:{port}/x", "http://0177.0.0.1:{port}/x",
    "http://0177.0x0.0.1:{port}/x", "http://127.000.000.001:{port}/x", "http://127.0.0.1%00:{port}/x", "http://127.255.255.254:{port}/x",
    "http://0:{port}/x", "http://0.0.0.0:{port}/x", "http://[::1]:{port}/x", "https://[::1]:{port}/x", "http://[::]:{port}/x",
    "http://[0:0:0:0:0:0:0:1]:{port}/x", "http://[::ffff:127.0.0.1]:{port}/x", "http://[::ffff:7f00:1]:{port}/x", "http://[::127.0.0.1]:{port}/x",
    "http://[64:ff9b::7f00:1]:{port}/x", "http://[2002:7f00:1::]:{port}/x", "http://[::1%lo]:{port}/x", "http://[::1%25lo]:{port}/x",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/latest/meta-data/", "http://metadata.google.internal/", "http://100.64.0.1:{port}/x",
    "http://user@127.0.0.1:{port}/x", "http://user:secret@127.0.0.1:{port}/x", "https://s3.amazonaws.com@127.0.0.1:{port}/x",
    "https://s3.amazonaws.com:443@127.0.0.1:{port}/x", "http://127.0.0.1:{port}#@s3.amazonaws.com/x", "http://127.0.0.1:{port}?@s3.amazonaws.com/x",
    "http://127.0.0.1:{port}\\@s3.amazonaws.com/x", "https://s3.amazonaws.com\\@127.0.0.1:{port}/x", "https:\\\\127.0.0.1:{port}\\x",
    "http:127.0.0.1:{port}/x", "http:/127.0.0.1:{port}/x", "http:///127.0.0.1:{port}/x", "https:////127.0.0.1:{port}/x", "://127.0.0.1:{port}/x",
    "//127.0.0.1:{port}/x", "//localhost:{port}/x", "127.0.0.1:{port}/x", "http://127.0.0.1:{port}:443/x", "http://127.0.0.1: {port}/x",
    "http://127。0。0。1:{port}/x", "http://１２７.0.0.1:{port}/x", "http://ⓛocalhost:{port}/x", "http://loc%61lhost:{port}/x",
    "https://s3.amazonaws.com:{port}/x", "http://s3.amazonaws.com/x", "http://s3.amazonaws.com:443/x", "https://s3.amazonaws.com:80/x", "https://s3.amazonaws.com:22/x",
    "https://s3.amazоnaws.com/x", "https://127.0.0.1:{port}/?https://s3.amazonaws.com", "https://evil-telnyx.com/x", "https://telnyx.com.evil.example/x",
    "https://telnyx.com./x", "file:///etc/passwd", "file://127.0.0.1:{port}/x", "ftp://127.0.0.1:{port}/x", "gopher://127.0.0.1:{port}/_x",
    "dict://127.0.0.1:{port}/x", "ldap://127.0.0.1:{port}/x", "javascript:fetch('http://127.0.0.1:{port}')", "data:text/html,x", "unix:///run/docker.sock",
    "s3://bucket/key", "gs://bucket/key", "ws://127.0.0.1:{port}/x", "http+unix://%2Frun%2Fdocker.sock/x", "jar:http://127.0.0.1:{port}/x!/y",
    " http://127.0.0.1:{port}/x", "http://127.0.0.1:{port}/x ", "http://127.0.0.1:{port}/\tx", "ht\ttp://127.0.0.1:{port}/x",
    "https://{long}.amazonaws.com/x",
)  # fmt: skip


def spelled(text, port):
    return text.replace("{port}", str(port)).replace("{long}", "x" * 64)


def test_the_table_is_as_long_as_it_should_be():
    assert len(set(SPELLINGS)) >= 60


async def test_no_spelling_of_a_link_reaches_this_machine():
    async with sink() as inside, a_media_client() as client:
        for text in SPELLINGS:
            with pytest.raises(UrlRefused):
                await client.open(spelled(text, inside.port))
    assert inside.connections == 0


async def test_no_spelling_of_a_redirect_reaches_this_machine():
    # Raw bytes, because a server library would not send most of these.
    async with sink() as inside:
        for text in SPELLINGS:
            location = spelled(text, inside.port).strip().encode()
            answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + location + b"\r\n\r\n"
            async with sending(answer) as server, a_media_client(server.host) as client:
                with pytest.raises((UrlRefused, ProviderUnavailable)) as refused:
                    await client.open(f"{server.url}/x")
            if not isinstance(refused.value, UrlRefused):
                assert "not HTTP" in str(refused.value), text
    assert inside.connections == 0


@pytest.mark.parametrize("address", [each for each in NOT_PUBLIC if "%" not in each])
async def test_a_providers_name_that_resolves_to_an_inner_address_is_refused(address):
    async with a_media_client(resolver=Resolver(address)) as client:
        with pytest.raises(UrlRefused, match=r"https://b\.s3\.amazonaws\.com:443 has an address that is not public"):
            await client.open("https://b.s3.amazonaws.com/x")


@pytest.mark.parametrize("address", [each for each in NOT_PUBLIC if "%" not in each])
async def test_a_name_that_was_public_a_moment_ago_is_judged_by_where_the_connection_really_goes(address):
    resolver = Resolver("52.216.0.1", address)
    looked_up = await resolver.resolve("b.s3.amazonaws.com", 443)
    assert looked_up[0]["host"] == "52.216.0.1"
    async with a_media_client(resolver=resolver) as client:
        with pytest.raises(UrlRefused):
            await client.open("https://b.s3.amazonaws.com/x")


async def test_a_resolver_that_moves_the_port_reaches_nothing_either():
    async with sink() as inside, a_media_client(resolver=Resolver("127.0.0.1", port=inside.port)) as client:
        with pytest.raises(UrlRefused):
            await client.open("https://b.s3.amazonaws.com/x")
    assert inside.connections == 0


async def test_the_sink_does_see_a_connection_where_the_operator_allowed_one():
    resolver = Resolver("127.0.0.1")
    async with sink() as inside:
        resolver.port = inside.port
        async with a_media_client("b.s3.amazonaws.com", resolver=resolver) as client:
            with pytest.raises(ProviderUnavailable):
                await client.open("https://b.s3.amazonaws.com/x")
    assert inside.connections == 1


async def test_an_answer_of_several_addresses_with_an_inner_one_among_them_never_opens_that_one():
    class Mixed(Resolver):
        async def resolve(self, host, port=0, family=0):
            first, second = await super().resolve(host, port), await Resolver("10.0.0.1").resolve(host, port)
            return [*second, *first]

    async with sink() as inside, a_media_client(resolver=Mixed("127.0.0.1", port=inside.port)) as client:
        with pytest.raises(UrlRefused):
            await client.open("https://b.s3.amazonaws.com/x")
    assert inside.connections == 0


async def test_plain_http_to_a_configured_name_that_turns_public_is_refused():
    async with a_media_client("minio.internal:9000", resolver=Resolver("52.216.0.1")) as client:
        with pytest.raises(UrlRefused, match="not internal"):
            await client.open("http://minio.internal:9000/x")


async def test_a_chain_of_redirects_ends_after_five():
    async with (
        serving(lambda request: web.Response(status=302, headers={"Location": f"/{int(request.path[1:]) + 1}"})) as server,
        a_media_client(server.host) as client,
    ):
        with pytest.raises(UrlRefused, match="more than 5 times"):
            await client.open(f"{server.url}/1")
    assert len(server.seen) == 6


async def test_five_redirects_are_followed():
    def answer(request):
        hop = int(request.path[1:])
        return web.Response(body=b"OggS") if hop == 5 else web.Response(status=307, headers={"Location": f"/{hop + 1}"})

    async with serving(answer) as server, a_media_client(server.host) as client:
        opened = await client.open(f"{server.url}/0")
        assert opened.media.announced == 4
        await opened.aclose()
