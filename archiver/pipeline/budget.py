"""One budget of bytes for all transfers of a process, so that memory is bounded whatever the concurrency."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


_LEAST = 64 * 1024  # bytes of the smallest buffer
_SHARE = 64  # of a small one in the whole budget


class ByteBudget:
    """Bytes that buffers may hold together; who asks first is served first, so that large parts do not starve."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._lent = 0
        self._kept: list[bytearray] = []  # in the order of their last use
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

    @asynccontextmanager
    async def buffer(self, size: int) -> AsyncIterator[bytearray]:
        """Holds a buffer of at least `size` bytes, whose content is whatever it was last used for.

        Buffers are used again: asking the system for 16 MiB and touching every page of them costs more than copying 16 MiB does,
        and what is given back in pieces leaves holes. One whose block fails is not used again: a write that was given up may
        still read from it.
        """
        size = self._rounded(size)
        async with self.hold(size):
            own = self._ready(size)
            yield own
            self._kept.append(own)

    def _rounded(self, size: int) -> int:
        """A power of two for what is small beside the budget, else just as many: few sizes, so that buffers find their like."""
        power = max(_LEAST, 1 << max(0, size - 1).bit_length())
        return power if power * _SHARE <= self.total else size

    def _ready(self, size: int) -> bytearray:
        for at in range(len(self._kept) - 1, -1, -1):  # the one used last is still in the processor's caches
            if len(self._kept[at]) == size:
                return self._kept.pop(at)
        # No more than fits beside what is held, this one among it; those go first that were not used for longest.
        while self._kept and sum(map(len, self._kept)) > self._free:
            del self._kept[0]
        return bytearray(size)

    def spare(self, most: int) -> int:
        """Bytes that may be borrowed now, with at most `most` lent at once; none while anybody waits."""
        return 0 if self._waiting else max(0, min(self._free, most - self._lent))

    def borrow(self, size: int, *, most: int) -> bool:
        """Takes `size` bytes if they can be spared this moment, and says so; never waits. To be ended by `give_back`.

        Who borrows and holds needs `most` to leave room for the largest hold: what is lent comes back only when a hold goes on.
        """
        if size > self.spare(most):
            return False
        self._free -= size
        self._lent += size
        return True

    def give_back(self, size: int) -> None:
        """Ends a loan."""
        self._free += size
        self._lent -= size
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
