"""The real program killed by SIGKILL at random moments, and started again: `sync` and `run`, each catalog, each kind of store (KX).

    python -m tests.faults.kills --seed 7 --kills 50 --database postgresql --store localstack

An episode is one catalog and one archive: a few dozen recordings, some of several parts, some eight kills, then a run that must get
to work at once and end with everything archived, and the verdict on every law. Half of the moments are instants of time, half are
places in the program's work: the n-th request that the providers see.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import re
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field

from archiver.domain.invariants import Violation
from archiver.simulator.behaviour import Behaviour
from tests.faults.arena import Arena, Store, migrated, steady_world
from tests.faults.found import tried
from tests.faults.jobs import spread
from tests.faults.reach import Reach, Row
from tests.faults.zygote import Zygote
from tests.testbed.localstack import localstack
from tests.testbed.postgres import postgres
from tests.testbed.rclone_s3 import rclone_s3
from tests.testbed.scratch import scratch

KILLS = 8  # in one episode
WORKED = 1.5  # seconds from the first request to a kill, at most
LONGEST = 4.0  # seconds that requests are waited for: an idle daemon makes few
DRAIN = 32.0  # seconds that a drain may take
EARLY = 1.0  # seconds in which a daemon may end without one
REQUESTS = 30  # or this many requests, at most
DATABASES, STORES = ("sqlite", "postgresql"), ("file", "rclone", "localstack")


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a campaign tried. `when` counts what a run had asked the providers for last when it died."""

    kills: int = 0
    asked: int = 0  # to stop, by SIGTERM or SIGINT
    too_late: int = 0  # the run had ended by itself
    episodes: int = 0
    when: Counter = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other):
        """Takes in what another part of the campaign tried."""
        for name in ("kills", "asked", "too_late", "episodes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.when += other.when
        self.violations += other.violations

    @property
    def tried(self):
        """Runs that were ended, or had ended already."""
        return self.when.total()

    def __str__(self):
        said = ", ".join(f"{n} after {what}" for what, n in self.when.most_common())
        return f"{self.kills} kills and {self.asked} other signals in {self.episodes} episodes ({said}): {len(self.violations)} violations"


class Servers:
    """What catalogs and archives are made on; started when first asked for."""

    def __init__(self, stack, *, postgres_server=None, s3_servers=None):
        self._stack = stack
        self._postgres = postgres_server
        self._s3 = dict(s3_servers or {})

    def catalog(self, kind, folder):
        """The URL of a migrated, empty catalog."""
        if kind == "sqlite":
            return migrated(f"sqlite:///{folder}/catalog.db")
        if self._postgres is None:
            self._postgres = self._stack.enter_context(postgres())
        return self._stack.enter_context(self._postgres.database(self._postgres.template("kills", migrated)))

    def store(self, kind, folder):
        """An empty archive."""
        if kind == "file":
            return Store(url=f"file://{folder}/archive")
        if kind not in self._s3:
            self._s3[kind] = self._stack.enter_context({"localstack": localstack, "rclone": rclone_s3}[kind]())
        bucket = self._s3[kind].new_bucket()
        return Store(url=f"{bucket.url}/archive", endpoint=bucket.endpoint_url, bucket=bucket)


async def episode(folder, seed, *, database, store, servers, zygote, kills=KILLS, recordings=40, tally):
    """One catalog and one archive through several kills, to the verdict."""
    rng = random.Random(f"kills {seed} {database} {store}")
    world = steady_world(seed, recordings, large=3)
    folder.mkdir(parents=True)
    opened = Arena.opened(
        folder,
        catalog=servers.catalog(database, folder),
        store=servers.store(store, folder),
        world=world,
        zygote=zygote,
        behaviour=Behaviour(latency=0.005, media_rate=20 * 2**20),
    )
    async with opened as arena:
        for _ in range(kills):
            await _kill_one(arena, rng, tally)
        codes = await arena.finish()
        found = [str(violation) for violation in await arena.verdict()]
        if codes[-1] != 0:
            found.append(f"the last sync ended with {codes}")
    tally.episodes += 1
    command = f"python -m tests.faults.kills --seed {seed} --kills {kills} --database {database} --store {store}"
    tally.violations += [f"{command}\n    {text}" for text in found]
    return found


async def _kill_one(arena, rng, tally):
    """One run and its end: by SIGKILL mostly, sometimes by a signal that asks it to stop, which has to be done within a drain."""
    before = len(arena.simulation.audit)
    command = rng.choice(["sync", "run"])
    run = await arena.start(command)
    await either(run, _moment(arena.simulation, rng))
    over = run.over
    tally.too_late += over
    number = rng.choices([signal.SIGKILL, signal.SIGTERM, signal.SIGINT], [8, 1, 1])[0]
    began = asyncio.get_running_loop().time()
    code = await run.kill(number)
    took = asyncio.get_running_loop().time() - began
    tally.kills += code == -signal.SIGKILL
    tally.asked += not over and number != signal.SIGKILL
    tally.when[_asked_last(arena.simulation, before)] += 1
    # Before its handlers stand, a signal ends the program as it would any other.
    early = {128 + number} if command == "sync" or took < EARLY else set()  # a daemon that is not up yet has nothing to drain
    drained = {0, -number} | early
    if not over and number != signal.SIGKILL and (code not in drained or took > DRAIN):
        arena.slow.append(Violation(law="drain", thing=command, says=f"{code} after {took:.0f} s of {number.name}"))


async def _moment(simulation, rng):
    """One in ten while the program starts, the others while it works: after some time, or after so many requests."""
    if rng.random() < 0.1:
        await asyncio.sleep(rng.random())
        return
    await requests(simulation, 1)
    if rng.random() < 0.3:
        await asyncio.sleep(WORKED * rng.random())
    else:
        await requests(simulation, rng.randint(1, REQUESTS), host=rng.choice(["media", None]))
        await asyncio.sleep(0.03 * rng.random())


async def either(run, moment):
    """Until the moment has come, or the run has ended by itself."""
    waits = [asyncio.ensure_future(moment), asyncio.ensure_future(run.ended())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def requests(simulation, count, *, host=None):
    """Until the providers (or one `host` of theirs) have seen that many more requests, or `LONGEST` has passed."""
    seen = len(simulation.audit)
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST
    while count > 0 and loop.time() < until:
        await asyncio.sleep(0.002)
        fresh = list(itertools.islice(simulation.audit, seen, None))
        seen += len(fresh)
        count -= sum(host in {None, line.host} for line in fresh)


def _asked_last(simulation, since):
    """What the providers were asked for last, in words."""
    if len(simulation.audit) == since:
        return "nothing"
    last = simulation.audit[-1]
    if last.host == "media":
        return "media"
    return "a list" if re.search(r"/(room_recordings|recordings|Recordings)$", last.path) else "one thing by its id"


async def campaign(seed, kills, *, database, store, folder, servers, tally=None, tell=print):
    """Episodes until that many kills have been made; returns the tally."""
    tally = tally or Tally()
    number = 0
    async with Zygote.opened() as zygote:
        while tally.kills < kills:
            number += 1
            found = await episode(
                folder / f"{database}-{store}-{number}",
                seed + number - 1,
                database=database,
                store=store,
                servers=servers,
                zygote=zygote,
                tally=tally,
            )
            tell(f"{database}, {store}, seed {seed + number - 1}: {len(found)} violations", *found)
    return tally


def _part(task):
    """One pair of catalog and store, in a process of its own."""
    (database, store), seed, kills = task
    tally = Tally()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch("kills", in_memory=True))
        where = {"database": database, "store": store, "folder": folder, "servers": Servers(stack), "tally": tally}
        asyncio.run(campaign(seed, kills, tell=lambda *_: None, **where))
    print(f"{database}, {store}: {tally}", flush=True)
    return tally


def main(words=None):
    """Exit code 1 where a law broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--database", action="append", choices=DATABASES, help="may be repeated; both where not given")
    parser.add_argument("--store", action="append", choices=STORES, help="may be repeated; all where not given")
    parser.add_argument("--jobs", type=int, help="pairs of catalog and store at once; as many as there are cores")
    given = parser.parse_args(words)
    pairs = [(database, store) for database in given.database or DATABASES for store in given.store or STORES]
    total, reach = Tally(), Reach("kills")
    for tally in spread(_part, [(pair, given.seed, -(-given.kills // len(pairs))) for pair in pairs], jobs=given.jobs):
        total.add(tally)
    reach.hit(Row.KILL, total.kills)
    reach.hit(Row.SIGTERM, total.asked)
    reach.save()
    print(*total.violations, total, sep="\n")
    print(tried(f"{total.kills} kills and {total.asked} other signals in {total.episodes} catalogs", total.violations))
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
