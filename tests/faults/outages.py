"""The daemon while a provider, the store or the catalog is gone for an hour of virtual time.

    outage = ride_out("store", template)         # a Ride: what was asked of whom in each minute, what was logged, what it said of itself

The real `open_app` and `Daemon` run on fakes at the ports. Only the bells are others, for APScheduler goes by the machine's clock.
"""

import asyncio
import contextlib
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from archiver import app as composition
from archiver import daemon as daemon_module
from archiver.config import load
from archiver.pipeline import pump
from tests.faults.inline_sqlite import InlineDatabase, closed
from tests.faults.lives import HOUR, Life, Lives, LivesProvider
from tests.faults.processes import FickleDatabase, FickleStore, Process
from tests.faults.quiet import told
from tests.faults.scenario import Scenario
from tests.faults.simulation import PART, World
from tests.faults.verdict import verdict
from tests.faults.virtual_time import SimClock, virtual_time
from tests.pipeline.memory_store import STRICT, MemoryStore

BEFORE, OUTAGE, AFTER = 1800.0, HOUR, 2700.0
BEGINS, ENDS = BEFORE, BEFORE + OUTAGE
EVERY = 150.0  # seconds between two recordings of a source
SLOWLY = 24.0  # seconds that a piece of a body may take, so that an hour's backlog is minutes of work
AT_ONCE = 5
BIN = 10.0  # seconds in which requests are counted together
NAP = 30.0  # an idle pump looks for work of other processes that often here, instead of every five seconds: nobody else is there
SOURCES = ("rooms", "video")
CONFIGURATION = """\
[catalog]
url = "sqlite:///{path}"
[storage]
url = "file:///nowhere"
[schedule]
seal_every = "1h"
[transfer]
concurrency = {at_once}
[web]
listen = ""
[[source]]
name = "rooms"
provider = "telnyx-rooms"
api_key = "KEY-not-a-real-one"
poll_every = "5m"
[[source]]
name = "video"
provider = "telnyx-calls"
api_key = "KEY-not-a-real-one-either"
poll_every = "5m"
"""


@dataclass
class Ride:
    """An outage and what the daemon made of it; times are virtual seconds since the start."""

    target: str
    requests: dict = field(default_factory=lambda: defaultdict(list))  # to whom: when
    lines: list = field(default_factory=list)  # (when, what) of every log line
    ready: dict = field(default_factory=dict)  # when: what `/readyz` would say
    archived: dict = field(default_factory=dict)  # when: how many recordings are verified
    problems: list = field(default_factory=list)
    alive: bool = False

    def rate(self, who, start, end):
        """Requests a minute, on average."""
        return sum(start <= at < end for at in self.requests[who]) / (end - start) * 60

    def bins(self, who, start, end):
        """Requests in every ten seconds."""
        counts = Counter(int((at - start) // BIN) for at in self.requests[who] if start <= at < end)
        return [counts[number] for number in range(int((end - start) // BIN))]

    def most_lines(self):
        """The most lines of one kind that were told in any minute, with their kind."""
        counts = Counter((what, int(at // 60)) for at, what in self.lines)
        (what, _minute), most = counts.most_common(1)[0]
        return most, what

    def lines_a_minute(self, start, end):
        """Lines of all kinds, on average."""
        return sum(start <= at < end for at, _what in self.lines) / (end - start) * 60


class Bells:
    """The daemon's bells, rung by virtual time."""

    def __init__(self, _missed):
        self._tasks = []

    def every(self, name, interval):
        event = asyncio.Event()
        event.set()
        self._tasks.append(asyncio.create_task(self._ring(event, interval.total_seconds()), name=name))
        return event

    async def _ring(self, event, seconds):
        while True:
            await asyncio.sleep(seconds)
            event.set()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        for task in self._tasks:
            task.cancel()


class Watched(World):
    """A world in which nothing is left to chance: one outage, and recordings as regular as a clock."""

    def __init__(self, target, ride, kind):
        hours = (BEFORE + OUTAGE + AFTER) / HOUR
        super().__init__(
            Scenario(
                seed=1,
                days=hours / 24,
                hosts=1,
                sources=(),
                poll_every=300.0,
                per_day=0.0,
                page_size=250,
                level=0.0,
                lifetime=1.0,
                poor_store=False,
            )
        )
        self.ride = ride
        self.piece = SLOWLY
        self.lives = {name: Lives(regular(name, hours), remembers=False, page_size=250) for name in SOURCES}
        self.outages = [(target, BEGINS, ENDS, kind)]

    def tell(self, who, what):
        place = what.partition(" ")[0]
        self.ride.requests["catalog" if place == "sql" else place].append(asyncio.get_running_loop().time())
        super().tell(who, what)


def regular(source, hours):
    """A recording every few minutes, of two parts each."""
    lives = []
    for number in range(int(hours * HOUR / EVERY) - 4):
        end = number * EVERY
        lives.append(
            Life(
                recording_id=f"{source}-{number:04d}",
                started_at=end - 60,
                ended_at=end,
                listed_from=end,
                completed_at=end + 1,
                size=3 * PART // 2,
            )
        )
    return lives


@contextlib.contextmanager
def replaced(module, **names):
    """Other parts in a module while the block runs."""
    before = {name: getattr(module, name) for name in names}
    for name, new in names.items():
        setattr(module, name, new)
    try:
        yield
    finally:
        for name, old in before.items():
            setattr(module, name, old)


def ride_out(target, template, *, kind="503"):
    """Half an hour before, an hour of outage, three quarters of an hour after it."""
    ride = Ride(target)
    path = template.with_name("outage.db")
    shutil.copyfile(template, path)
    with virtual_time() as runner:
        loop = runner.get_loop()

        def line(_logger, _level, event):
            ride.lines.append((loop.time(), f"{event['event']} {event.get('job', '')}".strip()))

        with told(also=line):
            runner.run(_ride(ride, path, kind))
    for left in template.parent.glob("outage.db*"):
        left.unlink()
    return ride


async def _ride(ride, path, kind):
    world = Watched(ride.target, ride, kind)
    configuration = path.with_suffix(".toml")
    configuration.touch(mode=0o600)
    configuration.write_text(CONFIGURATION.format(path=path, at_once=AT_ONCE))
    settings = load(configuration, {}, {})
    url = f"sqlite:///{path}"
    bucket = MemoryStore(PART, abilities=STRICT)
    process = Process(world, "daemon")

    @contextlib.asynccontextmanager
    async def database(_settings, _clock, **_options):
        yield FickleDatabase(url, process)

    parts = {
        "open_database": database,
        "make_storage": lambda _settings, _clock: FickleStore(process, bucket),
        "open_provider": lambda _kind, options, *_rest: LivesProvider(options.name, world.lives[options.name], process),
        "sole_daemon": lambda *_given: contextlib.nullcontext(),
    }
    with (
        replaced(composition, **parts),
        replaced(daemon_module, Bells=Bells, TICK=NAP),
        replaced(pump, LONGEST_NAP=NAP),
    ):
        async with closed(url), composition.open_app(settings, command="run", clock=process.clock) as app:
            stop = asyncio.Event()
            daemon = daemon_module.Daemon(app, stop)
            running = asyncio.create_task(daemon.run())
            await _observe(ride, daemon, running, url)
            ride.alive = not running.done()
            stop.set()
            await running
            world.storming = False
            async with InlineDatabase(url, clock=SimClock("judge")) as plain:
                ride.problems = await verdict(world, plain, bucket, now=process.clock.now() + timedelta(seconds=1))


async def _observe(ride, daemon, running, url):
    """Looks at the daemon once a minute."""
    loop = asyncio.get_running_loop()
    async with InlineDatabase(url, clock=SimClock("observer")) as database:
        while loop.time() < BEFORE + OUTAGE + AFTER and not running.done():
            await asyncio.sleep(60.0 - loop.time() % 60)
            ride.ready[loop.time()] = await daemon.problems()
            async with database.read() as conn:
                done = (await conn.exec_driver_sql("SELECT count(*) FROM renditions WHERE state = 'verified'")).scalar_one()
            ride.archived[loop.time()] = done
