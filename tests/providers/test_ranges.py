"""Further connections to one file: guarded like the first, and believed only for exactly the span of the same file (I5)."""

import asyncio
import contextlib
import itertools

import pytest
from aiohttp import web

from archiver.domain import errors
from archiver.domain.ports import Resume
from archiver.providers import ranges
from archiver.simulator import actions, body_actions
from tests.providers.simulated import KINDS, simulated, truth
from tests.providers.stage import CANARY, a_media_client, serving, texts_of, until

BODY = b"OggS" + bytes(range(256)) * 300
ETAG = '"v1"'
HEADERS = {"ETag": ETAG, "Accept-Ranges": "bytes"}


@pytest.fixture(params=KINDS)
async def on(request):
    """Every provider over its simulated API; any body is large enough for ranges."""
    async with simulated(request.param, ranges_from=1) as stage:
        yield stage


@contextlib.asynccontextmanager
async def opened(on, recording, **how):
    async with on.provider.open_media(on.ref(recording), on.rendition, **how) as media:
        yield media


async def span(media, first, stop):
    async with media.spans.open(first, stop) as chunks:
        return b"".join([chunk async for chunk in chunks])


# -- the contract of the port, on every provider


async def test_spans_are_exactly_the_bytes_asked_for_however_many_there_are_at_once(on):
    recording = on.add()
    body = truth(recording, on.rendition)
    cuts = [0, 1, 2, 700, 701, len(body) - 1, len(body)]
    async with opened(on, recording) as media:
        found = await asyncio.gather(*(span(media, *each) for each in itertools.pairwise(cuts)))
        assert b"".join(found) == body
        assert b"".join([chunk async for chunk in media.chunks]) == body


async def test_a_body_that_was_gone_on_with_has_spans_too(on):
    recording = on.add()
    async with opened(on, recording) as media:
        validator = media.validator
    async with opened(on, recording, resume=Resume(offset=1000, validator=validator)) as media:
        assert await span(media, 0, 2000) == truth(recording, on.rendition)[:2000]


async def test_spans_cost_no_request_to_the_api_and_tell_the_media_host_nothing_but_what_it_needs(on):
    recording = on.add()
    async with opened(on, recording) as media:
        asked = len(on.simulation.audit) - len(on.media_requests())
        for first in range(0, 1000, 100):
            await span(media, first, first + 100)
    assert len(on.simulation.audit) - len(on.media_requests()) == asked
    assert not any(line.authorized or "cookie" in line.header_names for line in on.media_requests())
    allowed = {"host", "accept", "accept-encoding", "user-agent", "range", "if-range"}
    assert all(line.header_names <= allowed for line in on.media_requests())


async def test_a_link_that_expired_is_renewed_once_for_all_spans(on):
    recording = on.add()
    async with opened(on, recording) as media:
        asked = len(on.simulation.audit) - len(on.media_requests())
        on.fault(actions.status(403), on="media", times=8)
        found = await asyncio.gather(*(span(media, first, first + 100) for first in range(0, 800, 100)))
        assert b"".join(found) == truth(recording, on.rendition)[:800]
        assert len(on.simulation.audit) - len(on.media_requests()) == asked + 1
        on.fault(actions.status(403), on="media")
        with pytest.raises(errors.LinkExpired):
            await span(media, 0, 100)


WRONG = {
    "ignored": (body_actions.range_ignored(), errors.MediaImplausible),
    "one on": (body_actions.wrong_range(1), errors.MediaImplausible),
    "one back": (body_actions.wrong_range(-1), errors.MediaImplausible),
    "short": (body_actions.short_range(), errors.MediaImplausible),
    "no validator": (body_actions.with_headers(ETag=None), errors.MediaImplausible),
    "a weak validator": (body_actions.with_headers(ETag='W/"v1"'), errors.MediaImplausible),
    "no Content-Range": (body_actions.with_headers(Content_Range=None), errors.MediaImplausible),
    "another file": (body_actions.other_bytes(), errors.MediaChanged),
    "another validator": (body_actions.new_etag(), errors.MediaChanged),
    "429": (actions.status(429), errors.RateLimited),
    "503": (actions.status(503), errors.RateLimited),
    "500": (actions.status(500), errors.ProviderUnavailable),
    "404": (actions.status(404), errors.MediaUnavailable),
    "416": (actions.status(416), errors.MediaImplausible),
    "204": (actions.status(204), errors.MediaImplausible),
    "gzip": (body_actions.gzipped(), errors.MediaImplausible),
    "cut": (actions.cut(0.5), (errors.MediaIncomplete, errors.ProviderUnavailable)),
    "reset": (actions.cut(0.5, ending="rst"), (errors.MediaIncomplete, errors.ProviderUnavailable)),
    "no answer": (actions.no_answer(), errors.ProviderUnavailable),
    "elsewhere": (actions.redirect("http://169.254.169.254/latest/"), errors.UrlRefused),
}


@pytest.mark.parametrize("how", WRONG)
async def test_whatever_is_not_exactly_the_span_of_the_same_file_is_a_named_error(on, how):
    action, error = WRONG[how]
    recording = on.add()
    async with opened(on, recording) as media:
        on.fault(action, on="media")
        with pytest.raises(error):
            await span(media, 100, 900)


async def test_a_chunked_span_that_ends_early_is_incomplete(on):
    recording = on.add()
    async with opened(on, recording) as media:
        on.fault(actions.chunked(0.5), on="media")
        with pytest.raises(errors.MediaIncomplete):
            await span(media, 100, 900)


# -- when they are offered


@pytest.mark.parametrize(
    ("headers", "offered"),
    [
        (HEADERS, True), ({**HEADERS, "Accept-Ranges": "Bytes"}, True), ({**HEADERS, "Accept-Ranges": "none"}, False), ({"ETag": ETAG}, False),
        ({"Accept-Ranges": "bytes"}, False), ({**HEADERS, "ETag": 'W/"v1"'}, False), ({**HEADERS, "ETag": "v1"}, False),
    ],
)  # fmt: skip
async def test_further_connections_are_offered_only_for_a_file_with_a_name_on_a_host_that_serves_ranges(headers, offered):
    async with (
        serving(lambda _: web.Response(body=BODY, headers=headers)) as server,
        a_media_client(server.host, ranges_from=1) as client,
    ):
        found = await client.open(f"{server.url}/x")
        assert (found.media.spans is not None) == offered
        await found.aclose()


@pytest.mark.parametrize(("ranges_from", "offered"), [(len(BODY), True), (len(BODY) + 1, False), (ranges.LARGE, False)])
async def test_a_small_body_is_offered_none(ranges_from, offered):
    async with (
        serving(lambda _: web.Response(body=BODY, headers=HEADERS)) as server,
        a_media_client(server.host, ranges_from=ranges_from) as client,
    ):
        found = await client.open(f"{server.url}/x")
        assert (found.media.spans is not None) == offered
        await found.aclose()


# -- connections


async def test_a_body_that_is_closed_early_gives_up_its_connection_at_once():
    gone = []

    async def answer(request):
        response = web.StreamResponse(headers=HEADERS)
        response.content_length = len(BODY)
        await response.prepare(request)
        await response.write(BODY[:5000])
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"")
                if request.transport is None or request.transport.is_closing():
                    break
                await asyncio.sleep(0)
        gone.append("gone")
        return response

    async with serving(answer) as server, a_media_client(server.host, ranges_from=1) as client:
        found = await client.open(f"{server.url}/x")
        await anext(found.media.chunks)
        assert gone == []
        await found.media.chunks.aclose()
        await until(lambda: gone)
        await found.aclose()


async def test_spans_follow_where_the_body_was_found_and_their_errors_tell_no_link():
    def answer(request):
        if request.path == "/x":
            return web.Response(status=302, headers={"Location": f"/y?{CANARY}"})
        if "Range" not in request.headers:
            return web.Response(body=BODY, headers=HEADERS)
        return web.Response(status=206, body=b"abc", headers={**HEADERS, "Content-Range": "bytes 5-7/9"})

    async with serving(answer) as server, a_media_client(server.host, ranges_from=1) as client:
        found = await client.open(f"{server.url}/x")
        assert found.media.spans.host == server.url
        with pytest.raises(errors.MediaImplausible) as refused:
            await span(found.media, 5, 8)
        await found.aclose()
    assert [request.path for request in server.seen] == ["/x", "/y", "/y"]
    assert CANARY not in texts_of(refused.value)


async def test_an_expired_link_that_nobody_can_renew_is_an_error():
    def answer(request):
        return web.Response(status=403) if "Range" in request.headers else web.Response(body=BODY, headers=HEADERS)

    async with serving(answer) as server, a_media_client(server.host, ranges_from=1) as client:
        found = await client.open(f"{server.url}/x")
        with pytest.raises(errors.LinkExpired, match="no other"):
            await span(found.media, 5, 8)
        await found.aclose()


# -- the decision

GOOD = {"ETag": ETAG, "Content-Range": "bytes 10-19/100", "Content-Length": "10"}


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (206, GOOD, None), (206, {**GOOD, "Content-Length": ""}, None),
        (200, GOOD, errors.MediaImplausible), (203, GOOD, errors.MediaImplausible), (302, GOOD, errors.MediaImplausible),
        (200, {"ETag": '"v2"'}, errors.MediaChanged), (206, {**GOOD, "ETag": '"v2"'}, errors.MediaChanged),
        (206, {**GOOD, "ETag": ""}, errors.MediaImplausible), (206, {**GOOD, "ETag": 'W/"v1"'}, errors.MediaImplausible),
        (206, {**GOOD, "Content-Length": "9"}, errors.MediaImplausible), (206, {**GOOD, "Content-Length": "11"}, errors.MediaImplausible),
        *[(206, {**GOOD, "Content-Range": each}, errors.MediaImplausible) for each in (
            "", "bytes 10-19/*", "bytes */100", "bytes 10-19/101", "bytes 10-18/100", "bytes 10-20/100", "bytes 9-19/100", "bytes 11-19/100",
            "bytes 0-99/100", "items 10-19/100", "bytes 10-19/100, 20-29/100", "bytes=10-19/100",
        )],
        (429, {}, errors.RateLimited), (503, {}, errors.RateLimited),
    ],
)  # fmt: skip
def test_an_answer_counts_as_the_span_only_if_everything_in_it_says_so(status, headers, error):
    found = ranges.problem(status, headers, first=10, stop=20, validator=ETAG, total=100)
    assert found is None if error is None else type(found) is error


def test_what_is_asked_for_is_a_closed_range_of_exactly_this_file():
    assert ranges.asking(10, 20, ETAG) == {"Range": "bytes=10-19", "If-Range": ETAG}
