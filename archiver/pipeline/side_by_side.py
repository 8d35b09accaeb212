"""The same small request for many things, a few at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")
AT_ONCE = 6


async def side_by_side(items: Iterable[T], act: Callable[[T], Awaitable[None]]) -> None:
    """Calls `act` for every item, at most six at a time; the first failure stops the rest and is raised as it is."""
    queue = iter(list(items))

    async def worker() -> None:
        for item in queue:
            await act(item)

    workers = [asyncio.ensure_future(worker()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
