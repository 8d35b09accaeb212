"""The providers' limits: Telnyx' requests in a window with its headers, Twilio's requests at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from archiver.simulator.behaviour import Behaviour

_NOMINAL_LIMIT = 1000  # shown in the headers while no limit is set


class Window:
    """Telnyx' window of fixed length; the numbers of the real limits are NOT FOUND (providers.md 2.8)."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._opened: datetime | None = None
        self._used = 0

    def take(self, now: datetime) -> tuple[bool, dict[str, str]]:
        """Counts one request: whether it is within the limit, and the headers; `x-ratelimit-reset` is in seconds from now."""
        length = self._behaviour.telnyx_window
        age = length if self._opened is None else (now - self._opened).total_seconds()
        if not 0 <= age < length:
            self._opened, self._used, age = now, 0, 0.0
        limit = self._behaviour.telnyx_limit or _NOMINAL_LIMIT
        allowed = not self._behaviour.telnyx_limit or self._used < limit
        self._used += 1
        reset = max(1, math.ceil(length - age))
        return allowed, {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(max(0, limit - self._used)),
            "x-ratelimit-reset": str(reset),
        }


class Concurrency:
    """How many requests to Twilio are in flight."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.now = 0
        self.most = 0

    def enter(self) -> bool:
        """Counts a request in: whether it is within the limit."""
        self.now += 1
        self.most = max(self.most, self.now)
        return not self._behaviour.twilio_concurrency or self.now <= self._behaviour.twilio_concurrency

    def leave(self) -> None:
        self.now -= 1
