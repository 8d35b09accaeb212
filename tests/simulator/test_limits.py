"""Rate and concurrency limits, as each provider tells them."""

import asyncio

from tests.simulator.stage import ask_telnyx, ask_twilio


async def test_telnyx_tells_its_window_in_every_answer_and_refuses_beyond_it(simulation, clock):
    simulation.behaviour.telnyx_limit, simulation.behaviour.telnyx_window = 2, 10
    answers = [await ask_telnyx(simulation, "/room_recordings") for _ in range(3)]
    clock.advance(seconds=7)
    later = await ask_telnyx(simulation, "/room_recordings")
    clock.advance(seconds=3)
    fresh = await ask_telnyx(simulation, "/room_recordings")

    assert [answer.status for answer in [*answers, later, fresh]] == [200, 200, 429, 429, 200]
    assert [answer.header("x-ratelimit-remaining") for answer in answers] == ["1", "0", "0"]
    assert (answers[2].header("x-ratelimit-limit"), answers[2].header("x-ratelimit-reset")) == ("2", "10")
    assert later.header("x-ratelimit-reset") == "3"
    assert answers[2].json["errors"][0]["code"] == "10011"
    assert answers[2].header("Retry-After") is None


async def test_what_telnyx_refuses_for_its_limit_was_never_done(simulation, world):
    simulation.behaviour.telnyx_limit = 1
    await ask_telnyx(simulation, "/room_recordings")
    answer = await ask_telnyx(simulation, "/room_recordings", method="DELETE")

    assert answer.status == 429
    assert world.bulk_deletions == []


async def test_twilio_limits_what_is_in_flight(simulation):
    simulation.behaviour.twilio_concurrency, simulation.behaviour.latency = 2, 0.3
    answers = await asyncio.gather(*(ask_twilio(simulation, "/Recordings") for _ in range(4)))
    refused = [answer for answer in answers if answer.status == 429]

    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429]
    assert {answer.json["code"] for answer in refused} == {20429}
    assert sorted(answer.header("Twilio-Concurrent-Requests") for answer in answers) == ["1", "2", "3", "4"]
    assert simulation.concurrency.most == 4
    assert (await ask_twilio(simulation, "/Recordings")).status == 200
    assert (await ask_twilio(simulation, "/Recordings")).header("Twilio-Request-Duration") is not None
