"""An archive over days or a year of virtual time: several processes, kills, stops, outages, late arrivals, all drawn from a seed.

    python -m tests.faults.simulation --seed 17                 # the course of one seed
    python -m tests.faults.simulation --seed 17 --trace         # … with every event of it
    python -m tests.faults.simulation --seeds 1000 --jobs 2     # many seeds
    python -m tests.faults.simulation --year                    # one year

The product's own discovery, pump, transfer, verification, sweep and SQL catalog run unchanged over a fickle provider, store and
database. The storm lasts for the days asked for; then everything heals, and what the archive makes of it is judged: by
`check_invariants`, and by what the provider really had (tests/faults/verdict.py).
"""

import argparse
import asyncio
import hashlib
import itertools
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from archiver.catalog import schema
from tests.faults.hosts import Host
from tests.faults.inline_sqlite import InlineDatabase, closed
from tests.faults.jobs import collect_rarely
from tests.faults.lives import DAY, HOUR, Lives, drawn
from tests.faults.quiet import told
from tests.faults.reach import Reach, Row
from tests.faults.scenario import Scenario
from tests.faults.verdict import verdict
from tests.faults.virtual_time import SimClock, virtual_time
from tests.pipeline.memory_store import POOR, STRICT, MemoryStore
from tests.testbed.scratch import scratch

PART = 1000
TARGETS = ("catalog", "store")
MANY = 50  # seeds, of which every fault must have happened to one at least
ROWS = (
    Row.RATE_LIMIT,
    Row.SERVER_ERRORS,
    Row.MEDIA_REFUSED,
    Row.CUT_BODY,
    Row.EXPIRED_LINK,
    Row.NOT_MEDIA,
    Row.LISTED_TWICE,
    Row.SHIFTING_PAGES,
    Row.S3_ERRORS,
    Row.S3_LOST_REPLY,
    Row.S3_REFUSED,
    Row.DB_DOWN,
    Row.DB_COMMIT,
    Row.KILL,
    Row.SIGTERM,
    Row.ZOMBIES,
    Row.CLOCK_JUMPS,
)


class World:
    """What all processes share: the course of events, the provider, the storm."""

    piece = 0.5  # seconds that a piece of a body may take

    def __init__(self, scenario, *, keep=False):
        self.scenario = scenario
        self.seed = scenario.seed
        self.rng = random.Random(f"events {scenario.seed}")
        self.reach = Reach(f"simulation {scenario.seed}")
        self.storming = True
        self.lives = {}
        for number, source in enumerate(scenario.sources):
            lives = drawn(scenario.seed, source, days=scenario.days, per_day=scenario.per_day, part_size=PART)
            self.lives[source] = Lives(lives, remembers=number == 1, page_size=scenario.page_size)
        self.outages = self._outages()
        self.broken, self.watermarks, self.lies, self.jumped = [], {}, {}, -1.0
        self.held = 0  # how many times a recording was seen to be in the catalog at the end of a complete pass
        self.counts = Counter()
        self.trace = deque(maxlen=None if keep else 40)
        self._digest = hashlib.sha256()
        self._numbers = itertools.count(1)

    @property
    def digest(self):
        """Of all events so far, with their times."""
        return self._digest.hexdigest()

    def tell(self, who, what):
        line = f"{asyncio.get_running_loop().time():.6f} {who} {what}"
        self.counts["events"] += 1
        self._digest.update(line.encode())
        self.trace.append(line)

    def fault(self, what, row):
        """Whether it happens now, by chance; while the storm lasts."""
        if not self.storming or self.rng.random() >= self.scenario.level:
            return False
        self.tell("FAULT", what)
        self.counts[what] += 1
        self.reach.hit(row)
        return True

    def lied(self, source):
        self.lies[source] = asyncio.get_running_loop().time()

    def outage(self, target):
        """What is the matter with a source, the catalog or the store for a while now; "" where nothing is."""
        now = asyncio.get_running_loop().time()
        for what, start, end, kind in self.outages:
            if what == target and start <= now < end and self.storming:
                self.counts[f"in an outage of {what}"] += 1
                self.reach.hit({"catalog": Row.DB_DOWN, "store": Row.S3_ERRORS}.get(what, Row.SERVER_ERRORS))
                return kind
        return ""

    def _outages(self):
        """A few a week, up to six hours long."""
        rng = random.Random(f"outages {self.seed}")
        found, at = [], 0.0
        while (at := at + rng.expovariate(1 / (1.5 * DAY))) < self.scenario.days * DAY:
            target = rng.choice((*self.scenario.sources, *self.scenario.sources, *TARGETS))
            kind = rng.choice(("503", "503", "429", "401")) if target not in TARGETS else "503"
            found.append((target, at, at + rng.choice((60.0, 600.0, HOUR, 6 * HOUR)) * rng.random(), kind))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one seed went."""

    scenario: Scenario
    digest: str
    problems: list[str]
    counts: Counter
    reach: Counter
    held: int
    recordings: int
    seconds: float
    trace: list[str] = field(default_factory=list)

    def __str__(self):
        lines = [f"seed {self.scenario.seed}: {len(self.problems)} problems; again with: {self.scenario.command}"]
        return "\n".join([*lines, *self.problems[:20]])


def simulate(scenario, template, *, keep=False):
    """The course of a scenario; `template` is an empty catalog's file."""
    began = time.perf_counter()
    path = template.with_name(f"course-{os.getpid()}.db")
    shutil.copyfile(template, path)
    world = World(scenario, keep=keep)
    try:
        with told() as logs, virtual_time() as runner:
            problems = runner.run(_play(world, f"sqlite:///{path}"))
    finally:
        for left in template.parent.glob(f"{path.name}*"):
            left.unlink()
    problems += [f"log: {event}" for event in ("unexpected_error", "job_failed") if logs.counts[event]]
    return Course(
        scenario=scenario,
        digest=world.digest,
        problems=problems,
        counts=world.counts,
        reach=world.reach.counts,
        held=world.held,
        recordings=sum(len(lives.by_id) for lives in world.lives.values()),
        seconds=time.perf_counter() - began,
        trace=list(world.trace) if keep or problems else [],
    )


async def _play(world, url):
    async with closed(url):
        return await _played(world, url)


async def _played(world, url):
    """The storm, a quiet hour, an operator and another, a day in which leftovers grow old, and the verdict."""
    scenario = world.scenario
    bucket = MemoryStore(PART, abilities=POOR if scenario.poor_store else STRICT)
    hosts = [Host(world, f"host{number}", url, bucket) for number in range(scenario.hosts)]
    try:
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                group.create_task(host.live(scenario.days * DAY))
    except ExceptionGroup as failures:
        return [f"crashed: {error!r}" for error in failures.exceptions]
    world.storming = False
    await hosts[0].calm(HOUR)
    await hosts[0].calm(HOUR, act=hosts[0].retry_all)
    await asyncio.sleep(25 * HOUR)
    await hosts[0].calm(60.0)
    clock = SimClock("judge")
    async with InlineDatabase(url, clock=clock) as database:
        return await verdict(world, database, bucket, now=clock.now())


def empty_catalog(folder):
    """A migrated, empty catalog to be copied."""
    path = Path(folder) / "template.db"
    schema.upgrade_now(f"sqlite:///{path}")
    return path


def campaign(scenarios, template, *, jobs=1):
    """Many courses, `jobs` at a time, as they end."""
    if jobs == 1:
        yield from (simulate(scenario, template) for scenario in scenarios)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=collect_rarely) as pool:
        yield from pool.map(simulate, scenarios, itertools.repeat(template), chunksize=1)


def main(words=None):
    """Runs seeds; ends with 1 when one of them broke a law."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.simulation", description="Simulates an archive over days.")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--year", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--trace", action="store_true", help="print every event of one seed")
    given = parser.parse_args(words)
    seeds = range(given.seed, given.seed + given.seeds)
    scenarios = [Scenario.year(seed) if given.year else Scenario.of(seed, given.days) for seed in seeds]
    failed, total, reach = 0, Counter(), Reach("simulation")
    with scratch("simulation", in_memory=True) as folder:
        template = empty_catalog(folder)
        courses = [simulate(scenarios[0], template, keep=True)] if given.trace else campaign(scenarios, template, jobs=given.jobs)
        for course in courses:
            total.update(course.counts)
            total["recordings"] += course.recordings
            reach.counts.update(course.reach)
            if given.trace:
                sys.stdout.write("\n".join(course.trace) + "\n")
            if course.problems:
                failed += 1
                sys.stdout.write(f"{course}\n")
    reach.save()
    missed = reach.missing(ROWS) if len(scenarios) >= MANY else []
    sys.stdout.write("".join(f"never happened: {row}\n" for row in missed))
    for name, count in sorted(total.items()):
        sys.stdout.write(f"{count:>10,}  {name}\n")
    sys.stdout.write(f"digest of the last {course.digest[:16]}, {course.seconds:.1f} s\n")
    each = "1 seed" if len(scenarios) == 1 else f"{len(scenarios):,} seeds"
    did = f"{total['recordings']:,} recordings, {total['events']:,} events, {total['process: kill']:,} kills"
    sys.stdout.write(f"tried {each} of {scenarios[0].days:g} days, {did}: found {failed} that broke a law\n")
    return 1 if failed or missed else 0


if __name__ == "__main__":
    collect_rarely()
    sys.exit(main())
