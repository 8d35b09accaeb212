"""Resuming: bytes of one file come from one answer, or from ranges tied to one strong validator (I5)."""

import pytest
from aiohttp import web

from archiver.domain.errors import (
    MediaIncomplete,
)  # fmt: skip
from archiver.domain.ports import Resume
from archiver.providers.media import Extent, extent, strong
from tests.providers.stage import a_media_client, fetched, sending, serving

BODY = b"OggS" + bytes(range(256)) * 300
OK = b"HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\nConnection: close\r\n"


# Resuming.

RESUME = Resume(offset=1000, validator='"v1"')


def part(**changes):
    headers = {"ETag": '"v1"', "Content-Range": f"bytes 1000-{len(BODY) - 1}/{len(BODY)}", **changes}
    return lambda _: web.Response(
        status=206, body=BODY[1000:], headers={name.replace("_", "-"): value for name, value in headers.items() if value}
    )


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
        async with (
            serving(lambda request, first=first: first if "Range" in request.headers else web.Response(body=BODY)) as server,
            a_media_client(server.host) as client,
        ):
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
