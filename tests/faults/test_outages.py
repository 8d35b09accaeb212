"""A provider, the store or the catalog gone for an hour: the daemon stays up, says so, keeps calm, and recovers alone."""

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import urllib.error
import urllib.request

import pytest

from tests.faults import simulation
from tests.faults.arena import Arena, Store, migrated, steady_world
from tests.faults.outages import BEGINS, BIN, ENDS, EVERY, SOURCES, ride_out
from tests.faults.reach import Reach, Row
from tests.faults.zygote import Zygote
from tests.testbed.faults import End
from tests.testbed.proxy import proxy
from tests.testbed.scratch import scratch

MINUTE = 60.0
MOST_LINES = 25  # of one kind in a minute; a cause that is told of more often storms
SETTLED = 600.0  # seconds at the start until the first hour's work is ordinary
PAUSE = 15 * MINUTE  # the longest that a circuit stays open


@pytest.fixture(scope="module")
def template():
    with scratch("outages", in_memory=True) as folder:
        yield simulation.empty_catalog(folder)


def calm(ride):
    """What holds in every outage."""
    assert ride.alive
    assert ride.problems == []
    trouble = [at for at, problems in ride.ready.items() if problems]
    assert trouble, "`/readyz` said all the time that all is well"
    assert BEGINS <= min(trouble) <= BEGINS + 15 * MINUTE  # two polls and a bit where nothing else shows it
    assert max(trouble) <= ENDS + PAUSE
    most, what = ride.most_lines()
    assert most <= MOST_LINES, f"{most} lines {what!r} in a minute"
    assert ride.lines_a_minute(BEGINS, ENDS) <= MOST_LINES
    for who in ("rooms", "video", "store", "catalog"):  # of a retry budget of a tenth nothing may be overdrawn
        assert ride.rate(who, BEGINS, ENDS) <= 1.1 * ride.rate(who, SETTLED, BEGINS), who
    caught_up = min(at for at, done in ride.archived.items() if at > ENDS and done >= expected(at))
    assert caught_up <= ENDS + PAUSE + 15 * MINUTE


def expected(at):
    """How many recordings have ended so long before that they must be archived in ordinary times."""
    return len(SOURCES) * int((at - 10 * MINUTE) / EVERY)


def no_stampede(ride, who):
    """The first minute of work after the outage is like the ones in which the backlog is worked off."""
    first = next(at for at in sorted(ride.requests[who]) if at >= ENDS)
    bins = ride.bins(who, first, ENDS + PAUSE + 20 * MINUTE)
    minutes = [sum(bins[number : number + 6]) for number in range(0, len(bins) - 5, int(MINUTE / BIN))]
    ordinary = max(2.0, ride.rate(who, SETTLED, BEGINS))
    backlog = list(itertools.takewhile(lambda count: count > ordinary, minutes))
    assert len(backlog) >= 2, minutes  # a first minute that did all of it would be a stampede
    assert backlog[0] <= 1.5 * sum(backlog) / len(backlog), minutes


def test_a_provider_gone_for_an_hour_is_waited_for_while_the_other_is_served(template):
    ride = ride_out("rooms", template)
    calm(ride)
    no_stampede(ride, "rooms")
    assert ride.rate("video", BEGINS, ENDS) > 0.8 * ride.rate("video", SETTLED, BEGINS)
    told = {text for problems in ride.ready.values() for text in problems}
    assert all(text.startswith("rooms: ") for text in told)
    reached(Row.SERVER_ERRORS)


def test_a_store_gone_for_an_hour_parks_nothing_and_takes_everything_afterwards(template):
    ride = ride_out("store", template)
    calm(ride)
    no_stampede(ride, "store")
    assert "the store: 503 Slow Down" in {text for problems in ride.ready.values() for text in problems}
    reached(Row.S3_ERRORS)


def test_a_catalog_gone_for_an_hour_stops_everything_and_nothing_is_lost(template):
    ride = ride_out("catalog", template)
    calm(ride)
    no_stampede(ride, "catalog")
    assert "the catalog cannot be reached" in {text for problems in ride.ready.values() for text in problems}
    assert ride.rate("store", BEGINS + MINUTE, ENDS) == 0
    reached(Row.DB_DOWN)


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["429", "401"])
def test_a_provider_that_refuses_for_an_hour_is_asked_less_than_three_times_a_minute(template, kind):
    ride = ride_out("rooms", template, kind=kind)
    calm(ride)
    assert max(ride.bins("rooms", BEGINS, ENDS)) <= 3
    assert ride.rate("rooms", BEGINS + MINUTE, ENDS) <= 3
    reached(Row.RATE_LIMIT if kind == "429" else Row.ACCOUNT_REFUSED)


def reached(*rows):
    reach = Reach("outages")
    for row in rows:
        reach.hit(row)
    reach.save()


# -- the real program, and lines that are really cut


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_the_real_daemon_lives_through_cut_lines_and_says_when_it_is_ready(tmp_path, postgres_url, rclone_bucket):
    """PostgreSQL, the store and the providers vanish one after the other, and come back."""
    migrated(postgres_url)
    host, port = "127.0.0.1", int(postgres_url.rpartition(":")[2].partition("/")[0])
    store_port = int(rclone_bucket.endpoint_url.rpartition(":")[2])
    async with proxy(host, port) as database, proxy(host, store_port) as store, Zygote.opened(hurry=True) as zygote:
        opened = {
            "catalog": database.url_for(postgres_url),
            "store": Store(
                url=f"{rclone_bucket.url}/archive", endpoint=store.url_for(rclone_bucket.endpoint_url), bucket=rclone_bucket
            ),
            "world": steady_world(11, 60),
        }
        async with Arena.opened(tmp_path / "arena", **opened, zygote=zygote, poll_every="1s") as arena:
            port = free_port()
            arena.environment |= {"ARCHIVER_WEB__LISTEN": f"127.0.0.1:{port}"}
            run = await arena.start("run")
            await until(port, 200)
            for line in (database, store):
                async with line.closed():
                    line.cut_all(End.RST)
                    arena.simulation.world.add(steady_world(int(arena.runs) + line.port, 20).recordings.values())
                    arena.truth.see(arena.simulation.world)
                    await until(port, 503)
                    await asyncio.sleep(3.0)
                    assert not run.over
                await until(port, 200)
            assert await run.kill(signal.SIGTERM) == 0
            assert (await arena.finish())[-1] == 0
            assert await arena.verdict() == []
            storms = most_in_a_minute(arena.log)
            assert storms <= 400, storms
    reached(Row.DB_DOWN, Row.S3_ERRORS, Row.NO_CONNECTION)


def free_port():
    with contextlib.closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


def ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


async def until(port, status):
    async with asyncio.timeout(60):
        while await asyncio.to_thread(ready, port) != status:  # noqa: ASYNC110 -- of another process
            await asyncio.sleep(0.2)


def most_in_a_minute(log):
    """Warnings and errors in the worst minute."""
    counts = {}
    for raw in log.read_text().splitlines():
        with contextlib.suppress(ValueError):
            line = json.loads(raw)
            if line.get("level") in ("warning", "error"):
                counts[line["timestamp"][:16]] = counts.get(line["timestamp"][:16], 0) + 1
    return max(counts.values(), default=0)
