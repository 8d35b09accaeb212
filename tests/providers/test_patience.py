"""How often the API client asks, and how long it waits when it is told to."""

import asyncio

import pytest
from aiohttp import web

from archiver.domain.errors import (
    CredentialsRefused,
    ProviderUnavailable,
    RateLimited,
)  # fmt: skip
from tests.providers.stage import Clock, an_api, replies, serving, until

# How often.


async def test_a_question_is_repeated_twice_at_once_when_the_provider_fails():
    clock = Clock()
    async with serving(replies(500, 503, 200)) as server, an_api(server.url, clock) as api:
        assert await api.get("/v2/things") == {"ok": True}
    assert api.observed == [("list", "500"), ("list", "503"), ("list", "200")]
    assert 0 < sum(clock.slept) < 3
    async with serving(replies(500)) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable):
            await api.get("/v2/things")
    assert len(server.seen) == 3


async def test_a_deletion_is_never_repeated_by_itself():
    async with serving(replies(500)) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable):
            await api.delete("/v2/things/1")
    assert len(server.seen) == 1


async def test_a_long_outage_is_not_met_with_three_times_the_requests():
    async with serving(replies(503)) as server, an_api(server.url) as api:
        for _ in range(100):
            with pytest.raises(ProviderUnavailable):
                await api.get("/v2/things")
    assert len(server.seen) == 110


async def test_credentials_that_are_refused_are_not_offered_again_in_the_same_request():
    async with serving(replies(401)) as server, an_api(server.url) as api:
        with pytest.raises(CredentialsRefused, match="hint: check the key"):
            await api.get("/v2/things")
    assert len(server.seen) == 1


async def test_a_short_wait_is_waited_for_and_the_request_repeated():
    clock = Clock()
    async with (
        serving(replies((429, None, {"x-ratelimit-reset": "3"}), (429, None, {"Retry-After": "7"}), 200)) as server,
        an_api(server.url, clock) as api,
    ):
        assert await api.get("/v2/things") == {"ok": True}
    assert clock.slept == [pytest.approx(3.15), pytest.approx(7.35)]


async def test_a_long_wait_is_handed_on_and_the_whole_source_stays_silent_meanwhile():
    clock = Clock()
    async with serving(replies((429, None, {"Retry-After": "120"}), 200)) as server, an_api(server.url, clock) as api:
        with pytest.raises(RateLimited, match="waits 120 s") as refused:
            await api.get("/v2/things")
        assert refused.value.wait == 120
        for path in ("/v2/things", "/v2/things/1"):
            with pytest.raises(RateLimited):
                await api.get(path)
        with pytest.raises(RateLimited):
            await api.delete("/v2/things/1")
        assert len(server.seen) == 1
        await clock.sleep(121)
        assert await api.get("/v2/things") == {"ok": True}


async def test_one_refusal_slows_every_worker_of_the_source():
    clock = Clock()
    times = []

    def answer(_):
        times.append(clock.monotonic())
        return web.Response(status=429, headers={"Retry-After": "30"}) if len(times) == 1 else web.json_response({})

    async with serving(answer) as server, an_api(server.url, clock) as api:
        first = asyncio.create_task(api.get("/v2/things"))
        await until(lambda: times and clock.slept)
        await asyncio.gather(first, *(api.get("/v2/things") for _ in range(8)))
    assert min(times[1:]) - times[0] >= 30


async def test_refusals_without_end_end_after_four_requests():
    async with serving(replies((429, None, {"Retry-After": "1"}))) as server, an_api(server.url) as api:
        with pytest.raises(RateLimited):
            await api.get("/v2/things")
    assert len(server.seen) == 4


@pytest.mark.parametrize("value", ["0", "-7", "never", "", "NaN"])
async def test_a_provider_that_asks_for_nonsense_is_met_with_our_own_patience(value):
    clock = Clock()
    async with (
        serving(replies((429, None, {"Retry-After": value, "x-ratelimit-reset": value}), 200)) as server,
        an_api(server.url, clock) as api,
    ):
        await api.get("/v2/things")
    assert 0.4 <= clock.slept[0] <= 5


async def test_the_number_of_requests_left_can_be_seen():
    async with (
        serving(replies((200, {}, {"x-ratelimit-remaining": "41", "x-ratelimit-reset": "1"}))) as server,
        an_api(server.url) as api,
    ):
        assert api.gate.remaining is None
        await api.get("/v2/things")
        assert api.gate.remaining == 41
