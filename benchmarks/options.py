"""What a run of the benchmarks was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`count` and `rounds` are 0 where each workload decides."""

    quick: bool = False
    full: bool = False
    count: int = 0
    rounds: int = 0

    def pick(self, *, quick: T, usual: T, full: T | None = None) -> T:
        """What fits how much time there is."""
        if self.quick:
            return quick
        return full if self.full and full is not None else usual
