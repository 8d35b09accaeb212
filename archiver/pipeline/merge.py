"""The catalog's lines and the archive's objects, walked side by side in the order of their numbers."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from archiver.domain.ledger import MOST_LINES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from archiver.domain.ledger import History, Line
    from archiver.domain.ports import StoredObject

T = TypeVar("T")
AHEAD = 4  # objects fetched while one is looked at
NO_END = 2**62


class Lines:
    """The catalog's numbered lines in order, read page by page."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._page: deque[tuple[int | None, Line]] = deque()
        self._after = -NO_END
        self._ended = False

    async def until(self, seq: int) -> list[tuple[int | None, Line]]:
        """The next lines up to `seq`, at most as many as no segment has: a number that was tampered with must not fill memory."""
        found: list[tuple[int | None, Line]] = []
        while len(found) < 4 * MOST_LINES:
            if not self._page and not await self._turn():
                break
            if self._page[0][1].seq > seq:
                break
            found.append(self._page.popleft())
        return found

    async def _turn(self) -> bool:
        rows = () if self._ended else await self._history.lines(after=self._after, limit=MOST_LINES)
        self._page.extend(rows)
        self._ended = len(rows) < MOST_LINES
        if rows:
            self._after = rows[-1][1].seq
        return bool(rows)


class Listed:
    """The archive's segments in the order of their numbers, with a look at the next one."""

    def __init__(self, objects: AsyncGenerator[tuple[int, StoredObject], None]) -> None:
        self._objects = objects
        self._next: tuple[int, StoredObject] | None = None
        self._begun = False

    async def _peek(self) -> tuple[int, StoredObject] | None:
        if not self._begun:
            self._begun = True
            self._next = await anext(self._objects, None)
        return self._next

    async def before(self, number: int) -> AsyncGenerator[int, None]:
        """Takes what comes before a number."""
        while (found := await self._peek()) is not None and found[0] < number:
            self._begun = False
            yield found[0]

    async def take(self, number: int) -> StoredObject | None:
        """Takes the object of a number; None where there is none."""
        found = await self._peek()
        if found is None or found[0] != number:
            return None
        self._begun = False
        return found[1]

    async def rest(self, *, limit: int) -> list[int]:
        """The numbers that are left, up to `limit`."""
        numbers: list[int] = []
        while len(numbers) < limit and (found := await self._peek()) is not None:
            self._begun = False
            numbers.append(found[0])
        return numbers


async def ahead(tasks: AsyncGenerator[asyncio.Task[T], None]) -> AsyncGenerator[T, None]:
    """The results of tasks in their order, a few of them under way while one is looked at."""
    waiting: deque[asyncio.Task[T]] = deque()
    try:
        async with aclosing(tasks):
            async for task in tasks:
                waiting.append(task)
                if len(waiting) > AHEAD:
                    yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
