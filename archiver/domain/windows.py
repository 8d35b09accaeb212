"""Which days to list next, how to cut them up, and when a pass over them counts as complete."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Window:
    """Whole UTC days from `first` to `last`, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"a window ends on or after its first day, got {self.first} to {self.last}")

    @property
    def start(self) -> datetime:
        """First instant of the window."""
        return datetime.combine(self.first, datetime.min.time(), tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """First instant after the window."""
        return datetime.combine(self.last + DAY, datetime.min.time(), tzinfo=UTC)

    def days(self) -> Iterator[Window]:
        """The window cut into single days, oldest first."""
        day = self.first
        while day <= self.last:
            yield Window(first=day, last=day)
            day += DAY

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"


def live_window(*, now: datetime, watermark: datetime | None, lookback: timedelta) -> Window:
    """The days a poll at `now` has to list.

    The start lies `lookback` before the watermark (before now on the very first poll), one more day back because
    filters are whole dates whose zone nobody documents; the end is tomorrow for the same reason
    (providers.md, trap 2; reliability.md, I2).
    """
    since = min(watermark or now, now) - lookback
    return Window(first=since.date() - DAY, last=now.date() + DAY)


def backfill_days(*, since: datetime, until: datetime) -> list[Window]:
    """Day slices that cover [since, until), newest first.

    What users ask for first is the newest; which end goes first changes nothing about what is covered.
    """
    if until <= since:
        return []
    last = (until - timedelta(microseconds=1)).date()
    return list(Window(first=since.date(), last=last).days())[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What one walk over the pages of a window saw.

    `ids` are the ids listed, `new` how many of them the catalog did not hold before; `total` is the provider's count (None where
    it gives none); `rejected` rows count as seen: they are in quarantine, not overlooked.
    """

    ids: frozenset[str]
    pages: int
    new: int
    rejected: int = 0
    total: int | None = None


QUIET_WALKS = 2
MOST_WALKS = 6  # under steady churn two quiet walks may never come; the pass is then incomplete and says so


def walk_again(walks: Sequence[Walk], *, confirmed: str = "") -> bool:
    """Whether the window has to be walked once more before its pass can be called complete.

    One page cannot shift under the reader. Over several, offset paging skips rows when others vanish, so two walks in a row,
    one forward and one backward, must bring nothing new (F7: a single confirming walk misses in 6 of 500 runs). `confirmed` is
    the `ids_sha256` of the window's last complete pass: a walk that sees exactly the same ids again is itself the quiet one,
    which keeps a calm window at one walk a poll.
    """
    if not walks or not covers_total(walks[-1]):
        return True
    if walks[-1].pages <= 1 or ids_sha256(walks[-1].ids) == confirmed:
        return False
    return len(walks) < QUIET_WALKS or any(walk.new for walk in walks[-QUIET_WALKS:])


def covers_total(walk: Walk) -> bool:
    """Whether the ids seen account for the provider's own count."""
    return walk.total is None or len(walk.ids) + walk.rejected >= walk.total


def ids_sha256(ids: Iterable[str]) -> str:
    """SHA-256 of the sorted ids joined by newlines, as attestations quote it (contract.md, documents)."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
