"""One gate for all requests of a source: a provider that asks for patience is given it by every worker at once."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from archiver.domain import retry
from archiver.domain.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from archiver.domain.ports import Clock

PATIENCE = 60.0  # seconds that a request waits here; a longer wait is handed to the caller, who has other work
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_BUDGET, _EARNED = 10.0, 0.1  # quick repeats at the start, and per success: an outage is not met with three times the requests


class Gate:
    """Holds requests back while the provider asked for it; knows how many more requests the provider announced."""

    def __init__(self, source: str, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._opens_at = float("-inf")
        self._closed_at = float("-inf")
        self._refusals = 0
        self._budget = _BUDGET
        self.remaining: int | None = None

    async def enter(self) -> float:
        """Waits until the gate is open and returns the monotonic time; raises RateLimited where that would take over a minute."""
        since = self._clock.monotonic()
        while (wait := self._opens_at - self._clock.monotonic()) > 0:
            if self._opens_at - since > PATIENCE:
                raise RateLimited(f"{self._source}: the provider asked to wait, {wait:.0f} s are left", wait=wait)
            await self._clock.sleep(retry.wait_asked(wait, chance=self._clock.chance()) or wait)
        return self._clock.monotonic()

    def heard(self, headers: Mapping[str, str]) -> None:
        """Takes note of the rate limit headers of any answer; closes the gate when they say that nothing is left.

        Telnyx: `x-ratelimit-reset` is seconds until the reset (T-rate). Twilio has no such headers.
        """
        left = headers.get("x-ratelimit-remaining", "")
        if re.fullmatch(r"[0-9]{1,9}", left):
            self.remaining = int(left)
            reset = _seconds(headers.get("x-ratelimit-reset", ""))
            if self.remaining == 0 and reset:
                self._close(reset)

    def refused(self, headers: Mapping[str, str], *, entered_at: float) -> float:
        """Closes the gate after a 429 and returns the seconds it stays closed.

        For as long as the answer asks, at most 15 minutes; where it asks for nothing usable, for our own growing backoff.
        Requests that were under way when the gate closed belong to the same burst and do not make that grow.
        """
        if entered_at >= self._closed_at:
            self._refusals += 1
        wait = asked(headers, now=self._clock.now()) or retry.backoff(self._refusals, chance=self._clock.chance()).total_seconds()
        self._closed_at = self._clock.monotonic()
        return self._close(wait)

    def _close(self, seconds: float) -> float:
        now = self._clock.monotonic()
        self._opens_at = max(self._opens_at, now + min(seconds, retry.LONGEST_WAIT_ASKED))
        return self._opens_at - now

    def succeeded(self) -> None:
        """Takes note of a request that was served."""
        self._refusals = 0
        self._budget = min(_BUDGET, self._budget + _EARNED)

    def may_repeat(self) -> bool:
        """Whether a failed request may be repeated at once; spends from a budget that successes earn."""
        if self._budget < 1:
            return False
        self._budget -= 1
        return True


def asked(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds that a 429 asks to wait: the longer of Retry-After and x-ratelimit-reset; None for 0, junk and nothing.

    Neither header is documented for every endpoint (providers.md 2.8, 4.7), so either may be missing or wrong.
    """
    found = [_seconds(headers.get("x-ratelimit-reset", "")), _retry_after(headers.get("retry-after", ""), now=now)]
    return max((seconds for seconds in found if seconds), default=None)


def _seconds(value: str) -> float | None:
    return float(value) if _SECONDS.fullmatch(value.strip()) else None


def _retry_after(value: str, *, now: datetime) -> float | None:
    seconds = _seconds(value)
    if seconds is not None or not value:
        return seconds
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
