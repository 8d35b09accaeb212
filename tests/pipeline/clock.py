"""Time that passes only when nothing else can happen: a day of polling takes as long as its work does.

The clock moves to the next sleeper once the loop has nothing ready, no socket has anything to say, no timer is about to ring and
nobody outside the loop (a database's thread, another process) is at work on something; `Counted` tells it of the last.
"""

import asyncio
import contextlib
import heapq
import inspect
import itertools
import random
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
_NEAR = 0.5  # seconds of real time: a timer that rings within them is waited for


class VirtualClock:
    """The Clock port. `async with` it: a task of its own moves the time while the block runs."""

    def __init__(self, start=NOON, *, seed=0):
        self.start = start
        self.seconds = 0.0
        self.outside = 0  # operations under way that the loop cannot see
        self._sleepers = []
        self._numbers = itertools.count()
        self._random = random.Random(seed)
        self._stirred = asyncio.Event()

    def now(self):
        return self.start + timedelta(seconds=self.seconds)

    def __call__(self):
        return self.now()

    def monotonic(self):
        return self.seconds

    def chance(self):
        return self._random.random()

    def token(self):
        return f"{self._random.getrandbits(128):032x}"

    async def sleep(self, seconds):
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._numbers), turn))
        self._stirred.set()
        await turn

    def advance(self, **by):
        """Moves the time by hand; who sleeps until then wakes."""
        self._move(self.seconds + timedelta(**by).total_seconds())

    @contextlib.contextmanager
    def somebody_outside(self):
        self.outside += 1
        try:
            yield
        finally:
            self.outside -= 1
            self._stirred.set()

    async def __aenter__(self):
        self._driver = asyncio.create_task(self._drive(), name="virtual time")
        return self

    async def __aexit__(self, *_exc):
        self._driver.cancel()
        await asyncio.gather(self._driver, return_exceptions=True)

    def _move(self, to):
        self.seconds = max(self.seconds, to)
        while self._sleepers and self._sleepers[0][0] <= self.seconds:
            turn = heapq.heappop(self._sleepers)[2]
            if not turn.done():
                turn.set_result(None)

    async def _drive(self):
        quiet = 0
        while True:
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if self.outside or not self._sleepers:
                self._stirred.clear()
                await self._stirred.wait()
                quiet = 0
                continue
            near = self._near()
            if near is not None:
                await asyncio.sleep(near)
                quiet = 0
                continue
            await asyncio.sleep(0)
            quiet = 0 if asyncio.get_running_loop()._ready or self.outside else quiet + 1
            if quiet >= 3:
                self._move(self._sleepers[0][0])
                quiet = 0

    @staticmethod
    def _near():
        """Seconds until the loop's next own timer, None where that is not soon."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        soon = [timer.when() - now for timer in loop._scheduled if not timer.cancelled() and timer.when() - now < _NEAR]
        return max(0.0, min(soon)) if soon else None


class Counted:
    """Passes everything on to `inner` and tells the clock while it is at work."""

    def __init__(self, inner, clock):
        self._inner = inner
        self._clock = clock

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if inspect.iscoroutinefunction(found):
            return self._call(found)
        return self._stream(found) if inspect.isasyncgenfunction(found) else found

    def _call(self, act):
        async def called(*args, **options):
            with self._clock.somebody_outside():
                return await act(*args, **options)

        return called

    def _stream(self, act):
        async def streamed(*args, **options):
            async with contextlib.aclosing(act(*args, **options)) as items:
                while True:
                    with self._clock.somebody_outside():
                        item = await anext(items, self)
                    if item is self:
                        return
                    yield item

        return streamed
