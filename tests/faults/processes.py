"""Processes of a simulated archive: each may be killed, stopped and slowed at any instant, and its database and store fail by chance.

A killed process does nothing more: whatever its cleaning-up would still ask of a port is cancelled before it has an effect. A
stopped one goes on where it was once it is let: by then its leases may be over.
"""

import asyncio
import contextlib
from collections import deque

from archiver.domain import errors
from tests.faults.inline_sqlite import InlineDatabase
from tests.faults.reach import Row
from tests.faults.virtual_time import SimClock
from tests.pipeline.memory_store import MemoryStore


class Process:
    """One run of the program: its clock, and the gate that everything it does to the outside goes through."""

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.clock = SimClock(f"{world.seed} {name}")
        self.alive = True
        self.leave = asyncio.Event()  # SIGTERM
        self._going = asyncio.Event()
        self._going.set()

    def time(self):
        """Virtual seconds since the start."""
        return asyncio.get_running_loop().time()

    def kill(self):
        self.alive = False
        self._going.set()

    def stop(self):
        """SIGSTOP."""
        self._going.clear()

    def resume(self):
        """SIGCONT."""
        self._going.set()

    async def step(self, what, longest=0.3):
        """One request on its way out."""
        await self.wait(longest)
        self.world.tell(self.name, what)

    async def wait(self, longest):
        """What a request, an answer or a piece of a body takes."""
        await self._turn()
        await asyncio.sleep(longest * self.world.rng.random())
        await self._turn()

    async def _turn(self):
        await self._going.wait()
        if not self.alive:
            raise asyncio.CancelledError


class FickleDatabase(InlineDatabase):
    """A process's connections: transactions take time, fail before they begin, or are committed and not answered."""

    def __init__(self, url, process):
        super().__init__(url, clock=process.clock)
        self._process = process

    async def write(self, unit):
        await self._ask(unit.__qualname__)
        result = await super().write(unit)
        await self._process.wait(0.05)
        if self._process.world.fault("commit not answered", Row.DB_COMMIT):
            raise errors.CatalogUnavailable("the connection was lost after the commit")
        return result

    @contextlib.asynccontextmanager
    async def read(self):
        await self._ask("read")
        async with super().read() as conn:
            yield conn

    async def _ask(self, what):
        await self._process.step(f"sql {what}", 0.05)
        world = self._process.world
        if world.outage("catalog") or world.fault("database down", Row.DB_DOWN):
            raise errors.CatalogUnavailable("the database cannot be reached")


class FickleStore(MemoryStore):
    """A process's way to the store that all of them share."""

    def __init__(self, process, bucket):
        super().__init__(bucket.part_size, abilities=bucket.abilities, clock=process.clock, shared=(bucket.objects, bucket.begun))
        self._numbers = bucket._numbers
        self.log = deque(maxlen=20)
        self._process = process

    def _asked(self, operation, key, size=0):
        return _Request(self._process, operation, key)

    async def ahead(self):
        async with self._asked("ahead", ""):
            return

    async def read(self, key, version_id=""):
        if self._process.world.fault("flipped bit on read", Row.S3_CHECKSUM):
            self.flips = [0]
        async for chunk in super().read(key, version_id):
            yield chunk


class _Request:
    """One operation of the store: fails before it is done, or is done and not answered."""

    def __init__(self, process, operation, key):
        self._process, self._operation, self._key = process, operation, key

    async def __aenter__(self):
        world = self._process.world
        await self._process.step(f"store {self._operation} {self._key}")
        if world.outage("store") or world.fault("503 of the store", Row.S3_ERRORS):
            raise errors.StorageUnavailable("503 Slow Down")
        if world.fault("403 of the store", Row.S3_REFUSED):
            raise errors.StorageRefused("403 AccessDenied")

    async def __aexit__(self, kind, *_exc):
        if kind is not None:
            return
        await self._process.wait(0.3)
        if self._process.world.fault("answer of the store lost", Row.S3_LOST_REPLY):
            raise errors.StorageUnavailable("the connection was lost before the answer")
