"""What becomes of a note: the provider is asked for that recording, and the archive ends as it would without webhooks."""

import asyncio
import itertools
import random
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import aiohttp
import sqlalchemy as sa
import structlog

from archiver.app import open_app
from archiver.catalog.tables import recordings, renditions
from archiver.cli.run import run_daemon
from archiver.config import Secret, Settings, SourceSettings
from archiver.config.settings import CatalogSettings, StorageSettings, WebSettings
from archiver.daemon import Daemon
from archiver.domain.errors import CatalogUnavailable
from archiver.domain.recording import ProviderStatus, State
from archiver.pipeline import hints
from archiver.pipeline.hints import Hints
from archiver.simulator.recordings import Source
from archiver.simulator.server import serve
from archiver.simulator.webhooks import TelnyxSigner, telnyx_event, twilio_event, twilio_signature
from archiver.simulator.world import World
from tests.pipeline.fake_provider import FakeProvider, processing, recording
from tests.pipeline.simulated import simulated
from tests.pipeline.stage import staged
from tests.web.callers import FORM, JSON, PUBLIC, TOKEN
from tests.web.clock import Clock

SIGNER = TelnyxSigner(b"\x05" * 32)


# -- the notes


def test_ids_are_handed_out_once_in_their_order_and_a_few_at_a_time():
    waiting = Hints(["a", "b"], Clock())
    ids = [f"r{number}" for number in range(hints.AT_ONCE + 1)]
    for recording_id in [*ids, *ids]:
        waiting.note("a", recording_id)
    assert waiting.asks["a"].is_set()
    assert not waiting.asks["b"].is_set()
    waiting.asks["a"].clear()
    assert waiting.take("a") == ids[:-1]
    assert waiting.asks["a"].is_set(), "rung again for the rest"
    assert waiting.take("a") == ids[-1:]
    assert waiting.take("a") == waiting.take("b") == []
    assert not waiting.polls["a"].is_set()


def test_a_note_without_an_id_or_too_many_of_them_ring_for_a_poll():
    waiting = Hints(["a", "b"], Clock())
    waiting.note("a")
    assert waiting.polls["a"].is_set()
    assert not waiting.asks["a"].is_set()
    for number in range(hints.MOST + 5):
        assert not waiting.polls["b"].is_set() or number > hints.MOST
        waiting.note("b", str(number))
    assert waiting.polls["b"].is_set()
    waiting.note("nobody", "x")


def test_an_absence_counts_once_an_hour():
    clock = Clock()
    waiting = Hints(["a", "b"], clock)
    waiting.absent("a", ["r1"])
    clock.advance(seconds=hints.APART - 1)
    waiting.absent("a", ["r1", "r2"])
    assert (waiting.spared("a"), waiting.spared("b")) == ({"r1", "r2"}, set())
    clock.advance(seconds=1)
    assert waiting.spared("a") == {"r2"}


# -- the looks


async def test_a_recording_nobody_knew_is_catalogued_and_the_watermark_stays(empty_url):
    async with staged(empty_url) as stage:
        stage.provider.archivable("r1")
        seen = await stage.discovery().look(["r1", "no-such-id"])
        assert (seen.new, seen.gone) == (1, {"no-such-id"})
        assert await stage.states() == {"r1": "due"}
        assert (await stage.source()).watermark is None
        assert await stage.passes() == []


async def test_absence_is_one_look_and_no_number_of_webhooks_makes_two_of_it(empty_url):
    async with staged(empty_url, FakeProvider(processing("r1"))) as stage:
        await stage.poll()
        del stage.provider.listed["r1"]
        waiting = Hints(["rooms"], stage.clock)
        for _ in range(10):
            waiting.absent("rooms", (await stage.discovery().look(["r1"], spared=waiting.spared("rooms"))).gone)
            assert await stage.state("r1") is State.WAITING
        assert (await stage.recording("r1")).gone_looks == 1
        stage.clock.advance(minutes=5)
        await stage.poll()
        assert await stage.state("r1") is State.LOST


async def end_state(url, told):
    """What the archive holds after four polls with `told`, a function of all ids and the number of the poll, in between."""
    names = [f"r{number}" for number in range(12)]
    async with staged(url) as stage:
        provider = stage.provider
        for number, name in enumerate(names):
            if number % 3 == 0:
                provider.put(processing(name))
            provider.has(name)
        await stage.poll()
        for round_ in range(4):
            if round_ == 1:
                provider.put(*(recording(name) for name in names if name not in {"r3", "r6"}))
                provider.put(replace(recording("r7"), status=ProviderStatus.FAILED, status_raw="failed"))
            if round_ == 2:
                del provider.listed["r3"]
            waiting = Hints(["rooms"], stage.clock)
            for name in told(names, round_):
                waiting.note("rooms", name)
                if round_ % 2:
                    await stage.discovery().look(waiting.take("rooms"))
            while ids := waiting.take("rooms"):
                waiting.absent("rooms", (await stage.discovery().look(ids, spared=waiting.spared("rooms"))).gone)
            await stage.poll()
            await stage.work(patience=60)
            stage.clock.advance(hours=2)
        assert await stage.violations() == []
        query = sa.select(recordings.c.recording_id, recordings.c.status, renditions.c.state, renditions.c.sha256)
        query = query.join(renditions, renditions.c.recording_pk == recordings.c.id).order_by(recordings.c.recording_id)
        return [tuple(row) for row in await stage.rows(query)]


def shuffled(names, seed):
    return random.Random(seed).sample(names, len(names))


WAYS = {
    "once": lambda names, _: names,
    "ten times": lambda names, _: names * 10,
    "in any order": lambda names, round_: shuffled(names * 2, round_),
    "half of them lost": lambda names, round_: shuffled(names, round_)[:6],
    "for others": lambda names, _: [f"not-{name}" for name in names],
}


async def test_the_end_is_the_same_with_webhooks_and_without(tmp_path, empty_template):
    numbers = itertools.count()

    def fresh():
        path = tmp_path / f"{next(numbers)}.db"
        path.write_bytes(empty_template.read_bytes())
        return f"sqlite:///{path}"

    without = await end_state(fresh(), lambda _names, _round: [])
    assert {row[2] for row in without} >= {"verified", "lost", "waiting"}
    for way, told in WAYS.items():
        assert await end_state(fresh(), told) == without, way


# -- the daemon


def settings_for(simulation, folder, port):
    given = simulation.credentials
    plain = {"poll_every": timedelta(hours=1), "media_hosts": (simulation.media_url.partition("//")[2],)}
    telnyx = {
        **plain,
        "base_url": simulation.telnyx_url,
        "api_key": Secret(given.api_key),
        "webhook_public_key": SIGNER.public_key,
    }
    return Settings(
        catalog=CatalogSettings(url=Secret(f"sqlite:///{folder}/catalog.db")),
        storage=StorageSettings(url=f"file://{folder}/archive"),
        web=WebSettings(listen=f"127.0.0.1:{port}", public_url=PUBLIC),
        sources=(
            SourceSettings(name="rooms", provider="telnyx-rooms", **telnyx),
            SourceSettings(name="calls", provider="telnyx-calls", **telnyx),
            SourceSettings(
                name="video",
                provider="twilio-video",
                base_url=simulation.twilio_url,
                account_sid=given.account_sid,
                api_key_sid=given.api_key_sid,
                api_key_secret=Secret(given.api_key_secret),
                auth_token=Secret(TOKEN),
                **plain,
            ),
        ),
    )


def event_of(recording_):
    """Path, body and headers of the webhook about a recording."""
    now = datetime.now(UTC)
    if recording_.source is Source.TWILIO_VIDEO:
        fields = twilio_event(recording_, "AC" + "a" * 32, now)
        signature = twilio_signature(TOKEN, f"{PUBLIC}/webhooks/twilio", fields)
        return "/webhooks/twilio", urlencode(fields).encode(), {**FORM, "X-Twilio-Signature": signature}
    body = telnyx_event(recording_, now)
    return "/webhooks/telnyx", body, {**JSON, **SIGNER.headers(body, int(now.timestamp()))}


async def states(app):
    async with app.database.read() as conn:
        query = sa.select(recordings.c.recording_id, renditions.c.state)
        query = query.join(renditions, renditions.c.recording_pk == recordings.c.id)
        return dict(list((await conn.execute(query)).all()))


async def until(condition):
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.to_thread(lambda: None)


async def test_a_signed_webhook_brings_a_recording_into_the_archive_long_before_the_next_poll(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world = World(clock=lambda: datetime.now(UTC), seed=1)
    ended = datetime.now(UTC) - timedelta(hours=1)
    news = [simulated(source, number, ended_at=ended) for number, source in enumerate(Source)]
    stop = asyncio.Event()
    async with serve(world) as simulation, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with open_app(settings_for(simulation, tmp_path, port), command="run") as app:
            running = asyncio.create_task(run_daemon(app, stop))

            async def polled():
                assert not running.done(), running.result()
                return all([(await app.catalog.source_state(name)).last_complete_pass for name in app.providers])

            await until(polled)
            world.add(news)
            for item in news:
                path, body, headers = event_of(item)
                for _ in range(3):
                    async with session.post(path, data=body, headers=headers) as answer:
                        assert answer.status == 200

            async def archived():
                return await states(app) == {item.id: "verified" for item in news}

            await until(archived)
            stop.set()
            await running
        targets = [request.target for request in simulation.requests(method="GET")]
    asked = {item.source: sum(target.endswith(f"/{item.id}") for target in targets) for item in news}
    # Three webhooks are one question; a room's link is another. A call's webhook has no id in it and leads to a poll.
    assert asked == {Source.TELNYX_ROOMS: 2, Source.TELNYX_CALLS: 0, Source.TWILIO_VIDEO: 1}


class Unreachable:
    """A catalog whose database is gone; who its worker is, it knows by itself."""

    def __init__(self, worker):
        self.worker = worker

    async def source_state(self, _name):
        raise CatalogUnavailable("postgresql://archiver@db.internal:5432/archiver: refused")


async def test_problems_say_that_the_catalog_is_out_of_reach_and_not_where_it_is(tmp_path):
    settings = Settings(
        catalog=CatalogSettings(url=Secret(f"sqlite:///{tmp_path}/catalog.db")),
        storage=StorageSettings(url=f"file://{tmp_path}/archive"),
        sources=(SourceSettings(name="rooms", provider="telnyx-rooms", api_key=Secret("KEY0123456789")),),
    )
    async with open_app(settings, command="run", probe=False) as app:
        blind = replace(app, catalog=Unreachable(app.catalog.worker))
        with structlog.testing.capture_logs() as logged:
            assert await Daemon(blind, asyncio.Event()).problems() == ["the catalog cannot be reached"]
    assert [line["error"] for line in logged if line["event"] == "catalog_unavailable"] == [
        "postgresql://archiver@db.internal:5432/archiver: refused"
    ]
