"""Media bodies that take their time, and what is left of those that are left early."""

import asyncio

import pytest
from aiohttp import web

from archiver.domain.errors import (
    MediaIncomplete,
    MediaTooSlow,
    ProviderUnavailable,
)  # fmt: skip
from archiver.providers import media as module
from tests.providers.stage import CANARY, SIGNATURE, Clock, a_media_client, fetched, sending, serving, texts_of, until

BODY = b"OggS" + bytes(range(256)) * 300
OK = b"HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\nConnection: close\r\n"


# Time.


async def test_a_trickle_is_given_up_after_two_minutes_of_waiting():
    clock = Clock()
    async with (
        serving(lambda _: _trickle(_, clock, blocks=100)) as server,
        a_media_client(server.host, clock=clock, min_rate=32 * 1024.0) as client,
    ):
        with pytest.raises(MediaTooSlow, match=r"in 12\d s of waiting, 32768 bytes/s are the floor"):
            clock.ticks = 5.0
            await fetched(client, f"{server.url}/x")


async def test_a_slow_stream_above_the_floor_and_a_short_one_below_it_are_let_be():
    clock = Clock()
    for blocks, floor in ((100, 1.0), (10, 32 * 1024.0), (100, 0.0)):
        async with (
            serving(lambda _, blocks=blocks: _trickle(_, clock, blocks=blocks)) as server,
            a_media_client(server.host, clock=clock, min_rate=floor) as client,
        ):
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
    async with (
        serving(lambda _: web.Response(body=BODY * 20)) as server,
        a_media_client(server.host, clock=clock, min_rate=1e12) as client,
    ):
        opened = await client.open(f"{server.url}/x")
        async for _ in opened.media.chunks:
            await clock.sleep(1_000)
        await opened.aclose()


async def test_a_body_that_stalls_frees_its_worker(monkeypatch):
    monkeypatch.setattr("archiver.providers.reach.STALL_SECONDS", 0.05)
    async with (
        sending(OK + b"Content-Length: 5000\r\n\r\n" + BODY[:1000], hold=True) as server,
        a_media_client(server.host) as client,
    ):
        with pytest.raises(ProviderUnavailable, match="timed out after 1000 bytes, 5000 announced"):
            await fetched(client, f"{server.url}/x")


async def test_headers_that_trickle_in_free_their_worker(monkeypatch):
    monkeypatch.setattr("archiver.providers.media.HEADER_SECONDS", 0.05)
    async with sending(b"HTTP/1.1 200 OK\r\nX-Slow: ", hold=True) as server, a_media_client(server.host) as client:
        with pytest.raises(ProviderUnavailable, match="timed out"):
            await client.open(f"{server.url}/x")


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
    async with (
        sending(OK + b"Content-Length: 5000\r\n\r\n" + BODY[:1000], hold=True) as server,
        a_media_client(server.host) as client,
    ):
        task = asyncio.create_task(fetched(client, f"{server.url}/x"))
        await until(lambda: any(each.connector._acquired for each in client._sessions.values()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_error_of_a_download_shows_the_signature():
    for answer in (
        b"",
        b"garbage\r\n\r\n",
        OK + b"Content-Length: 50\r\n\r\nx",
        b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: ftp://x/?" + SIGNATURE.encode() + b"\r\n\r\n",
    ):
        async with sending(answer) as server, a_media_client(server.host) as client:
            with pytest.raises(Exception) as failed:
                await fetched(client, f"{server.url}/x?{SIGNATURE}")
        assert CANARY not in texts_of(failed.value)
    async with a_media_client("127.0.0.1:1") as client:
        with pytest.raises(ProviderUnavailable) as failed:
            await fetched(client, f"http://127.0.0.1:1/x?{SIGNATURE}")
    assert CANARY not in texts_of(failed.value)
