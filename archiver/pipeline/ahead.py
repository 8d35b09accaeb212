"""How many entries to claim beyond the free places, so that a claim pays for many of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archiver.domain.ports import Clock

WINDOW = 0.5  # seconds


class Ahead:
    """As many as ended in the last half second: nothing that is claimed waits for longer than about that, whatever its size."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._ends: deque[float] = deque(maxlen=most)

    def ended(self) -> None:
        """An entry gave its place up."""
        self._ends.append(self._clock.monotonic())

    def wanted(self) -> int:
        """Entries to have claimed beyond the free places, at most `most`."""
        since = self._clock.monotonic() - WINDOW
        while self._ends and self._ends[0] <= since:
            self._ends.popleft()
        return len(self._ends)
