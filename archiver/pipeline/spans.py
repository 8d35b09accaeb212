"""When one connection is too slow for a large body, how many more to open, and which bytes each of them fetches.

Some hosts limit each connection and not the client. Whether this one does shows only by trying: what is slow may be the line
or the machine, and then further connections bring nothing and have to go again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

MIB = 1024 * 1024
AHEAD = 2  # spans that may wait to be handed on while every connection fetches another


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is slow and what is too much; sizes in bytes, rates in bytes a second of waiting for the provider."""

    floor: float = 50 * MIB  # what one connection should bring; half of what a gigabit line carries
    least_left: int = 64 * MIB  # below it there is nothing to be won
    warm_up: int = MIB  # not counted: a connection needs some round trips to find its speed
    measured: int = 4 * MIB  # bytes that make a measurement …
    patience: float = 1.0  # … or seconds, where those take longer
    most: int = 8  # connections for one body
    seconds: float = 0.4  # that a span should take, so that the round trip before it weighs little
    least_span: int = 2 * MIB
    most_span: int = 8 * MIB
    gain: float = 1.5  # how much quicker several connections have to be
    pause: float = 5.0  # seconds before the host is asked for the rest over one connection, where it asked to slow down
    rest: float = 600.0  # seconds without further connections to a source where they were refused or brought nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a body goes on: by so many connections, each fetching spans of so many bytes. `rate` is what one brought."""

    connections: int
    span: int
    rate: float

    @property
    def window(self) -> int:
        """Spans under way or waiting to be handed on: more than connections, which need not wait while a part is sent."""
        return self.connections + AHEAD


class Meter:
    """Bytes by seconds of waiting, measurement after measurement."""

    def __init__(self, *, skip: int, enough: int, patience: float = float("inf")) -> None:
        self._skip = skip
        self._enough = enough
        self._patience = patience
        self._size = 0
        self._seconds = 0.0

    def add(self, size: int, seconds: float) -> float | None:
        """Counts bytes and how long they were waited for; the rate where that makes a measurement whole, None elsewhere."""
        if self._skip > 0:
            self._skip -= size
            return None
        self._size += size
        self._seconds += seconds
        if self._size < self._enough and self._seconds < self._patience:
            return None
        rate = self._size / self._seconds if self._seconds else float("inf")
        self._size, self._seconds = 0, 0.0
        return rate


def single(rule: Rule) -> Meter:
    """Measures one connection."""
    return Meter(skip=rule.warm_up, enough=rule.measured, patience=rule.patience)


def together(plan: Plan) -> Meter:
    """Measures several: over a whole round, since bytes come in order, slowly from the first span and at once from the others."""
    return Meter(skip=0, enough=plan.connections * plan.span)


def plan(rule: Rule, *, rate: float, left: int, free: int, room: int) -> Plan | None:
    """More connections for a body of which `left` bytes are to come at `rate`; None where it should stay with one.

    `free` is how many more connections may be opened, `room` how many bytes may be buffered for this body.
    """
    if rate >= rule.floor or left < rule.least_left or free < 1:
        return None
    connections = min(rule.most, 1 + free)
    span = min(max(int(rate * rule.seconds), rule.least_span), rule.most_span)
    span = min(span, max(room // (connections + AHEAD), rule.least_span))
    connections = min(connections, room // span, ceil(left / span))
    return Plan(connections=connections, span=span, rate=rate) if connections > 1 else None


def worthwhile(rule: Rule, plan: Plan, rate: float) -> bool:
    """Whether several connections bring enough more than the one did."""
    return rate >= rule.gain * plan.rate


def next_span(plan: Plan, *, at: int, total: int) -> tuple[int, int] | None:
    """The bytes [first, stop) to be asked for after all before `at` are; None at the end."""
    return (at, min(at + plan.span, total)) if at < total else None
