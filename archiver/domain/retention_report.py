"""What is kept, for how long and why, in figures: by source and policy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from archiver.domain.plan import Action
from archiver.domain.retention import instant

if TYPE_CHECKING:
    from datetime import datetime

    from archiver.domain.plan import Candidate, Item

SOON = (30, 90, 365)  # days


@dataclass(slots=True, kw_only=True)
class Line:
    """The stored and verified renditions of one source under one policy ("" for none); sizes in bytes."""

    source: str
    policy: str
    renditions: int = 0
    bytes: int = 0
    locked: int = 0
    held: int = 0
    over: int = 0  # kept for long enough, and nothing stands against their deletion
    over_in_30d: int = 0
    over_in_90d: int = 0
    over_in_365d: int = 0
    for_ever: int = 0
    releasable: int = 0
    first_until: datetime | None = None
    last_until: datetime | None = None

    def add(self, one: Candidate, item: Item, now: datetime) -> None:
        """Counts one more rendition."""
        until = item.retain_until
        self.renditions += 1
        self.bytes += one.size
        self.locked += one.locked_until is not None and one.locked_until > now
        self.held += bool(one.holds)
        self.over += item.action is Action.EXPIRE
        self.releasable += item.action is Action.RELEASE
        self.for_ever += until is None
        if until is not None:
            for days in SOON:
                name = f"over_in_{days}d"
                setattr(self, name, getattr(self, name) + (now < until <= now + timedelta(days=days)))
            self.first_until = min(self.first_until or until, until)
            self.last_until = max(self.last_until or until, until)

    def document(self) -> dict[str, Any]:
        """The line as JSON has it."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        ends = {name: instant(found[name]) if found[name] else None for name in ("first_until", "last_until")}
        return {**found, **ends, "policy": self.policy or None}


class Report:
    """Lines by source and policy, filled one rendition at a time."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._lines: dict[tuple[str, str], Line] = {}

    @staticmethod
    def columns() -> tuple[str, ...]:
        """The names of what a line tells, in order."""
        return tuple(field.name for field in fields(Line))

    def add(self, one: Candidate, item: Item) -> None:
        """Counts one more rendition."""
        key = one.source, item.policy or ""
        line = self._lines.setdefault(key, Line(source=key[0], policy=key[1]))
        line.add(one, item, self.now)

    def lines(self) -> list[Line]:
        """The lines in order."""
        return [self._lines[key] for key in sorted(self._lines)]
