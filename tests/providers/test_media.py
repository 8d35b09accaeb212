"""Media bodies: nothing that came short, slow, encoded, in part or from elsewhere passes for a recording."""

import pytest
from aiohttp import web

from archiver.domain.errors import (
    LinkExpired,
    MediaImplausible,
    MediaIncomplete,
    MediaUnavailable,
    ProviderUnavailable,
)  # fmt: skip
from tests.providers.stage import CANARY, a_media_client, fetched, sending, serving, texts_of

BODY = b"OggS" + bytes(range(256)) * 300
OK = b"HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\nConnection: close\r\n"


async def test_a_body_arrives_whole_with_what_its_headers_say():
    headers = {"ETag": '"abc"', "X-Amz-Meta-X-Amz-Key": "k", "x-amz-meta-x-amz-iv": "i", "x-amz-meta-other": "no"}
    async with (
        serving(lambda _: web.Response(body=BODY, headers=headers, content_type="audio/ogg")) as server,
        a_media_client(server.host) as client,
    ):
        found, body = await fetched(client, f"{server.url}/x?a=1")
    assert body == BODY
    assert (found.offset, found.announced, found.content_type, found.validator) == (0, len(BODY), "audio/ogg", '"abc"')
    assert found.metadata == {"x-amz-meta-x-amz-key": "k", "x-amz-meta-x-amz-iv": "i"}
    assert found.encrypted


async def test_the_media_host_is_told_nothing_but_what_it_needs():
    async with (
        serving(lambda _: web.Response(body=BODY, headers={"Set-Cookie": "a=b"})) as server,
        a_media_client(server.host) as client,
    ):
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
    async with (
        sending(head + BODY[:500], *(BODY[each : each + 1] for each in range(500, 2000))) as server,
        a_media_client(server.host) as client,
    ):
        try:
            found, body = await fetched(client, f"{server.url}/x")
        except (MediaIncomplete, ProviderUnavailable):
            return
    assert (found.announced, body) == (1000, BODY[:1000])


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "GZIP", "gzip, identity", "x"])
async def test_an_encoding_nobody_asked_for_is_refused_and_never_undone(encoding):
    async with (
        sending(OK + f"Content-Encoding: {encoding}\r\nContent-Length: 4\r\n\r\nabcd".encode()) as server,
        a_media_client(server.host) as client,
    ):
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
    async with (
        sending(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()) as server,
        a_media_client(server.host) as client,
    ):
        with pytest.raises(expected, match=str(status)):
            await client.open(f"{server.url}/x")


async def test_the_code_in_s3s_error_is_named_and_an_expired_token_is_an_expired_link():
    def answer(request):
        return web.Response(status=400, text=f"<?xml?><Error><Code>ExpiredToken</Code><Message>{CANARY}</Message></Error>")

    async with serving(answer) as server, a_media_client(server.host) as client:
        with pytest.raises(LinkExpired, match="400 ExpiredToken") as refused:
            await client.open(f"{server.url}/x")
    assert CANARY not in texts_of(refused.value)
