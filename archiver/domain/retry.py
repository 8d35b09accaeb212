"""When a failed attempt is repeated, and how a source slows down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime

FIRST = timedelta(seconds=4)
LONGEST = timedelta(minutes=15)
LONGEST_WAIT_ASKED = 900.0  # seconds; a provider that asks for more is believed for this long


def backoff(attempt: int, *, chance: float) -> timedelta:
    """Full-jitter wait before the next attempt after `attempt` failed ones (1, 2, …): within 4 s, 8 s, … up to 15 minutes.

    `chance` is a random number in [0, 1). A tenth of the span is always waited, so that no retry is immediate.
    """
    doublings = min(max(attempt, 1), 20) - 1
    span: timedelta = min(FIRST * (1 << doublings), LONGEST)
    return span * (0.1 + 0.9 * chance)


def wait_asked(value: float | None, *, chance: float) -> float | None:
    """Seconds to honour of what a provider asked for, with up to 10 % on top so that workers do not return together.

    None where it asked for nothing usable (missing, negative, not finite).
    """
    if value is None or not 0 <= value < float("inf"):
        return None
    return min(value, LONGEST_WAIT_ASKED) * (1 + 0.1 * chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Whether a source is worth asking: opens after `THRESHOLD` failures in a row, then lets one probe through at a time."""

    failures: int = 0
    open_until: datetime | None = None

    THRESHOLD: ClassVar[int] = 5

    def allows(self, now: datetime) -> bool:
        """Whether a request may be made now."""
        return self.open_until is None or now >= self.open_until

    def failed(self, now: datetime, *, chance: float) -> Circuit:
        """The circuit after one more failure."""
        failures = self.failures + 1
        if failures < self.THRESHOLD:
            return replace(self, failures=failures)
        return replace(self, failures=failures, open_until=now + backoff(failures - self.THRESHOLD + 2, chance=chance))

    def succeeded(self) -> Circuit:
        """The circuit after a success."""
        return Circuit()
