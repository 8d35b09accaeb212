"""Each fault of the body as it is on the wire: something else, something wrong, another part than was asked for."""

import gzip
import zlib

import pytest

from archiver.simulator import actions, body_actions
from archiver.simulator.faults import Rule
from tests.simulator.stage import TELNYX_ID, ask


async def test_gzip_nobody_asked_for_is_valid_truncated_or_a_bomb(simulation, faulty, truth):
    url = await faulty(body_actions.gzipped(), times=1)
    valid = await ask(url)
    simulation.faults.add(Rule(name="truncated", action=body_actions.gzipped("truncated"), times=1))
    truncated = await ask(url)
    simulation.faults.add(Rule(name="bomb", action=body_actions.gzipped("bomb", bomb_size=8 * 2**20)))
    bomb = await ask(url)

    for answer in (valid, truncated, bomb):
        assert (answer.status, answer.header("Content-Encoding")) == (200, "gzip")
        assert len(answer.body) == int(answer.header("Content-Length"))
    assert gzip.decompress(valid.body) == truth
    unpacker = zlib.decompressobj(31)
    assert truth.startswith(unpacker.decompress(truncated.body))
    assert not unpacker.eof
    assert gzip.decompress(bomb.body) == bytes(8 * 2**20)
    assert len(bomb.body) < 2**14


@pytest.mark.parametrize(
    ("kind", "starts", "content_type"),
    [
        ("html", b"<!DOCTYPE", "text/html"),
        ("json", b"{", "application/json"),
        ("xml", b"<?xml", "application/xml"),
        ("noise", b"\x01\x02", "audio/ogg"),
    ],
)
async def test_something_else_can_come_with_200(faulty, kind, starts, content_type):
    answer = await ask(await faulty(body_actions.instead(kind)))

    assert (answer.status, answer.header("Content-Type")) == (200, content_type)
    assert answer.body.startswith(starts)


@pytest.mark.parametrize("action", [body_actions.instead("empty"), actions.status(204), body_actions.instead("html", code=206)])
async def test_nothing_and_odd_successes_can_come(faulty, action):
    answer = await ask(await faulty(action))

    assert answer.status in {200, 204, 206}
    assert len(answer.body) < 200


async def test_206_can_come_unasked(faulty, truth):
    answer = await ask(await faulty(body_actions.partial(0.5)))

    assert (answer.status, answer.header("Content-Range")) == (206, "bytes 0-19999/40000")
    assert answer.body == truth[:20_000]


async def test_a_range_can_be_ignored_or_named_wrong(simulation, faulty, truth):
    url = await faulty(body_actions.range_ignored(), times=1)
    ignored = await ask(url, headers={"Range": "bytes=100-199"})
    simulation.faults.add(Rule(name="wrong", action=body_actions.wrong_range(7)))
    wrong = await ask(url, headers={"Range": "bytes=100-199"})

    assert (ignored.status, ignored.body) == (200, truth)
    assert (wrong.status, wrong.header("Content-Range"), wrong.body) == (206, "bytes 107-206/40000", truth[100:200])


async def test_a_changing_etag_makes_every_if_range_start_over(faulty, truth):
    url = await faulty(body_actions.new_etag())
    first = await ask(url)
    second = await ask(url, headers={"Range": "bytes=5-", "If-Range": first.header("ETag")})
    unconditional = await ask(url, headers={"Range": "bytes=5-"})

    assert (second.status, second.body) == (200, truth)
    assert unconditional.status == 206
    assert len({answer.header("ETag") for answer in (first, second, unconditional)}) == 3


@pytest.mark.parametrize("keep_etag", [True, False])
async def test_other_bytes_of_the_same_size_can_come(faulty, truth, keep_etag, world):
    answer = await ask(await faulty(body_actions.other_bytes(keep_etag=keep_etag)))

    assert len(answer.body) == len(truth)
    assert answer.body != truth
    assert answer.body[:4] == truth[:4]
    assert (answer.header("ETag") == world.recordings[TELNYX_ID].media["media"].etag) is keep_etag


@pytest.mark.parametrize("after", [0, 0.5, -1])
async def test_one_bit_can_be_wrong(faulty, truth, after):
    answer = await ask(await faulty(body_actions.flipped(after)))
    differing = [index for index, pair in enumerate(zip(answer.body, truth, strict=True)) if pair[0] != pair[1]]

    assert differing == [actions.place(after, len(truth))]


async def test_a_range_can_end_early_and_only_ranges_can_be_hit(faulty, truth):
    url = await faulty(body_actions.on_ranges(body_actions.short_range(10), skip=1))
    honest = await ask(url, headers={"Range": "bytes=100-199"})
    short = await ask(url, headers={"Range": "bytes=100-199"})
    whole = await ask(url)

    assert (honest.status, honest.body) == (206, truth[100:200])
    assert (short.status, short.header("Content-Range"), short.body) == (206, "bytes 100-189/40000", truth[100:190])
    assert (whole.status, whole.body) == (200, truth)


async def test_headers_can_be_others_or_missing(faulty, truth):
    answer = await ask(await faulty(body_actions.with_headers(ETag=None, Accept_Ranges="none")))

    assert (answer.header("ETag"), answer.header("Accept-Ranges"), answer.body) == (None, "none", truth)
