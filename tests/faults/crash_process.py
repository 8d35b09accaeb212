"""A process that dies at a chosen instant, simulated: its coroutines are the program's own, and after its death none of them goes on.

Instants are counted: every resumption of every task of the process, and whatever its ports count besides (SQL statements, calls of
the store; see crash_ports.py). At the chosen one the process is dead: the task that was about to go on does not, a call that was
under way never answers, and no cleaning-up of it reaches anything any more. That is SIGKILL as far as the outside can see.

    with crash_loop() as runner:
        runner.run(main())                # in main():
    life = Life(kill_at=17)
    finished = await life.run(flow())     # False: it was killed
"""

import asyncio
import contextlib
import contextvars
import logging
import warnings
from collections.abc import Coroutine

from tests.faults.virtual_time import VirtualLoop

_MOST_THROWS = 100  # into one coroutine: each may go through several `finally` that wait for something


class Killed(BaseException):
    """Whatever a dead process still asks for."""


_current = contextvars.ContextVar("life", default=None)


class Life:
    """One process. `instants` are the names of those gone by since `arm()`, which is when the counting begins.

    `kill_at` is the number of the instant (from 1) at which it dies, None for never; with `lose` it does not die there: the
    database's or the store's connection breaks instead, and the process lives on.
    """

    def __init__(self, *, kill_at=None, lose=False):
        self._kill_at = kill_at
        self._lose = lose
        self._died = asyncio.get_running_loop().create_future()
        self._armed = False
        self._steps = []
        self._tasks = []
        self.dead = False
        self.struck = ""  # what happened at the chosen instant
        self.instants = []
        self.connections = []  # what the kernel closes when a process dies: anything with close()
        self.records = []  # SQLAlchemy's of them: its pool must not miss what no one will ever give back

    def arm(self):
        """From now on instants count."""
        self._armed = True

    def alive(self):
        """Raises Killed where this process is dead."""
        if self.dead:
            raise Killed

    async def point(self, what, broken=None):
        """An instant inside a call. The dead never leave it; where it is the chosen one and connections break, raises `broken()`."""
        self.alive()
        if not self._chosen(what, loses=broken is not None):
            return
        if self._lose:
            raise broken()
        await asyncio.get_running_loop().create_future()

    async def run(self, flow):
        """Runs a coroutine as this process; True when it got to its end, False when it was killed. Raises what the flow raises."""
        context = contextvars.copy_context()
        context.run(_current.set, self)
        root = asyncio.get_running_loop().create_task(flow, context=context)
        await asyncio.wait((root, self._died), return_when=asyncio.FIRST_COMPLETED)
        if not self.dead:
            self._died.cancel()
            await root
            return True
        context.run(self._bury)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return False

    def task(self, loop, coroutine, context):
        """A task of this process."""
        step = _Step(self, coroutine)
        self._steps.append(step)
        task = asyncio.Task(step, loop=loop, context=context)
        self._tasks.append(task)
        return task

    def resumes(self, what):
        """Whether a task may go on; the instant at which it might be the last."""
        return not self.dead and not self._chosen(f"resume {what}", loses=False)

    def _chosen(self, what, *, loses):
        if not self._armed or (self._lose and not loses):
            return False
        self.instants.append(what)
        if len(self.instants) != self._kill_at:
            return False
        self.struck = what
        if not self._lose:
            self.dead = True
            self._died.set_result(None)
        return True

    def _bury(self):
        """Takes what is left of the dead process out of memory. Its `finally` blocks run, but nothing that they ask for is done."""
        with warnings.catch_warnings(), _without(logging.getLogger("sqlalchemy.pool")):
            warnings.simplefilter("ignore")
            for record in self.records:
                record.fairy_ref = None
            for connection in self.connections:
                connection.close()
            for step in reversed(self._steps):
                step.bury()


class _Step(Coroutine):
    """A coroutine of a process: goes on only while the process lives."""

    def __init__(self, life, inner):
        self._life = life
        self._inner = inner
        self.__name__ = getattr(inner, "__qualname__", type(inner).__name__)
        if life.dead:
            inner.close()

    def send(self, value):
        return self._go(self._inner.send, value)

    def throw(self, *error):
        return self._go(self._inner.throw, *error)

    def close(self):
        self._inner.close()

    def __await__(self):
        raise TypeError("only a task may drive this")

    def _go(self, act, *given):
        if not self._life.resumes(self.__name__):
            raise asyncio.CancelledError
        return act(*given)

    def bury(self):
        for _ in range(_MOST_THROWS):
            try:
                self._inner.throw(Killed())
            except BaseException:  # noqa: BLE001 - it is over, however it ended
                return
        raise AssertionError(f"{self.__name__} cannot be brought to an end")


class CrashLoop(VirtualLoop):
    """Virtual time; what the program gives to threads is done at once, as one step; tasks belong to the process that made them."""

    def __init__(self):
        super().__init__()
        self.set_task_factory(_new_task)

    def run_in_executor(self, _executor, act, *given):
        done = self.create_future()
        try:
            done.set_result(act(*given))
        except Exception as error:  # noqa: BLE001 - it is the awaiter's
            done.set_exception(error)
        return done


def _new_task(loop, coroutine, context=None):
    life = _current.get() if context is None else context.run(_current.get)
    if life is None:
        return asyncio.Task(coroutine, loop=loop, context=context)
    return life.task(loop, coroutine, context)


@contextlib.contextmanager
def _without(logger):
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # not `disabled`: its children would go on
    yield
    logger.setLevel(level)


def crash_loop():
    """A runner over a fresh loop of that kind; `with` closes it."""
    return asyncio.Runner(loop_factory=CrashLoop)
