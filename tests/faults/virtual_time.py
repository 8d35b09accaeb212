"""A loop on which time passes only when everybody waits: no threads, no sockets, so one seed gives one course of events.

    with virtual_time() as runner:
        runner.run(main())          # a year may pass in it

What would wait for ever, and nothing ever come of it, raises Stuck instead of hanging.
"""

import asyncio
import random
import selectors
from datetime import UTC, datetime, timedelta

START = datetime(2027, 3, 1, tzinfo=UTC)  # a year from here has a 29 February


class Stuck(RuntimeError):
    """Every task waits for another, and no timer is set: a deadlock."""


class _Instant(selectors.DefaultSelector):
    """Never waits: the time asked for has passed at once."""

    now = 0.0

    def select(self, timeout=None):
        if timeout is None:
            raise Stuck("every task waits for another, and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of its selector."""

    def __init__(self):
        self._instant = _Instant()
        super().__init__(self._instant)
        # asyncio runs a timer once it is earlier than now plus this. Its nanosecond is lost in a float beyond 2**24 seconds, 194 days:
        # a timer of exactly now would never run, and the time never pass.
        self._clock_resolution = 1e-6

    def time(self):
        return self._instant.now

    def run_in_executor(self, _executor, function, *arguments):
        """What a thread would do is done at once: when it would be done could not be repeated."""
        done = self.create_future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 -- the caller's, wherever it waits
            done.set_exception(error)
        return done


class SimClock:
    """The Clock port of one process: the loop's time, chance and identity of its own, a wall that may be wrong by `skew`."""

    def __init__(self, seed):
        self._random = random.Random(f"clock {seed}")
        self.skew = timedelta(0)

    def now(self):
        return START + timedelta(seconds=self.monotonic()) + self.skew

    def __call__(self):
        return self.now()

    def monotonic(self):
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    def chance(self):
        return self._random.random()

    def token(self):
        return f"{self._random.getrandbits(128):032x}"


def virtual_time():
    """A runner over a fresh virtual loop; `with` closes it."""
    return asyncio.Runner(loop_factory=VirtualLoop)
