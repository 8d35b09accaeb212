"""One budget of bytes for all transfers of a process, so that memory is bounded whatever the concurrency."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class ByteBudget:
    """Bytes that buffers may hold together; who asks first is served first, so that large parts do not starve."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Holds `size` bytes (at most the total) while the block runs."""
        wanted = min(size, self.total)
        await self._take(wanted)
        try:
            yield
        finally:
            self._free += wanted
            self._serve()

    async def _take(self, wanted: int) -> None:
        if not self._waiting and wanted <= self._free:
            self._free -= wanted
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free += wanted  # the turn came in the same moment: give it on
            else:
                self._waiting = deque(item for item in self._waiting if item[1] is not turn)
            self._serve()
            raise

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= wanted
                turn.set_result(None)
