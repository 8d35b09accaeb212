"""Media bodies: nothing that came short, slow, encoded, in part or from elsewhere passes for a recording."""

import asyncio

import pytest
from aiohttp import web

from archiver.domain.errors import (
    LinkExpired, MediaImplausible, MediaIncomplete, MediaTooSlow, MediaUnavailable, ProviderUnavailable,
)  # fmt: skip
from archiver.domain.ports import Resume
from archiver.providers import media as module
from archiver.providers.media import Extent, extent, strong
from tests.providers.stage import CANARY, SIGNATURE, Clock, a_media_client, fetched, sending, serving, texts_of

BODY = b"OggS" + bytes(range(256)) * 300
OK = b"HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\nConnection: close\r\n"


async def test_a_body_arrives_whole_with_what_its_headers_say():
    headers = {"ETag": '"abc"', "X-Amz-Meta-X-Amz-Key": "k", "x-amz-meta-x-amz-iv": "i", "x-amz-meta-other": "no"}
    async with serving(lambda _: web.Response(body=BODY, headers=headers, content_type="audio/ogg")) as server:
        async with a_media_client(server.host) as client:
            found, body = await fetched(client, f"{server.url}/x?a=1")
    assert body == BODY
    assert (found.offset, found.announced, found.content_type, found.validator) == (0, len(BODY), "audio/ogg", '"abc"')
    assert found.metadata == {"x-amz-meta-x-amz-key": "k", "x-amz-meta-x-amz-iv": "i"}
    assert found.encrypted


async def test_the_media_host_is_told_nothing_but_what_it_needs():
    async with serving(lambda _: web.Response(body=BODY, headers={"Set-Cookie": "a=b"})) as server:
        async with a_media_client(server.host) as client:
            await fetched(client, f"{server.url}/x")
            await fetched(client, f"{server.url}/x")
    for headers in server.headers():
        assert set(headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
        assert headers["Accept-Encoding"] == "identity"


# The truncations that aiohttp reports no error for (F1): what is left to see is that nothing announced a length.
@pytest.mark.parametrize(
    "answer",
    [
        OK + b"\r\n" + BODY[:1000],
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:1000],
        OK + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + BODY[:1000] + b"\r\n0\r\n\r\n",
    ],
    ids=["until close", "HTTP/1.0", "early last chunk"],
)
async def test_a_body_whose_end_proves_nothing_announces_no_length(answer):
    async with sending(answer) as server, a_media_client(server.host) as client:
        found, body = await fetched(client, f"{server.url}/x")
    assert found.announced is None
    assert len(body) == 1000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK + b"Content-Length: 5000\r\n\r\n" + BODY[:1000], MediaIncomplete),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + BODY[:1000] + b"\r\n", MediaIncomplete),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + BODY[:500], MediaIncomplete),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", (MediaIncomplete, ProviderUnavailable)),
        (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY, ProviderUnavailable),
        (OK + b"Content-Length: -1\r\n\r\n" + BODY, ProviderUnavailable),
        (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ProviderUnavailable),
        (OK + b"Content-Length: 1000000000000000000000000000000\r\n\r\n" + BODY, (ProviderUnavailable, MediaImplausible)),
        (OK + b"Content-Length: 6000000000000\r\n\r\n" + BODY, MediaImplausible),
        (OK + b"Content-Length: five\r\n\r\n" + BODY, ProviderUnavailable),
        (b"\x00\x01garbage", ProviderUnavailable),
        (b"", ProviderUnavailable),
    ],
)
async def test_a_broken_body_or_head_is_an_error(answer, expected):
    async with sending(answer) as server, a_media_client(server.host) as client:
        with pytest.raises(expected):
            await fetched(client, f"{server.url}/x")


async def test_bytes_after_the_announced_ones_are_never_taken_for_the_body():
    # In one packet with the rest aiohttp takes them for a second answer and fails; coming later they are cut off silently (F2).
    head = OK + b"Content-Length: 1000\r\n\r\n"
    async with sending(head + BODY[:2000]) as server, a_media_client(server.host) as client:
        with pytest.raises(ProviderUnavailable):
            await fetched(client, f"{server.url}/x")
    async with sending(head + BODY[:500], *(BODY[each : each + 1] for each in range(500, 2000))) as server:
        async with a_media_client(server.host) as client:
            try:
                found, body = await fetched(client, f"{server.url}/x")
            except (MediaIncomplete, ProviderUnavailable):
                return
    assert (found.announced, body) == (1000, BODY[:1000])


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "GZIP", "gzip, identity", "x"])
async def test_an_encoding_nobody_asked_for_is_refused_and_never_undone(encoding):
    async with sending(OK + f"Content-Encoding: {encoding}\r\nContent-Length: 4\r\n\r\nabcd".encode()) as server:
        async with a_media_client(server.host) as client:
            with pytest.raises(MediaImplausible, match="encoding"):
                await client.open(f"{server.url}/x")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (201, MediaImplausible), (203, MediaImplausible), (204, MediaImplausible), (206, MediaImplausible), (300, MediaImplausible),
        (304, MediaImplausible), (302, MediaImplausible), (400, MediaImplausible), (401, LinkExpired), (403, LinkExpired), (404, MediaUnavailable),
        (408, ProviderUnavailable), (410, MediaUnavailable), (416, MediaImplausible), (418, MediaImplausible), (429, ProviderUnavailable),
        (500, ProviderUnavailable), (502, ProviderUnavailable), (503, ProviderUnavailable), (504, ProviderUnavailable),
    ],
)  # fmt: skip
async def test_every_status_but_200_has_its_error(status, expected):
    async with sending(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()) as server:
        async with a_media_client(server.host) as client:
            with pytest.raises(expected, match=str(status)):
                await client.open(f"{server.url}/x")


async def test_the_code_in_s3s_error_is_named_and_an_expired_token_is_an_expired_link():
    def answer(request):
        return web.Response(status=400, text=f"<?xml?><Error><Code>ExpiredToken</Code><Message>{CANARY}</Message></Error>")

    async with serving(answer) as server, a_media_client(server.host) as client:
        with pytest.raises(LinkExpired, match="400 ExpiredToken") as refused:
            await client.open(f"{server.url}/x")
    assert CANARY not in texts_of(refused.value)


# Resuming.

RESUME = Resume(offset=1000, validator='"v1"')


def part(**changes):
    headers = {"ETag": '"v1"', "Content-Range": f"bytes 1000-{len(BODY) - 1}/{len(BODY)}", **changes}
    return lambda _: web.Response(status=206, body=BODY[1000:], headers={name.replace("_", "-"): value for name, value in headers.items() if value})


async def test_exactly_the_range_asked_for_is_gone_on_with():
    async with serving(part()) as server, a_media_client(server.host) as client:
        found, body = await fetched(client, f"{server.url}/x", RESUME)
    assert (found.offset, found.announced, body) == (1000, len(BODY), BODY[1000:])
    assert server.headers()[0]["Range"] == "bytes=1000-"
    assert server.headers()[0]["If-Range"] == '"v1"'


@pytest.mark.parametrize(
    "changes",
    [
        {"ETag": '"v2"'}, {"ETag": 'W/"v1"'}, {"ETag": None}, {"ETag": "v1"}, {"Content-Range": None}, {"Content-Range": "bytes 0-76803/76804"},
        {"Content-Range": f"bytes 1000-{len(BODY) - 1}/*"}, {"Content-Range": f"bytes 1000-1999/{len(BODY)}"}, {"Content-Range": "bytes */76804"},
        {"Content-Range": f"bytes 1001-{len(BODY)}/{len(BODY) + 1}"}, {"Content-Range": f"bytes 1000-{len(BODY)}/{len(BODY) + 1}"}, {"Content-Range": "items 1-2/3"},
    ],
)  # fmt: skip
async def test_any_other_part_is_thrown_away_and_the_file_begun_anew(changes):
    def answer(request):
        return part(**changes)(request) if "Range" in request.headers else web.Response(body=BODY, headers={"ETag": '"v2"'})

    async with serving(answer) as server, a_media_client(server.host) as client:
        found, body = await fetched(client, f"{server.url}/x", RESUME)
    assert (found.offset, found.announced, body) == (0, len(BODY), BODY)
    assert len(server.seen) == 2


async def test_a_range_that_is_ignored_or_unsatisfiable_starts_the_file_anew():
    for first in (web.Response(body=BODY), web.Response(status=416, headers={"Content-Range": "bytes */5"})):
        async with serving(lambda request, first=first: first if "Range" in request.headers else web.Response(body=BODY)) as server:
            async with a_media_client(server.host) as client:
                found, body = await fetched(client, f"{server.url}/x", RESUME)
        assert (found.offset, body) == (0, BODY)


async def test_a_part_of_a_resumed_body_that_comes_short_is_an_error():
    head = b'HTTP/1.1 206 P\r\nETag: "v1"\r\nConnection: close\r\nContent-Range: bytes 1000-1999/2000\r\n'
    async with sending(head + b"\r\n" + BODY[:500]) as server, a_media_client(server.host) as client:
        with pytest.raises(MediaIncomplete, match="1500 bytes received, 2000 announced"):
            await fetched(client, f"{server.url}/x", RESUME)


def test_only_a_strong_etag_ties_ranges_together():
    assert strong('"a"') == '"a"'
    assert strong('""') == '""'
    assert [strong(each) for each in ('W/"a"', "a", "", '"a', '"a"b"', '"a b"')] == [""] * 6


def test_a_length_is_believed_only_as_plain_digits():
    assert extent(200, {"Content-Length": "12"}, None) == Extent(offset=0, total=12)
    for length in ("", "+12", "1_2", "٣", "12.0", "-1"):
        assert extent(200, {"Content-Length": length}, None) == Extent(offset=0, total=None)


# Time.


async def test_a_trickle_is_given_up_after_two_minutes_of_waiting():
    clock = Clock()
    async with serving(lambda _: _trickle(_, clock, blocks=100)) as server:
        async with a_media_client(server.host, clock=clock, min_rate=32 * 1024.0) as client:
            with pytest.raises(MediaTooSlow, match=r"in 12\d s of waiting, 32768 bytes/s are the floor"):
                clock.ticks = 5.0
                await fetched(client, f"{server.url}/x")


async def test_a_slow_stream_above_the_floor_and_a_short_one_below_it_are_let_be():
    clock = Clock()
    for blocks, floor in ((100, 1.0), (10, 32 * 1024.0), (100, 0.0)):
        async with serving(lambda _, blocks=blocks: _trickle(_, clock, blocks=blocks)) as server:
            async with a_media_client(server.host, clock=clock, min_rate=floor) as client:
                clock.ticks = 1.0 if blocks == 10 else 5.0
                _, body = await fetched(client, f"{server.url}/x")
        assert len(body) == blocks * 100


async def _trickle(request, clock, *, blocks):
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(blocks):
        await response.write(b"x" * 100)
        await asyncio.sleep(0)
    return response


async def test_the_time_a_slow_store_takes_is_not_held_against_the_provider():
    clock = Clock()
    async with serving(lambda _: web.Response(body=BODY * 20)) as server:
        async with a_media_client(server.host, clock=clock, min_rate=1e12) as client:
            opened = await client.open(f"{server.url}/x")
            async for _ in opened.media.chunks:
                await clock.sleep(1_000)
            await opened.aclose()


async def test_a_body_that_stalls_frees_its_worker(monkeypatch):
    import aiohttp

    monkeypatch.setattr("archiver.providers.reach.STALL_SECONDS", 0.05)
    async with sending(OK + b"Content-Length: 5000\r\n\r\n" + BODY[:1000], hold=True) as server, a_media_client(server.host) as client:
        with pytest.raises(ProviderUnavailable, match="timed out after 1000 bytes, 5000 announced"):
            await fetched(client, f"{server.url}/x")
    assert aiohttp.ClientTimeout is not None


async def test_an_endless_body_ends_somewhere(monkeypatch):
    monkeypatch.setattr(module, "MOST_UNANNOUNCED", 5_000)
    async with sending(OK + b"\r\n" + BODY) as server, a_media_client(server.host) as client:
        with pytest.raises(MediaIncomplete, match="more than 5000 bytes"):
            await fetched(client, f"{server.url}/x")


async def test_a_reader_that_leaves_early_leaves_nothing_open():
    async with serving(lambda _: web.Response(body=BODY * 50)) as server, a_media_client(server.host) as client:
        opened = await client.open(f"{server.url}/x")
        async for _ in opened.media.chunks:
            break
        await opened.aclose()


async def test_a_cancelled_download_leaves_nothing_open():
    async with sending(OK + b"Content-Length: 5000\r\n\r\n" + BODY[:1000], hold=True) as server, a_media_client(server.host) as client:
        task = asyncio.create_task(fetched(client, f"{server.url}/x"))
        while not client._sessions or not any(session.connector._acquired for session in client._sessions.values()):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_error_of_a_download_shows_the_signature():
    for answer in (b"", b"garbage\r\n\r\n", OK + b"Content-Length: 50\r\n\r\nx", b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: ftp://x/?" + SIGNATURE.encode() + b"\r\n\r\n"):
        async with sending(answer) as server, a_media_client(server.host) as client:
            with pytest.raises(Exception) as failed:  # noqa: PT011, B017
                await fetched(client, f"{server.url}/x?{SIGNATURE}")
        assert CANARY not in texts_of(failed.value)
    async with a_media_client("127.0.0.1:1") as client:
        with pytest.raises(ProviderUnavailable) as failed:
            await fetched(client, f"http://127.0.0.1:1/x?{SIGNATURE}")
    assert CANARY not in texts_of(failed.value)
