"""Where the real program is killed: simulated providers on loopback, a catalog and an archive of each kind, and the verdict.

async with Arena.opened(folder, catalog=url, store=store, world=world) as arena:
    run = await arena.start("sync")
    await run.kill()
    await arena.finish()                          # restarts until nothing is due
    assert await arena.verdict() == []
"""

import contextlib
import json
import logging
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from archiver.app import SystemClock, make_storage
from archiver.catalog import schema
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import Database
from archiver.catalog.leases import Worker
from archiver.catalog.reports import state_counts
from archiver.config import load
from archiver.domain.invariants import Violation
from archiver.domain.recording import State
from archiver.pipeline.sweep import sweep
from archiver.simulator.expectation import Ending, expectations
from archiver.simulator.population import Fate, Mix, populate
from archiver.simulator.recordings import Source
from archiver.simulator.server import serve
from archiver.simulator.world import World
from tests.faults.invariants import check_invariants
from tests.faults.quiet import told
from tests.faults.truth import Truth
from tests.faults.zygote import Zygote

WITHIN = 20.0  # seconds until a restart does its first work; a lease of its own predecessor would cost it 60
ENOUGH = 12  # restarts until nothing is due any more
# Nothing whose state is a matter of the hour: what is late or doomed is for campaigns under virtual time.
STEADY = {
    Source.TELNYX_ROOMS: {Fate.PLAIN: 94, Fate.ODD: 3, Fate.DELETED: 3},
    Source.TELNYX_CALLS: {Fate.PLAIN: 94, Fate.ODD: 3, Fate.DELETED: 3},
    Source.TWILIO_VIDEO: {Fate.PLAIN: 84, Fate.ODD: 3, Fate.DELETED: 4, Fate.EXTERNAL: 4, Fate.ENCRYPTED: 4, Fate.FAILED: 1},
}

CONFIGURATION = """\
[catalog]
url = "{catalog}"
[storage]
url = "{store}"
endpoint_url = "{endpoint}"
part_size = "5MiB"
[transfer]
concurrency = {concurrency}
max_attempts = 8
[web]
listen = ""
"""
SOURCE = """\
[[source]]
name = "{name}"
provider = "{name}"
base_url = "{url}"
{credentials}
media_hosts = ["{media}"]
poll_every = "{poll_every}"
lookback = "10d"
"""


def steady_world(seed, count, *, large=0):
    """A world of that many recordings, `large` of them of several parts."""
    world = World(clock=lambda: datetime.now(UTC), seed=seed)
    populate(world, count, mix=Mix(days=5, sizes=(2_000, 60_000), fates=STEADY, live=0.0))
    plain = [
        item
        for item in world.recordings.values()
        if "media" in item.media and item.has_media(world.now()) and not item.media["media"].encrypted
    ]
    for item in plain[:large]:
        world.change_media(item.id, size_hint=11 * 2**20 + len(item.id))
    return world


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where objects go: an archive folder, or a bucket of the testbed at an endpoint (a proxy's, perhaps)."""

    url: str
    endpoint: str = ""
    bucket: Any = None


@dataclass
class Arena:
    """One catalog and one archive, and the program that is started over them again and again."""

    folder: Path
    simulation: Any
    zygote: Zygote
    environment: dict
    store: Store
    truth: Truth
    runs: int = 0
    slow: list = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, folder, *, catalog, store, world, zygote, faults=None, behaviour=None, concurrency=6, poll_every="2s"):
        """The providers serve until the block ends, and runs that are still there are killed."""
        folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it complains of every client that is killed
        truth = Truth()
        truth.see(world)
        async with serve(world, faults=faults, behaviour=behaviour) as simulation:
            given = simulation.credentials
            text = CONFIGURATION.format(catalog=catalog, store=store.url, endpoint=store.endpoint, concurrency=concurrency)
            telnyx = f'api_key = "{given.api_key}"'
            keys = {"account_sid": given.account_sid, "api_key_sid": given.api_key_sid, "api_key_secret": given.api_key_secret}
            twilio = "\n".join(f'{name} = "{value}"' for name, value in keys.items())
            for source in Source:
                is_twilio = source is Source.TWILIO_VIDEO
                text += SOURCE.format(
                    name=source,
                    url=simulation.twilio_url if is_twilio else simulation.telnyx_url,
                    credentials=twilio if is_twilio else telnyx,
                    media=simulation.media_url.partition("//")[2],
                    poll_every=poll_every,
                )
            path = folder / "archiver.toml"
            path.touch(mode=0o600)
            path.write_text(text)
            environment = store.bucket.server.environment if store.bucket else {}
            yield cls(folder=folder, simulation=simulation, zygote=zygote, environment=environment, store=store, truth=truth)

    @property
    def log(self):
        """What every run said, one JSON object a line; output of commands too."""
        return self.folder / "log"

    async def start(self, *words):
        """Starts the program."""
        self.runs += 1
        return await self.zygote.start(
            "--config", self.folder / "archiver.toml", "--log-format", "json", *words, log=self.log, environment=self.environment
        )

    def said(self, event, *, since=0):
        """The log lines of an event, from a place in the log on."""
        with self.log.open("rb") as file:
            file.seek(since)
            lines = [line for line in file.read().splitlines() if f'"{event}"'.encode() in line]
        return [json.loads(line) for line in lines]

    async def finish(self):
        """Runs `sync` until it says that everything is done; the first of them must get to work at once. Its exit codes."""
        codes = []
        while not codes or (codes[-1] != 0 and len(codes) < ENOUGH):
            before = self.log.stat().st_size if self.log.exists() else 0
            began = datetime.now(UTC)
            run = await self.start("sync", "--json")
            codes.append(await run.ended())
            worked = [line["timestamp"] for event in ("polled", "transferred") for line in self.said(event, since=before)]
            took = (datetime.fromisoformat(min(worked)) - began).total_seconds() if worked else 0.0
            if took > WITHIN:
                self.slow.append(Violation(law="G12 restart", thing=str(self.folder), says=f"first work after {took:.0f} s"))
        return codes

    async def done(self):
        """Which share of the renditions that will be archived are so by now."""
        settings = load(self.folder / "archiver.toml", {}, {})
        wanted = sum(item.ending is Ending.VERIFIED for item in expectations(self.simulation.world))
        async with Database(settings.catalog.url.reveal(), clock=SystemClock().now) as database, database.read() as conn:
            counts = await state_counts(conn)
        return sum(states[State.VERIFIED] for states in counts.values()) / wanted

    async def verdict(self, *, endings=True):
        """Every law; unfinished uploads of ours are swept before, as a day later they would be."""
        settings = load(self.folder / "archiver.toml", {}, {})
        clock = SystemClock()
        world = self.simulation.world
        text = self.log.read_text(errors="replace")
        found = [*self.slow, *self._tracebacks(text)]
        with _credentials(self.environment), told():
            storage = make_storage(settings.storage, clock)
            try:
                await storage.probe()
                async with Database(settings.catalog.url.reveal(), clock=clock.now) as database:
                    worker = Worker(name="verdict", host="nowhere", pid=1, born=1, command="check")
                    await sweep(storage=storage, catalog=SqlCatalog(database, worker), clock=clock, age=timedelta(seconds=-60))
                    found += await check_invariants(
                        database,
                        storage,
                        self.truth,
                        now=clock.now(),
                        endings=expectations(world) if endings else (),
                        texts={"the log": text},
                        secrets=self.secrets(),
                        bucket=self.store.bucket,
                    )
            finally:
                await storage.aclose()
        return found + self._leftovers()

    def secrets(self):
        """What nobody may ever read in a log."""
        given = self.simulation.credentials
        return [given.api_key, given.auth_token, given.api_key_secret, self.simulation.world.secret.decode()]

    def _tracebacks(self, text):
        found = re.search(r"^Traceback .*$|\"exception\": \"Traceback", text, re.MULTILINE)
        return [Violation(law="traceback", thing=str(self.log), says=text[found.start() :][:3000])] if found else []

    def _leftovers(self):
        """Temporaries of a folder archive that nobody will ever remove."""
        if not self.store.url.startswith("file://"):
            return []
        root = Path(self.store.url.removeprefix("file://"))
        left = [path for path in root.rglob(".*") if path.name.startswith((".tmp-", ".upload-"))]
        return [Violation(law="I18 leftover", thing=str(path), says="a temporary file") for path in left]


@contextlib.contextmanager
def _credentials(environment):
    """boto3 looks into the environment of the process that it is in: here, this one."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def migrated(url):
    """Makes the schema there; the program would, but that is not what is to be killed five hundred times."""
    schema.upgrade_now(url)
    return url
