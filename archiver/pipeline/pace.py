"""How fast and how many: one rate for all transfers of a process, and fewer at once while the store asks to slow down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archiver.domain.ports import Clock

BURST = 1.0  # seconds' worth of bytes that may go at once


class Pace:
    """A rate in bytes a second over everything that passes; None lets everything through."""

    def __init__(self, rate: int | None, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = clock.monotonic()

    async def passed(self, size: int) -> None:
        """Waits as long as `size` bytes just received were ahead of the rate."""
        if self._rate is None:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now - BURST) + size / self._rate
        if self._free_at > now:
            await self._clock.sleep(self._free_at - now)


class Width:
    """How many transfers may run at once: halved when the store pushes back, one more after each full round of successes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = float(most)

    @property
    def current(self) -> int:
        """Transfers at once, at least 1."""
        return max(1, int(self._now))

    def pushed_back(self) -> None:
        """The store was slow to answer, refused, or asked to slow down."""
        self._now = max(1.0, self._now / 2)

    def went_well(self) -> None:
        """One more attempt reached the store."""
        self._now = min(float(self._most), self._now + 1 / max(1.0, self._now))
