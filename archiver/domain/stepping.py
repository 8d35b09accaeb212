"""Whether a clock was set: its instants have to keep step with seconds that no setting changes (I13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archiver.domain.retention import DOUBT, instant

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

CLOCK = "clock"  # the note that keeps, beyond this process, that a clock is in doubt, or since when it no longer is


class StepWatch:
    """Looks at the instants of one clock; setting it back makes nothing good.

    What was written in between has an instant that is wrong, and may look as if it had cooled off for a day. `elapsed` gives
    seconds that no setting of a clock changes and that go on while the machine sleeps; `whose` names the clock.
    """

    def __init__(self, whose: str, elapsed: Callable[[], float]) -> None:
        self._whose = whose
        self._elapsed = elapsed
        self._began: tuple[datetime, float] | None = None
        self.said: str | None = None

    def see(self, now: datetime) -> str | None:
        """Takes the clock's present instant; why it is in doubt, None as long as it was never seen to be set."""
        elapsed = self._elapsed()
        if self._began is None:
            self._began = now, elapsed
        began, at = self._began
        jump = (now - began).total_seconds() - (elapsed - at)
        if self.said is None and abs(jump) > DOUBT:
            self.said = f"{self._whose} was set by {jump:+.0f} s since {instant(began)}; nothing is deleted before a restart"
        return self.said
