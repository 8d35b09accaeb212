"""The overview as values: what the first page says about every source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from archiver.catalog.problems import STALLED
from archiver.web import measures
from archiver.web.headline import NARROW, Segment, segments
from archiver.web.states import Tone, ordered, word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from archiver.web.view import SourceFacts

_UNCONFIGURED = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One source. `oldest`, `lateness` and `every` in seconds; `spoken` is the bar in words."""

    name: str
    provider: str
    configured: bool
    oldest: float | None
    freshness_tone: Tone
    last_pass: datetime | None
    pass_tone: Tone
    covered_since: datetime | None
    lateness: float | None
    every: float
    bar: Sequence[Segment]
    total: int
    spoken: str


def cards(status: Mapping[str, Any], sources: Sequence[SourceFacts], now: datetime) -> list[Card]:
    """A card for every source of the status document."""
    every = {source.name: source.poll_every for source in sources}
    return [_card(item, every.get(item["name"], _UNCONFIGURED), now) for item in status["sources"]]


def _card(item: Mapping[str, Any], every: timedelta, now: datetime) -> Card:
    counts: Mapping[str, int] = item["states"]
    passed = measures.parsed(item["last_complete_pass"])
    configured = bool(item.get("configured", True))
    late = configured and passed is not None and now - passed > STALLED * every
    return Card(
        name=item["name"],
        provider=item["provider"],
        configured=configured,
        oldest=item["oldest_unarchived_seconds"],
        freshness_tone=Tone.BAD if counts.get("failed") else Tone.CALM,
        last_pass=passed,
        pass_tone=Tone.BAD if late else Tone.CALM,
        covered_since=measures.parsed(item["covered_since"]),
        lateness=item["lateness_p99_seconds"],
        every=every.total_seconds(),
        bar=segments(counts, least=NARROW),
        total=sum(counts.values()),
        spoken=", ".join(f"{measures.number(count)} {word(state).said}" for state, count in ordered(counts)),
    )
