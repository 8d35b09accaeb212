"""What arrives as bytes and is not quite HTTP: refused with 400 and our headers, and the connection is closed."""

import asyncio
import contextlib

import pytest

from archiver.web import connection
from tests.web.site import site_at

H = b"Host: 127.0.0.1\r\n"
SMUGGLING = {
    "Content-Length and Transfer-Encoding": b"POST / HTTP/1.1\r\n"
    + H
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding and Content-Length": b"GET / HTTP/1.1\r\n"
    + H
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two Content-Lengths": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "two equal Content-Lengths": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of Content-Lengths": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a negative Content-Length": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: -1\r\n\r\n",
    "a Content-Length with a plus": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: +1\r\n\r\na",
    "a folded header": b"GET / HTTP/1.1\r\n" + H + b"X-A: a\r\n b\r\n\r\n",
    "a folded Transfer-Encoding": b"GET / HTTP/1.1\r\n" + H + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk size": b"GET / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n",
    "a bad chunk of a POST": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than it says": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "a bad chunk extension": b"GET / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5;\nabc",
    "an unknown Transfer-Encoding": b"GET / HTTP/1.1\r\n" + H + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked and something after it": b"GET / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\n" + H + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\n" + H + b"Host: evil.example\r\n\r\n",
    "two equal Hosts": b"GET / HTTP/1.1\r\n" + H + H + b"\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Authorizations": b"GET / HTTP/1.1\r\n"
    + H
    + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\n" + H + b"X-A: a\rb\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\n" + H + b"X-A: a\x00b\r\n\r\n",
    "bytes above ASCII in the path": b"GET /\xff\xfe HTTP/1.1\r\n" + H + b"\r\n",
    "an address of another server": b"GET http://evil.example/ HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n",
    "an address of this server in full": b"GET http://127.0.0.1/livez HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n",
    "a fragment": b"GET /livez#x HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\n" + H + b"\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n",
    "an unknown method": b"FOO / HTTP/1.1\r\n" + H + b"\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\n" + H + b"\r\n",
    "too many headers": b"GET / HTTP/1.1\r\n" + H + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n",
    "a header of 100 kB": b"GET / HTTP/1.1\r\n" + H + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "an address of 100 kB": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + H + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
    "a GET with a body": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 33\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_it_is_answered_with_400_and_the_connection_closed(month, name):
    answer = await month.raw(SMUGGLING[name])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"400", answer[:300]
    assert answer.count(b"HTTP/1.") == 1, "the rest was taken for a second request"
    for header in (b"Content-Security-Policy: default-src 'none'", b"nosniff", b"no-store", b"Server: archiver"):
        assert header in head
    assert b"Python" not in answer
    assert b"evil" not in body


async def test_a_body_that_trickles_in_after_the_answer_is_not_a_request(month):
    reader, writer = await asyncio.open_connection("127.0.0.1", month.server.port)
    writer.write(b"GET /livez HTTP/1.1\r\n" + H + b"Content-Length: 60\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400")
    writer.write(b"GET /livez HTTP/1.1\r\n" + H + b"\r\n")
    with contextlib.suppress(ConnectionError):
        rest = await reader.read()
        assert b"HTTP/1.1 200" not in rest
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_requests_one_after_the_other_on_one_connection_are_all_answered(month):
    one = b"GET /livez HTTP/1.1\r\n" + H
    answer = await month.raw((one + b"\r\n") * 20 + one + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 21


async def answered_or_dropped(site) -> bytes:
    try:
        return await site.raw(b"GET /livez HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n")
    except ConnectionError:
        return b""


async def test_the_connection_beyond_the_last_is_dropped_and_later_ones_are_taken(month, monkeypatch):
    monkeypatch.setattr(connection, "MOST", 3)
    held = [await asyncio.open_connection("127.0.0.1", month.server.port) for _ in range(3)]
    for reader, writer in held:  # each is known to the server once it has answered
        writer.write(b"GET /livez HTTP/1.1\r\n" + H + b"\r\n")
        await reader.readuntil(b"ok\n")
    assert await answered_or_dropped(month) == b""
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(5):
        while b"200 OK" not in await answered_or_dropped(month):
            pass


async def test_a_head_that_never_ends_is_cut_off(month_url, monkeypatch):
    monkeypatch.setattr(connection, "IDLE", 0.2)
    async with site_at(month_url) as site:
        assert await site.raw(b"GET /livez HTTP/1.1\r\nHost: 127") == b""
