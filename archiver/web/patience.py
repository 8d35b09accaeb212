"""Questions to the catalog that a browser waits for: few at once, never for long, and costly ones asked once for everybody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from archiver.domain.ports import Clock

T = TypeVar("T")

AT_ONCE = 3  # of the connections that transfers need, too
LONGEST = 10.0  # seconds that a page waits
GIVEN_UP = 60.0  # seconds after which a question without an answer is cancelled
SHARE = 20  # an answer is good for so many times as long as it took: whoever looks all the time costs a twentieth of a core


class Patience:
    """Asks in tasks of their own, so that whoever waits can leave in time even when cancelling a query hangs."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turn = asyncio.Semaphore(AT_ONCE)

    def start(self, question: Coroutine[Any, Any, T], *, queue: bool = True) -> asyncio.Task[T]:
        """Begins to ask; outside the queue for what has to be answered when everything else is stuck."""
        task = asyncio.create_task(self._asked(question, queue=queue))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def ask(self, question: Coroutine[Any, Any, T], *, seconds: float = LONGEST) -> T:
        """The answer; raises TimeoutError after `seconds`, and whatever the question raises."""
        task = self.start(question)
        try:
            return await wait_for(task, seconds=seconds)
        finally:
            task.cancel()

    async def _asked(self, question: Coroutine[Any, Any, T], *, queue: bool) -> T:
        try:
            async with asyncio.timeout(GIVEN_UP):
                if not queue:
                    return await question
                async with self._turn:
                    return await question
        finally:
            question.close()  # where its turn never came

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that an answer nobody waits for any more is no complaint

    async def aclose(self) -> None:
        """Ends what is still being asked, without waiting long for a database that does not answer."""
        left = set(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=2.0)


async def wait_for(task: asyncio.Task[T], *, seconds: float) -> T:
    """The task's result; raises TimeoutError after `seconds` and leaves the task alone."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        raise TimeoutError
    return task.result()


class Remembered(Generic[T]):
    """An answer that costs something: asked for once for everybody who waits, and good for `seconds` afterwards.

    Longer where it took long, as counting millions of rows that wait does.
    """

    def __init__(
        self, ask: Callable[[], Coroutine[Any, Any, T]], *, patience: Patience, clock: Clock, seconds: float, queue: bool = True
    ) -> None:
        self._ask = ask
        self._patience = patience
        self._clock = clock
        self._seconds = seconds
        self._queue = queue
        self._asking: asyncio.Task[T] | None = None
        self._until = 0.0

    async def get(self, *, seconds: float = LONGEST) -> T:
        """The answer; raises TimeoutError after `seconds` (the question goes on for the next who asks) and what it raises."""
        task = self._asking
        if task is None or (task.done() and (self._clock.monotonic() >= self._until or task.cancelled() or task.exception())):
            task = self._asking = self._patience.start(self._answered(), queue=self._queue)
        return await wait_for(task, seconds=seconds)

    async def _answered(self) -> T:
        began = self._clock.monotonic()
        answer = await self._ask()
        now = self._clock.monotonic()
        self._until = now + max(self._seconds, SHARE * (now - began))
        return answer
