"""Machines of a simulated archive: each runs the program, kills it or stops it as the seed says, and starts it again."""

import asyncio
import contextlib
import itertools
import os
import random
from datetime import timedelta

import sqlalchemy as sa

from archiver.catalog import operator
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.leases import Worker, born
from archiver.catalog.tables import workers
from archiver.domain import errors
from archiver.pipeline import cycle
from archiver.pipeline.budget import ByteBudget
from archiver.pipeline.discover import Discovery
from archiver.pipeline.health import Health
from archiver.pipeline.pace import Pace
from archiver.pipeline.pump import Pump
from archiver.pipeline.sweep import sweep
from archiver.pipeline.transfer import Transfer
from archiver.pipeline.verify import Verifier
from tests.faults.inline_sqlite import InlineDatabase
from tests.faults.lives import HOUR, LivesProvider
from tests.faults.processes import FickleDatabase, FickleStore, Process
from tests.faults.reach import Row
from tests.faults.verdict import WatchedCatalog
from tests.faults.virtual_time import SimClock
from tests.pipeline.stage import LOOKBACK, VERSION, Observed

SWEEP_EVERY = 6 * HOUR
SOON, PATIENT = 10.0, 300.0  # seconds that a round waits for what is due next, in the storm and after it


class Program:
    """What `archiver run` is made of, over the ports of one process; a cycle is one round of what it does side by side."""

    def __init__(self, process, catalog, bucket):
        self._process = process
        self._catalog = catalog
        self._store = FickleStore(process, bucket)
        self._providers = {name: LivesProvider(name, lives, process) for name, lives in process.world.lives.items()}
        self._health = Health(process.clock, self._providers)
        self._swept = -SWEEP_EVERY

    async def cycle(self, every):
        """Polls each source that nobody else polls, works until nothing is due soon, sweeps now and then."""
        await cycle.alongside(
            pump=(pump := self._pump()),
            jobs=[self._poll(name, pump, timedelta(seconds=every / 2)) for name in self._providers],
            enough=lambda listed: lambda: self._enough(listed),
            stop=self._process.leave,
        )
        if self._process.time() - self._swept >= SWEEP_EVERY:
            self._swept = self._process.time()
            with contextlib.suppress(errors.StorageError):
                async with cycle.holding(self._catalog, self._process.clock, "sweep", wait=False) as ours:
                    if ours:
                        await sweep(storage=self._store, catalog=self._catalog, clock=self._process.clock)

    async def _enough(self, listed):
        """What is due later than that is left to the next round, which saves half of all the time."""
        if not listed.is_set():
            return False
        due = await self._catalog.next_due(sources=list(self._providers))
        return due is None or due > (SOON if self._process.world.storming else PATIENT)

    async def _poll(self, name, pump, unless_since):
        discovery = Discovery(provider=self._providers[name], catalog=self._catalog, clock=self._process.clock, lookback=LOOKBACK)
        world = self._process.world
        try:
            seen = await cycle.poll(
                discovery,
                name,
                catalog=self._catalog,
                health=self._health,
                clock=self._process.clock,
                wait=False,
                unless_since=unless_since,
            )
        except errors.ProviderError as error:
            world.counts["polls failed"] += 1
            world.tell(self._process.name, f"poll of {name} failed: {type(error).__name__}")
            return
        world.counts["polls left to another" if seen is None else "polls complete" if seen.complete else "polls incomplete"] += 1
        pump.bell.set()

    def _pump(self):
        clock = self._process.clock
        transfer = Transfer(
            providers=self._providers,
            storage=self._store,
            catalog=self._catalog,
            clock=clock,
            budget=ByteBudget(10**9),
            pace=Pace(None, clock),
            lock_for=lambda _entry: None,
            version=VERSION,
        )
        observed = Observed()
        return Pump(
            catalog=self._catalog,
            transfer=transfer,
            verifier=Verifier(storage=self._store, mode="auto", observer=observed),
            health=self._health,
            clock=clock,
            observer=observed,
            concurrency=3,
            max_attempts=8,
            done=self._done,
        )

    def _done(self, outcome):
        world = self._process.world
        world.counts[f"outcomes {outcome.event.value}"] += 1
        world.tell(self._process.name, f"{outcome.entry.recording_id} {outcome.event.value}")


class Host:
    """One machine; `url` is the catalog that all of them share, `bucket` the store."""

    def __init__(self, world, name, url, bucket):
        self._world = world
        self._name = name
        self._url = url
        self._bucket = bucket
        self._rng = random.Random(f"host {world.scenario.seed} {name}")
        self._runs = itertools.count(1)

    async def live(self, until):
        """Runs the program until the storm is over."""
        now = asyncio.get_running_loop().time
        while now() < until:
            process = Process(self._world, f"{self._name}.{next(self._runs)}")
            run = asyncio.create_task(self._run(process, self._world.scenario.poll_every))
            await self._torment(process, run, until)
            await asyncio.gather(run, return_exceptions=True)
            if process.alive:
                run.result()
            await asyncio.sleep(self._rng.choice((5.0, 60.0, 1800.0)) * self._rng.random())

    async def calm(self, seconds, *, act=None):
        """One process, undisturbed; `act(database)` is done before it polls for the first time."""
        process = Process(self._world, f"{self._name}.{next(self._runs)}")
        if act is not None:
            async with self._opened(process) as database:
                await act(database)
        run = asyncio.create_task(self._run(process, 1800.0))
        await asyncio.sleep(seconds)
        process.leave.set()
        await run

    async def retry_all(self, database):
        """What an operator does about what was parked."""
        await database.write(lambda tx: operator.retry_all_failed(tx, "operator"))

    async def _torment(self, process, run, until):
        """Lets it be for a while; then a kill, an orderly end, a stop that may outlast its leases, or a clock that is set."""
        world = self._world
        loop = asyncio.get_running_loop()
        while True:
            patience = min(until - loop.time(), self._rng.expovariate(1 / world.scenario.lifetime))
            await asyncio.wait({run}, timeout=max(0.0, patience))
            if run.done() or loop.time() >= until:
                process.leave.set()
                return
            fate = self._rng.choice(("kill", "kill", "kill", "stop", "stop", "end", "jump"))
            world.tell(process.name, fate)
            world.counts[f"process: {fate}"] += 1
            if fate == "stop":
                await self._stopped(process)
            elif fate == "jump":
                self._jump(process)
            else:
                await (self._kill(process, run) if fate == "kill" else self._end(process))
                return

    async def _stopped(self, process):
        self._world.reach.hit(Row.ZOMBIES)
        process.stop()
        await asyncio.sleep(self._rng.choice((5.0, 120.0, 900.0)))
        process.resume()

    def _jump(self, process):
        self._world.reach.hit(Row.CLOCK_JUMPS)
        self._world.jumped = asyncio.get_running_loop().time()
        wrong = bool(process.clock.skew)
        process.clock.skew = timedelta(seconds=0 if wrong else self._rng.choice((-3600, -60, 1, 60, 3600)))

    async def _end(self, process):
        self._world.reach.hit(Row.SIGTERM)
        process.leave.set()

    async def _kill(self, process, run):
        self._world.reach.hit(Row.KILL)
        process.kill()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        if self._rng.random() < 0.5:  # the next run is told by the kernel that this one is gone; else its leases have to run out
            dead = sa.update(workers).where(workers.c.worker == process.name).values(pid=0)
            async with InlineDatabase(self._url, clock=SimClock("kernel")) as database:
                await database.write(lambda tx: tx.execute(dead))

    def _opened(self, process):
        return FickleDatabase(self._url, process)

    async def _run(self, process, every):
        """The program, from its start to an orderly end."""
        async with self._opened(process) as database:
            me = Worker(name=process.name, host=self._name, pid=os.getpid(), born=born(os.getpid()), command="run")
            catalog = WatchedCatalog(SqlCatalog(database, me), process, self._url.removeprefix("sqlite:///"))
            with contextlib.suppress(errors.CatalogUnavailable):  # refused to start; the host tries again
                await catalog.enter()
                await self._rounds(process, Program(process, catalog, self._bucket), every)
                await catalog.hand_back()
                await catalog.leave()

    async def _rounds(self, process, program, every):
        while not process.leave.is_set():
            try:
                await program.cycle(every)
            except errors.CatalogUnavailable:
                self._world.counts["cycles without a catalog"] += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every * self._rng.uniform(0.8, 1.2)):
                    await process.leave.wait()
