"""Each fault as it is on the wire, read by a client that believes nothing."""

import asyncio
import time

import pytest

from archiver.simulator import actions, body_actions
from archiver.simulator.faults import Faults, Rule
from archiver.simulator.server import serve
from tests.simulator.stage import TELNYX_ID, ask, ask_telnyx, ask_twilio, media_url


@pytest.mark.parametrize("code", [401, 403, 500, 502, 503, 504])
async def test_a_status_comes_in_the_words_of_each_host(simulation, faulty, code):
    url = await faulty(actions.status(code), host=None)
    media, telnyx, twilio = (
        await ask(url),
        await ask_telnyx(simulation, "/recordings"),
        await ask_twilio(simulation, "/Recordings"),
    )

    assert {answer.status for answer in (media, telnyx, twilio)} == {code}
    assert media.body.startswith(b"<?xml")
    assert telnyx.json["errors"][0]["title"]
    assert twilio.json["status"] == code
    assert simulation.faults.fired["fault"] == 3


@pytest.mark.parametrize("value", ["0", "-1", "1000000000", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", ""])
async def test_429_comes_with_whatever_headers_are_asked_for(simulation, faulty, value):
    await faulty(actions.status(429, retry_after=value, x_ratelimit_reset=value), host="telnyx")
    answer = await ask_telnyx(simulation, "/room_recordings")

    assert answer.status == 429
    assert answer.header("Retry-After") == value
    assert answer.header("x-ratelimit-reset") == value
    assert answer.json["errors"][0]["code"] == "10011"


async def test_html_and_nothing_can_be_the_body_of_an_error(faulty, simulation):
    url = await faulty(actions.status(503, body="html"), times=1)
    html = await ask(url)
    simulation.faults.clear()
    simulation.faults.add(Rule(name="empty", action=actions.status(500, body="empty")))

    assert (html.status, html.header("Content-Type")) == (503, "text/html")
    assert (await ask(url)).body == b""


async def test_the_servers_stop_at_once_though_a_request_hangs(world, clock):
    reached = asyncio.Event()
    action = actions.over(actions.hang(0), actions.first(lambda _: reached.set()))
    async with serve(world, faults=Faults([Rule(name="hang", action=action)])) as simulation:
        hanging = asyncio.create_task(ask_telnyx(simulation, "/recordings"))
        await reached.wait()
        started = time.monotonic()

    assert time.monotonic() - started < 5
    assert (await hanging).ended in {"fin", "rst"}


async def test_a_hang_gives_nothing_at_all(faulty):
    answer = await ask(await faulty(actions.hang()), silence=0.1)

    assert (answer.status, answer.ended) == (0, "open")


@pytest.mark.parametrize(("after", "count"), [(1, 1), (0.5, 20_000), (-1, 39_999)])
async def test_a_hang_in_the_body_gives_just_so_much(faulty, truth, after, count):
    answer = await ask(await faulty(actions.hang(after)), silence=0.05, after=count)

    assert (answer.status, answer.ended) == (200, "open")
    assert answer.raw == truth[:count]
    assert answer.header("Content-Length") == str(len(truth))


async def test_slow_is_a_rate_and_the_answer_is_whole(faulty, truth):
    url = await faulty(actions.slow(100_000))
    started = time.monotonic()
    trickle = await ask(url)

    assert (trickle.body, trickle.ended) == (truth, "fin")
    assert time.monotonic() - started > 0.3


async def test_delay_is_before_the_first_byte(faulty, truth):
    url = await faulty(actions.delay(0.5), times=2)

    assert (await ask(url, silence=0.05)).ended == "open"
    assert (await ask(url)).body == truth


@pytest.mark.parametrize("ending", ["fin", "rst"])
@pytest.mark.parametrize(("after", "count"), [(0, 0), (1, 1), (0.25, 10_000), (-1, 39_999)])
async def test_a_cut_keeps_the_announced_length_and_breaks_off(faulty, truth, ending, after, count):
    answer = await ask(await faulty(actions.cut(after, ending=ending)))

    assert answer.header("Content-Length") == str(len(truth))
    assert answer.raw == truth[:count]
    assert answer.ended == ending


@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_an_answer_can_be_lost_after_the_deed(simulation, world, faulty, ending):
    await faulty(actions.no_answer(ending=ending), host="telnyx", method="DELETE")
    answer = await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}", method="DELETE")

    assert (answer.status, answer.ended) == (0, ending)
    assert world.deletions == [TELNYX_ID]


async def test_a_connection_can_end_before_the_deed(simulation, world, faulty):
    await faulty(actions.no_answer(done=False), host="telnyx", method="DELETE")
    answer = await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}", method="DELETE")

    assert (answer.status, answer.ended) == (0, "fin")
    assert world.deletions == []


@pytest.mark.parametrize(("code", "done"), [(500, True), (404, True), (204, False), (409, False)])
async def test_a_deletion_can_lie_both_ways(simulation, world, faulty, code, done):
    await faulty(actions.says(code) if done else actions.status(code), host="telnyx", method="DELETE")

    assert (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}", method="DELETE")).status == code
    assert bool(world.deletions) is done


@pytest.mark.parametrize("difference", [-1, -1_000, 1, 1_000])
async def test_a_length_can_be_announced_wrong(faulty, truth, difference):
    answer = await ask(await faulty(actions.announced(difference)))

    assert answer.header("Content-Length") == str(len(truth) + difference)
    assert answer.raw == truth
    assert answer.ended == "fin"


async def test_chunks_carry_the_whole_body(faulty, truth):
    answer = await ask(await faulty(actions.chunked()))

    assert answer.header("Content-Length") is None
    assert answer.body == truth
    assert answer.raw.endswith(b"\r\n0\r\n\r\n")


async def test_an_early_last_chunk_looks_clean(faulty, truth):
    answer = await ask(await faulty(actions.chunked(0.5)))

    assert answer.body == truth[:20_000]
    assert answer.raw.endswith(b"\r\n0\r\n\r\n")


async def test_chunks_can_stop_without_the_last_one(faulty, truth):
    answer = await ask(await faulty(actions.chunked(0.5, terminated=False)))

    assert answer.body == truth[:20_000]
    assert not answer.raw.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(("version", "line"), [("1.1", "HTTP/1.1"), ("1.0", "HTTP/1.0")])
@pytest.mark.parametrize(("after", "count"), [(None, 40_000), (0.5, 20_000), (0, 0)])
async def test_a_body_can_end_with_the_connection(faulty, truth, version, line, after, count):
    answer = await ask(await faulty(actions.until_close(after, version=version)))

    assert answer.version == line
    assert answer.header("Content-Length") is answer.header("Transfer-Encoding") is None
    assert answer.raw == truth[:count]
    assert answer.ended == "fin"


async def test_the_head_can_say_anything_about_the_length(faulty, truth):
    lines = ("Content-Length: 5", "Content-Length: 6", "Transfer-Encoding: chunked", "X-Long: " + "a" * 100_000)
    answer = await ask(await faulty(actions.head_lines(*lines)))

    assert [f"{name}: {value}" for name, value in answer.headers][-5:-1] == list(lines)
    assert answer.raw == truth


async def test_a_redirect_leads_anywhere(faulty):
    answer = await ask(await faulty(actions.redirect("http://169.254.169.254/latest/meta-data", code=307)))

    assert (answer.status, answer.header("Location")) == (307, "http://169.254.169.254/latest/meta-data")


async def test_faults_combine(faulty, truth):
    answer = await ask(await faulty(actions.over(actions.cut(0.5), body_actions.new_etag())))

    assert answer.header("ETag") == '"00000000000000000000000000000001"'
    assert answer.raw == truth[:20_000]


async def test_a_polite_answer_leaves_the_connection_open_for_the_next(simulation, client_session, truth):
    url = await media_url(simulation)
    connections = set()
    for _ in range(3):
        async with client_session.get(url) as response:
            connections.add(response.connection.transport.get_extra_info("sockname"))
            assert await response.read() == truth

    assert len(connections) == 1


async def test_the_media_hosts_rate_is_kept_for_each_connection(simulation, truth):
    simulation.behaviour.media_rate = 400_000
    url, started = await media_url(simulation), time.monotonic()

    assert (await ask(url)).body == truth
    assert time.monotonic() - started > 0.05
