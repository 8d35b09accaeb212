"""A clock that stands still until a test moves it."""

import itertools
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment
        self.passed = 0.0
        self._tokens = itertools.count(1)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds=seconds)

    def chance(self) -> float:
        return 0.5

    def token(self) -> str:
        return f"{next(self._tokens):032x}"

    def advance(self, *, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        self.passed += seconds
