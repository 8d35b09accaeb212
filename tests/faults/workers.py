"""Several processes of `archiver run` on one PostgreSQL, some of them stopped past their leases and let go on, some killed.

    python -m tests.faults.workers --seed 3 --workers 4 --seconds 60

A stopped process is a zombie: when it goes on, others have its work. It must be refused whatever it still wants to write, and be
seen to try, else the campaign has proved nothing.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from archiver.simulator import actions
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.faults import Faults, Rule
from tests.faults.arena import Arena, Store, migrated, steady_world
from tests.faults.found import tried
from tests.faults.reach import Reach, Row
from tests.faults.zygote import Zygote
from tests.testbed.localstack import localstack
from tests.testbed.postgres import postgres
from tests.testbed.scratch import scratch

LEASE = 2.0  # seconds, in place of 45
CALM = 3.0  # seconds at first in which nothing is done to anybody
REFUSED = ("outcome_too_late", "claim_lost")  # what a zombie says when it finds out
TAKEN_OVER = LEASE * 4 / 3 + 2.0  # a dead worker's claims are another's by then: 60 s of 45, and what a busy machine adds
CYCLE = 4.0  # seconds of a worker's life between two things that are done to it


class ShortLeased(Zygote):
    """A zygote whose runs have short leases."""

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, *, lease=LEASE):
        words = [sys.executable, "-m", "tests.faults.short_leases", str(lease)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
        zygote = cls(process)
        try:
            yield zygote
        finally:
            process.stdin.close()
            await process.wait()
            await zygote._reader


@dataclass
class Tally:
    """What a campaign tried and saw."""

    stops: int = 0
    kills: int = 0
    refused: Counter = field(default_factory=Counter)
    transferred: Counter = field(default_factory=Counter)
    takeovers: list = field(default_factory=list)
    overlaps: list = field(default_factory=list)
    violations: list = field(default_factory=list)

    def __str__(self):
        slowest = max(self.takeovers, default=0.0)
        shares = ", ".join(str(count) for _name, count in sorted(self.transferred.items()))
        return (
            f"{self.stops} stops, {self.kills} kills, {self.refused.total()} writes of zombies refused; transferred {shares}; "
            f"slowest takeover {slowest:.1f} s at leases of {LEASE} s; {len(self.violations)} violations"
        )


class Crew:
    """The processes of one campaign, each with a log of its own."""

    def __init__(self, arena, database_url, rng):
        self.arena = arena
        self.url = database_url
        self.rng = rng
        self.tally = Tally()
        self.runs = []
        self.logs = []

    async def start(self):
        """One more process."""
        log = self.arena.folder / f"worker-{len(self.logs)}.log"
        words = ("--config", self.arena.folder / "archiver.toml", "--log-format", "json", "run")
        self.logs.append(log)
        run = await self.arena.zygote.start(*words, log=log, environment=self.arena.environment)
        self.runs.append(run)
        return run

    async def started(self, count):
        """Until so many have said that they work."""
        async with asyncio.timeout(60):
            while sum(1 for _ in self.lines("started")) < count:  # noqa: ASYNC110 -- said by other processes, into files
                await asyncio.sleep(0.05)

    async def torment(self, run, until):
        """One process after the other in this place: stopped past its lease several times, then killed, while the others work."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await asyncio.sleep(self.rng.uniform(0.3, CYCLE / 2))
            if self.rng.random() < 0.25:
                await self._kill(run)
                run = await self.start()
                continue
            self.tally.stops += 1
            os.kill(run.pid, signal.SIGSTOP)
            await asyncio.sleep(LEASE * self.rng.uniform(1.1, 2.0))
            os.kill(run.pid, signal.SIGCONT)

    async def _kill(self, run):
        """Its claims have to be another's before a minute, scaled, is over; nobody starts on this host meanwhile."""
        await run.kill()
        self.tally.kills += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        while await asyncio.to_thread(self._held_by, run.pid):
            if loop.time() - began > TAKEN_OVER * 5:
                self.tally.violations.append(f"claims of a dead worker are still its own after {loop.time() - began:.1f} s")
                return
            await asyncio.sleep(0.05)
        self.tally.takeovers.append(loop.time() - began)

    def _held_by(self, pid):
        """Claims of a process; the name of a worker holds its pid."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            query = "SELECT count(*) FROM renditions WHERE state = 'transferring' AND worker LIKE %s"
            return conn.execute(query, (f"%:{pid}:%",)).fetchone()[0]

    def lines(self, *events):
        """(log, line) for every such event that any process told."""
        for log in self.logs:
            for raw in log.read_bytes().splitlines() if log.exists() else ():
                if any(f'"{event}"'.encode() in raw for event in events):
                    yield log, json.loads(raw)

    async def close(self):
        """Asks them to end, all at once."""
        runs = [run for run in self.runs if not run.over]
        codes = await asyncio.gather(*(run.kill(signal.SIGTERM) for run in runs))
        wrong = [code for code in codes if code not in (0, -signal.SIGTERM)]  # the latter before its handlers stand
        self.tally.violations += [f"a drained process ended with {wrong}"] if wrong else []


async def campaign(folder, seed, *, database_url, store, workers=3, seconds=8.0, recordings=150):
    """A crew through `seconds` of stops and kills, then left in peace until all is done, and judged."""
    rng = random.Random(f"workers {seed}")
    world = steady_world(seed, recordings, large=3)
    slow = Rule(name="slow media", action=actions.delay(0.4), host="media")
    migrated(database_url)
    async with ShortLeased.opened() as zygote:
        opened = Arena.opened(
            folder,
            catalog=database_url,
            store=store,
            world=world,
            zygote=zygote,
            faults=Faults([slow]),
            behaviour=Behaviour(media_rate=2 * 2**20),  # a large one takes several leases
            concurrency=4,
            poll_every="1s",
        )
        async with opened as arena:
            crew = Crew(arena, database_url, rng)
            runs = [await crew.start() for _ in range(workers)]
            await crew.started(workers)
            await asyncio.sleep(CALM)
            crew.tally.overlaps = overlapping(line for _log, line in crew.lines("polled"))
            until = asyncio.get_running_loop().time() + seconds
            await asyncio.gather(_more(arena, seed, until), *(crew.torment(run, until) for run in runs[1:]))
            arena.simulation.faults.clear()
            arena.simulation.behaviour.media_rate = 0
            await crew.close()
            await _judge(crew)
            return crew.tally


def overlapping(polled):
    """Pairs of polls of one source that went on at the same time, from what was logged at their ends."""
    ends = defaultdict(list)
    for line in polled:
        end = datetime.fromisoformat(line["timestamp"])
        ends[line["source"]].append((end - timedelta(seconds=line["seconds"]), end))
    return [
        f"{source} from {later[0]}, while one from {earlier[0]} went on until {earlier[1]}"
        for source, spans in ends.items()
        for earlier, later in itertools.pairwise(sorted(spans))
        if later[0] < earlier[1]
    ]


async def _more(arena, seed, until):
    """Recordings keep coming."""
    loop, number = asyncio.get_running_loop(), 0
    while loop.time() < until:
        await asyncio.sleep(1.0)
        number += 1
        added = steady_world(seed * 1000 + number, 20)
        arena.simulation.world.add(added.recordings.values())
        arena.simulation.world.rooms |= added.rooms
        arena.simulation.world.sessions |= added.sessions
        arena.simulation.world.participants |= added.participants
        arena.truth.see(arena.simulation.world)


async def _judge(crew):
    codes = await crew.arena.finish()
    tally = crew.tally
    tally.violations += [f"polled by two at once: {pair}" for pair in tally.overlaps]
    tally.violations += [f"the last sync ended with {codes}"] if codes[-1] != 0 else []
    tally.violations += [str(item) for item in await crew.arena.verdict()]
    for _log, line in crew.lines(*REFUSED):
        tally.refused[line["event"]] += 1
    for log, _line in crew.lines("transferred"):
        tally.transferred[log.stem] += 1
    late = [took for took in tally.takeovers if took > TAKEN_OVER]
    if len(late) > len(tally.takeovers) // 10:  # a machine with two processors may be busy once
        tally.violations.append(f"{len(late)} of {len(tally.takeovers)} takeovers were late: {late}")


async def _main(given):
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch("workers", in_memory=True))
        url = stack.enter_context(stack.enter_context(postgres()).database())
        if given.store == "localstack":
            bucket = stack.enter_context(localstack()).new_bucket()
            store = Store(url=f"{bucket.url}/archive", endpoint=bucket.endpoint_url, bucket=bucket)
        else:
            store = Store(url=f"file://{folder}/archive")
        how = {"workers": given.workers, "seconds": given.seconds}
        tally = await campaign(folder, given.seed, database_url=url, store=store, **how)
    print(tally, *tally.violations, sep="\n")
    reach = Reach("workers")
    reach.hit(Row.ZOMBIES, tally.refused.total())
    reach.hit(Row.KILL, tally.kills)
    reach.save()
    done = f"{tally.stops} stops past leases and {tally.kills} kills among {given.workers} processes"
    print(tried(f"{done}, {tally.refused.total()} writes of zombies refused", tally.violations))
    return 1 if tally.violations or not tally.refused else 0


def main(words=None):
    """Exit code 1 where a law broke, or no zombie was seen to try."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.workers", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--store", choices=("file", "localstack"), default="file")
    return asyncio.run(_main(parser.parse_args(words)))


if __name__ == "__main__":
    sys.exit(main())
