"""Downloads that are cut, falsified or led astray (F1, F2): none is archived, each says why, and the true ones beside them are."""

import asyncio
import hashlib
import re
import warnings
from collections import Counter
from dataclasses import replace

import aiohttp
import pytest

from archiver.simulator.actions import announced, chunked, cut, head_lines, over, redirect, status, until_close
from archiver.simulator.body_actions import (
    gzipped,
    instead,
    new_etag,
    other_bytes,
    partial,
    range_ignored,
    wrong_range,
)
from archiver.simulator.faults import Faults, Rule
from archiver.simulator.media_file import Kind, MediaFile
from archiver.simulator.page_actions import links_to
from archiver.simulator.recordings import Source
from archiver.simulator.server import serve
from archiver.simulator.world import World
from tests.acceptance.stage import configuration, opened
from tests.pipeline.clock import VirtualClock
from tests.pipeline.simulated import simulated, simulated_id

ROOMS, CALLS, TWILIO = Source.TELNYX_ROOMS, Source.TELNYX_CALLS, Source.TWILIO_VIDEO
SIZE = 20_000

# What is done to a download: the source, the fault, the state it ends in, and the reason that an operator reads.
NO_LENGTH = "nothing announced how many there are"
NOT_ONE = "not a recording: "
NOT_HTTP = "|not HTTP as it should be"  # what is left over is taken for the next answer on the connection


def to_itself(exchange):
    return redirect(f"{exchange.request.base_url}{exchange.request.target}")(exchange)


WAYS = {
    # F1: what looks complete to an HTTP client
    "the end of the connection is the end, cut": (ROOMS, until_close(0.5), "failed", NO_LENGTH),
    "the end of the connection is the end, whole": (ROOMS, until_close(), "failed", NO_LENGTH),
    "HTTP/1.0, cut": (ROOMS, until_close(0.5, version="1.0"), "failed", NO_LENGTH),
    "chunks ended early with a proper last one": (ROOMS, chunked(0.5), "failed", NO_LENGTH),
    "the same, of a file whose exact size is listed": (
        TWILIO,
        chunked(0.5),
        "failed",
        r"\d+ bytes received, the provider lists \d+",
    ),
    "the same, of a file that knows its own length": (
        CALLS,
        chunked(0.5),
        "failed",
        r"\d+ bytes received, the WAV header says \d+",
    ),
    "gzip, cut": (ROOMS, gzipped("truncated"), "failed", "content encoding 'gzip'"),
    "gzip, whole": (ROOMS, gzipped(), "failed", "content encoding 'gzip'"),
    "a gzip bomb": (ROOMS, gzipped("bomb", bomb_size=8 * 2**20), "failed", "content encoding 'gzip'"),
    # what does not
    "fewer bytes than announced": (ROOMS, cut(0.5), "failed", r"\d+ bytes|before the end"),
    "reset in the middle": (ROOMS, cut(0.5, ending="rst"), "failed", "reset|broke|disconnect|bytes"),
    "cut one byte before the end": (ROOMS, cut(-1), "failed", r"\d+ bytes"),
    "chunks without a last one": (ROOMS, chunked(0.5, terminated=False), "failed", "bytes|incomplete|broke|payload"),
    "more announced than there is": (ROOMS, announced(1000), "failed", r"\d+ bytes"),
    # F2: what is not what was asked for
    "less announced than there is": (
        TWILIO,
        announced(-1000),
        "failed",
        r"\d+ bytes received, the provider lists \d+" + NOT_HTTP,
    ),
    "the same, of a WAV file": (CALLS, announced(-1000), "failed", r"the WAV header says \d+" + NOT_HTTP),
    "a part that nobody asked for": (ROOMS, partial(), "failed", "answered 206, accepted: 200"),
    "no content": (ROOMS, status(204), "failed", "answered 204, accepted: 200"),
    "not modified": (ROOMS, status(304), "failed", "answered 304, accepted: 200"),
    "an empty body": (ROOMS, instead("empty"), "failed", "empty body"),
    "an HTML page": (ROOMS, instead("html"), "failed", NOT_ONE + "content type 'text/html'"),
    "JSON": (ROOMS, instead("json"), "failed", NOT_ONE + "content type 'application/json'"),
    "XML": (ROOMS, instead("xml"), "failed", NOT_ONE + "content type 'application/xml'"),
    "noise": (ROOMS, instead("noise"), "failed", NOT_ONE + "no known container"),
    "two lengths": (ROOMS, head_lines("Content-Length: 20000", "Content-Length: 500"), "failed", "."),
    "a negative length": (ROOMS, head_lines("Content-Length: -5"), "failed", "."),
    "a length and chunks": (ROOMS, head_lines("Content-Length: 20000", "Transfer-Encoding: chunked"), "failed", "."),
    # cut again and again, and each time under another validator: ranges that do not belong together
    "cut, and another ETag each time": (ROOMS, over(cut(0.5), new_etag()), "failed", r"began anew|\d+ bytes"),
    # elsewhere
    "led to a private address": (ROOMS, redirect("http://169.254.169.254/latest/meta-data/"), "failed", "url_refused: "),
    "led to a file": (ROOMS, redirect("file:///etc/passwd"), "failed", "url_refused: "),
    "led in a circle": (ROOMS, to_itself, "failed", "url_refused: .*redirects more than"),
    "gone": (ROOMS, status(404), "unavailable", "no media for it at 2 attempts"),
    "refused": (ROOMS, status(403), "failed", "answered 403 AccessDenied: the link is no longer honoured"),
}


def falsified(clock):
    """A world with one recording a way and as many true ones, and the script of what is done to each."""
    world, faults = World(clock=clock, seed=5), Faults()
    for number, (name, (source, action, _state, _reason)) in enumerate(WAYS.items()):
        world.add([wav_or_not(source, number), simulated(source, 1000 + number)])
        faults.add(Rule(name=name, action=action, host="media", path=simulated_id(source, number)))
    return world, faults


def wav_or_not(source, number):
    """Calls are WAV files here, which say their own length."""
    plain = simulated(source, number, size=SIZE)
    if source is not CALLS:
        return plain
    return replace(plain, media={"wav": MediaFile(kind=Kind.WAV, seed=plain.id, size_hint=SIZE)})


async def test_whatever_is_cut_or_falsified_is_not_archived_and_ends_in_a_named_state_with_a_reason(tmp_path, sqlite_url):
    clock = VirtualClock()
    world, faults = falsified(clock)
    async with serve(world, faults=faults) as simulation:
        text = configuration(simulation, folder=tmp_path, catalog=sqlite_url, transfer="max_attempts = 2")
        async with opened(text, tmp_path, clock) as archive:
            await archive.sync()
            clock.advance(minutes=30)
            await archive.sync()
            rows = await archive.renditions()
            keys = await archive.keys()
            for row in rows.values():
                if row.state == "verified":
                    digest = hashlib.sha256(await archive.content(row)).hexdigest()
                    assert digest == world.recordings[row.recording_id].media[row.name].sha256
    assert faults.unreached() == []
    assert min(faults.fired.values()) >= 1
    by_id = {row.recording_id: row for row in rows.values()}
    wrong = {}
    for number, (name, (source, _action, state, reason)) in enumerate(WAYS.items()):
        row = by_id[simulated_id(source, number)]
        if row.state != state or not re.search(reason, row.error) or row.key:
            wrong[name] = (row.state, row.error)
        assert by_id[simulated_id(source, 1000 + number)].state == "verified"
    assert not wrong, "\n".join(f"{name}: {found}" for name, found in wrong.items())
    assert len(keys) == len(WAYS)
    assert Counter(row.state for row in rows.values())["verified"] == len(WAYS)


RESUMED = {
    "the range is ignored": range_ignored(),
    "another range comes": wrong_range(),
    "another ETag comes": new_etag(),
    "the bytes of another file come under another ETag": other_bytes(),
    "nothing of what is left": status(416),
}


@pytest.mark.parametrize("lie", RESUMED.values(), ids=RESUMED)
async def test_a_download_that_is_resumed_against_a_host_that_lies_is_right_or_not_there(tmp_path, sqlite_url, lie):
    clock = VirtualClock()
    world = World(clock=clock, seed=5)
    world.add([simulated(ROOMS, 1, size=200_000)])
    faults = Faults()
    faults.add(Rule(name="cut", action=cut(0.5), host="media", times=1), Rule(name="lie", action=lie, host="media", times=1))
    async with serve(world, faults=faults) as simulation:
        text = configuration(simulation, folder=tmp_path, catalog=sqlite_url, sources=["telnyx-rooms"])
        async with opened(text, tmp_path, clock) as archive:
            await archive.sync()
            (row,) = (await archive.renditions()).values()
            digest = hashlib.sha256(await archive.content(row)).hexdigest()
    assert faults.unreached() == []
    assert row.state == "verified"
    assert digest == row.sha256 == world.recordings[row.recording_id].media["media"].sha256


async def test_links_that_lead_to_a_private_address_open_no_connection(tmp_path, sqlite_url):
    clock = VirtualClock()
    connections = []
    sink = await asyncio.start_server(lambda _reader, writer: (connections.append(1), writer.close()), "127.0.0.1", 0)
    port = sink.sockets[0].getsockname()[1]
    world = World(clock=clock, seed=5)
    world.add([simulated(source, 1) for source in Source])
    faults = Faults([Rule(name="links", action=links_to(f"http://127.0.0.1:{port}/x.ogg"), path="ecordings")])
    async with sink, serve(world, faults=faults) as simulation:
        text = configuration(simulation, folder=tmp_path, catalog=sqlite_url)
        async with opened(text, tmp_path, clock) as archive:
            await archive.sync()
            rows = await archive.renditions()
    assert faults.fired["links"] >= 3
    assert connections == []
    assert {row.state for row in rows.values()} == {"failed"}
    assert all(row.error.startswith("url_refused: ") and "media_hosts" in row.error for row in rows.values())


# -- Twilio's redirect (F4)


async def test_twilios_redirect_is_followed_without_its_credentials(tmp_path, sqlite_url):
    clock = VirtualClock()
    world = World(clock=clock, seed=5)
    world.add([simulated(TWILIO, number) for number in range(3)])
    async with serve(world) as simulation:
        text = configuration(simulation, folder=tmp_path, catalog=sqlite_url, sources=["twilio-video"])
        async with opened(text, tmp_path, clock) as archive:
            await archive.sync()
            rows = await archive.renditions()
    assert {row.state for row in rows.values()} == {"verified"}
    asked = simulation.requests(host="media")
    assert len(asked) == 3
    assert not [line for line in asked if line.authorized or line.header_names & {"cookie", "x-api-key", "proxy-authorization"}]
    assert all(line.authorized for line in simulation.requests(host="twilio"))


async def test_a_client_that_follows_it_the_obvious_way_sends_them_and_is_noticed():
    """The test of the test: aiohttp sends a session's credentials to whoever a redirect names."""
    clock = VirtualClock()
    world = World(clock=clock, seed=5)
    world.add([simulated(TWILIO, 1)])
    async with serve(world) as simulation:
        given = simulation.credentials
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            auth = aiohttp.BasicAuth(given.api_key_sid, given.api_key_secret)
            async with aiohttp.ClientSession(auth=auth) as session:
                await session.get(f"{simulation.twilio_url}/v1/Recordings/{simulated_id(TWILIO, 1)}/Media")
        assert [line.authorized for line in simulation.requests(host="media")] == [True]
