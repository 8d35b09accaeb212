"""The commands as a user runs them: processes of their own, against simulated providers in this one."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from archiver.simulator.behaviour import Behaviour
from archiver.simulator.faults import Faults
from archiver.simulator.server import serve
from archiver.simulator.world import World
from tests.acceptance.stage import configuration
from tests.pipeline.simulated import simulated


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self):
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def logged(self):
        """The log: JSON lines on stderr among whatever else is said there."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]


class Terminal:
    """A folder with a configuration in it, and the providers that it names."""

    def __init__(self, folder, world, simulation):
        self.folder = folder
        self.world = world
        self.simulation = simulation
        self.faults = simulation.faults
        self.path = folder / "archiver.toml"

    def configure(self, **how):
        self.path.touch(mode=0o600)
        self.path.write_text(configuration(self.simulation, folder=self.folder, **how))

    async def start(self, *words, **environment):
        """A command under way."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "archiver", "--config", str(self.path), *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
            cwd=self.folder,
        )

    async def run(self, *words, within=100.0, **environment):
        """A command to its end."""
        return await self.end(await self.start(*words, **environment), within=within)

    async def end(self, process, number=None, *, within=60.0):
        """Waits for a process, having sent it a signal where one is given."""
        if number is not None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(within):
                out, err = await process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
            raise
        return Done(code=process.returncode, out=out.decode(), err=err.decode())

    async def until(self, question, *, within=60.0):
        """Waits until a question to the catalog (SQL for one value) is answered with something true; returns the answer."""
        async with asyncio.timeout(within):
            while True:
                answer = self.ask(question)
                if answer:
                    return answer
                await asyncio.sleep(0.05)

    def ask(self, question):
        """One value of the catalog, None while there is no catalog."""
        found = self.rows(question)
        return found[0][0] if found else None

    def rows(self, question):
        path = self.folder / "catalog.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
            try:
                return conn.execute(question).fetchall()
            except sqlite3.OperationalError:  # not migrated yet
                return []

    def states(self):
        """How many renditions are in each state."""
        return dict(self.rows("SELECT state, count(*) FROM renditions GROUP BY state"))

    def objects(self):
        """The files of the archive that are media."""
        archive = self.folder / "archive"
        files = [path.relative_to(archive) for path in archive.rglob("*") if path.is_file()]
        return sorted(
            str(path) for path in files if not str(path).startswith(("_", ".")) and not path.name.endswith(".meta.json")
        )


@contextlib.asynccontextmanager
async def terminal(folder, *recordings, **how):
    """A terminal over a world that lives by the real clock."""
    world = World(clock=lambda: datetime.now(UTC), seed=2)
    world.add(recordings)
    async with serve(world, faults=Faults(), behaviour=Behaviour()) as simulation:
        it = Terminal(folder, world, simulation)
        it.configure(**how)
        yield it


def recordings_of(source, count, *, ended=timedelta(hours=3), size=2000, **changes):
    """Plain recordings that ended so long ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [simulated(source, n, ended_at=now - ended + timedelta(seconds=n), size=size, **changes) for n in range(count)]


TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
