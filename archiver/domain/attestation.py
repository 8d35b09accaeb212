"""What may be said about a period: counted from complete passes and the catalog, with every gap named.

A statement is plain JSON. It is signed over its canonical form (RFC 8785) without `signature`, so that anybody can check it with
the public key and nothing of ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from archiver.domain.recording import State
from archiver.domain.windows import Window, ids_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCHEMA = "archiver.attestation/1"


class Standing(StrEnum):
    """Where a whole recording stands; the worst of its renditions decides."""

    VERIFIED = "verified"  # every wanted rendition is archived and proved
    WAITING = "waiting"  # something is still to be done, or parked, or damaged
    EXCLUDED = "excluded"  # the media lies elsewhere, never existed, or expired by policy
    LOST = "lost"  # deleted by the provider before it was archived


_STANDING = {
    State.VERIFIED: Standing.VERIFIED,
    State.EXPIRING: Standing.EXCLUDED,
    State.EXPIRED: Standing.EXCLUDED,
    State.EXTERNAL: Standing.EXCLUDED,
    State.UNAVAILABLE: Standing.EXCLUDED,
    State.LOST: Standing.LOST,
}
_WORST_FIRST = (Standing.LOST, Standing.WAITING, Standing.EXCLUDED, Standing.VERIFIED)


def standing(states: Iterable[State]) -> Standing:
    """The standing of a recording from the states of its renditions; WAITING where it has none."""
    found = {_STANDING.get(state, Standing.WAITING) for state in states}
    return next((kind for kind in _WORST_FIRST if kind in found), Standing.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSeen:
    """A complete pass over days of one list: what it saw, when first and last, and how often exactly that."""

    listing: str
    first_day: date
    last_day: date
    listed: int
    ids_sha256: str
    first_started_at: datetime
    last_started_at: datetime
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A recording that is not archived and verified, and why."""

    recording_id: str
    reason: str


@dataclass(slots=True)
class Count:
    """The recordings of one source that ended in the period, counted as they are read."""

    ids: list[str] = field(default_factory=list)
    by: dict[Standing, int] = field(default_factory=lambda: dict.fromkeys(Standing, 0))
    excluded_because: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def add(self, recording_id: str, renditions: Sequence[tuple[str, State, str]]) -> None:
        """Counts one recording with its renditions as (name, state, error)."""
        stands = standing(state for _name, state, _error in renditions)
        self.ids.append(recording_id)
        self.by[stands] += 1
        if stands is Standing.EXCLUDED:
            why = next(state.value for _name, state, _error in renditions if _STANDING.get(state) is Standing.EXCLUDED)
            self.excluded_because[why] = self.excluded_because.get(why, 0) + 1
        elif stands is not Standing.VERIFIED:
            self.gaps.append(Gap(recording_id=recording_id, reason=_reason(renditions)))


def _reason(renditions: Sequence[tuple[str, State, str]]) -> str:
    open_ones = [item for item in renditions if _STANDING.get(item[1]) not in (Standing.VERIFIED, Standing.EXCLUDED)]
    return "; ".join(f"{name} is {state}{f': {error}' if error else ''}" for name, state, error in open_ones) or "it has no media"


def uncovered(period: Window, passes: Sequence[PassSeen], listings: Iterable[str]) -> list[date]:
    """Days of the period that not every windowed list was walked over completely after they had ended."""
    missing = []
    for day in period.days():
        for listing in listings:
            good = (
                p.listing == listing and p.first_day <= day.first <= p.last_day and p.last_started_at >= day.end for p in passes
            )
            if not any(good):
                missing.append(day.first)
                break
    return missing


def days_of(since: datetime, until: datetime) -> Window:
    """The whole days that [since, until) touches."""
    return Window(first=since.date(), last=(until - timedelta(microseconds=1)).date())


def source_statement(
    *,
    name: str,
    provider: str,
    period: Window,
    passes: Sequence[PassSeen],
    listings: Sequence[str],
    count: Count,
    questions: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What is said about one source."""
    missing = uncovered(period, passes, listings)
    return {
        "name": name,
        "provider": provider,
        "complete": not missing,
        "uncovered_days": [str(day) for day in missing],
        "passes": [plain(asdict(item)) for item in passes],
        "listed": len(count.ids),
        "ids_sha256": ids_sha256(count.ids),
        "verified": count.by[Standing.VERIFIED],
        "waiting": count.by[Standing.WAITING],
        "excluded": count.by[Standing.EXCLUDED],
        "excluded_because": count.excluded_because,
        "lost": count.by[Standing.LOST],
        "gaps": [asdict(gap) for gap in count.gaps],
        "questions": [dict(question) for question in questions],
    }


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON has them."""
    return {key: text(value) if isinstance(value, date) else value for key, value in values.items()}


def text(moment: date) -> str:
    """A day, or an instant in UTC with microseconds and Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(moment, datetime) else str(moment)


def findings(statement: Mapping[str, Any]) -> list[str]:
    """Why a statement is not a clean one, one sentence each: uncovered days, gaps, losses."""
    found = []
    for source in statement["sources"]:
        name = source["name"]
        if not source["complete"]:
            days = source["uncovered_days"]
            shown = ", ".join(days[:3]) + (f" and {len(days) - 3} more" if len(days) > 3 else "")
            found.append(f"{name}: not covered by a complete pass made after it ended: {shown}")
        if source["lost"]:
            found.append(f"{name}: {source['lost']} lost")
        if source["waiting"]:
            found.append(f"{name}: {source['waiting']} not archived and verified")
    return found
