"""What one run did, source by source: the counters behind summaries, documents and exit codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archiver.domain.lifecycle import Event

if TYPE_CHECKING:
    from archiver.domain.work import Outcome
    from archiver.pipeline.discover import Pass


@dataclass(slots=True)
class SourceTally:
    """One source's counters; `bytes` are those stored."""

    listed: int = 0
    new: int = 0
    stored: int = 0
    verified: int = 0
    failed: int = 0
    damaged: int = 0
    lost: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
    failure: Exception | None = None  # what ended its polling


class Tally:
    """Counters of all sources of a run, fed by passes and outcomes."""

    def __init__(self, sources: list[str]) -> None:
        self.sources = {name: SourceTally() for name in sources}

    def passed(self, source: str, seen: Pass) -> None:
        """Counts what a poll or a backfilled day listed."""
        mine = self.sources[source]
        mine.listed += seen.listed
        mine.new += seen.new
        mine.lost += seen.lost
        mine.problems += [text for text in seen.problems if text not in mine.problems]

    def ended(self, outcome: Outcome) -> None:
        """Counts an outcome that the catalog took."""
        mine = self.sources.get(outcome.entry.source)
        if mine is None:
            return
        if outcome.event is Event.STORED:
            mine.stored += 1
            mine.bytes += outcome.facts.get("size") or 0
        elif outcome.event is Event.VERIFIED:
            mine.verified += 1
        elif outcome.event is Event.FAILED:
            mine.failed += 1
        elif outcome.event is Event.DAMAGED:
            mine.damaged += 1
        elif outcome.event is Event.LOST:
            mine.lost += 1

    def total(self, name: str) -> int:
        """A counter summed over the sources."""
        return sum(getattr(tally, name) for tally in self.sources.values())
