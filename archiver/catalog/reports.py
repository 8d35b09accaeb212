"""How things stand: the questions behind `status`, the metrics and the dashboard. Reads only.

What each costs: counts are kept (tallies.py), the rest reads what is open, failed or recent through an index. Only
`catalog check` reads whole tables.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from archiver.catalog.alarms import alarms
from archiver.catalog.ledger import overdue
from archiver.catalog.listing import sources_listed
from archiver.catalog.problems import Concerns, concerns, problems, stalled
from archiver.catalog.tables import failing, ledger, passes, recordings, renditions, sources, tallies
from archiver.config import format_instant
from archiver.domain import lifecycle
from archiver.domain.recording import State
from archiver.domain.work import PRIORITY_BACKFILL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

R, C = renditions.c, recordings.c
RECENT = timedelta(days=30)  # recordings that ended in this time tell how late we are …
SAMPLE = 1_000  # … the last so many of them for each source: enough for a 99th percentile, cheap at any size
HISTORY = 5_000  # ledger lines that the forecast goes by
PACE = timedelta(hours=1)  # and how far back at most

_STATES = {state.value: 0 for state in State}
_FAILING = "failing"


class Configured(Protocol):
    """A configured source, as far as reports need it; `config.SourceSettings` is one."""

    @property
    def name(self) -> str:
        """Unique; part of every key and label."""

    @property
    def provider(self) -> str:
        """Which API is asked."""

    @property
    def poll_every(self) -> timedelta:
        """How often it is asked."""


async def state_counts(conn: AsyncConnection) -> dict[str, dict[str, int]]:
    """Renditions by source and state, every state with a number."""
    return (await _counts(conn))[0]


async def _counts(conn: AsyncConnection) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Renditions by source and state, and by source those whose last attempt failed; one statement, so that they add up (I25)."""
    by_state = sa.select(tallies.c.source, tallies.c.state, tallies.c.n).where(tallies.c.n != 0)
    names = await sources_listed(conn)  # named, so that only the rows in these states are looked at
    open_ = R.source.in_(names), R.state.in_(["due", "transferring", "stored"])
    tried = sa.select(R.source, sa.literal(_FAILING), sa.func.count()).where(*open_, failing).group_by(R.source)
    found: dict[str, dict[str, int]] = {}
    tries: dict[str, int] = {}
    for source, state, count in (await conn.execute(sa.union_all(by_state, tried))).all():
        if state == _FAILING:
            tries[source] = count
        else:
            found.setdefault(source, dict(_STATES))[state] = count
    return found, tries


async def oldest_unarchived(conn: AsyncConnection, now: datetime) -> dict[str, float]:
    """By source, seconds since the end (else the first sight) of the oldest recording not archived yet; none where all are."""
    states = sorted(lifecycle.UNARCHIVED)
    # The first of each range in the index, of which `tallies` names those that were ever there; what has no end yet is read.
    first = sa.select(sa.func.min(R.ended_at)).where(R.source == tallies.c.source, R.state == tallies.c.state)
    ended = sa.select(tallies.c.source, first.scalar_subquery()).where(tallies.c.state.in_(states))
    endless = sa.select(R.source, sa.func.min(C.first_seen_at)).join(recordings, C.id == R.recording_pk).group_by(R.source)
    names = await sources_listed(conn)
    endless = endless.where(R.source.in_(names), R.state.in_(states), R.ended_at.is_(None))
    found: dict[str, float] = {}
    for source, moment in [*(await conn.execute(ended)).all(), *(await conn.execute(endless)).all()]:
        if moment is not None:
            found[source] = max(found.get(source, 0.0), (now - moment).total_seconds())
    return found


async def lateness_p99(conn: AsyncConnection, source: str, now: datetime) -> float | None:
    """Seconds between end and archiving that 99 of 100 live recordings of the last 30 days kept to; None where there were none.

    What ended before the source was first polled, and what a backfill brought, is left out: it was late before anybody asked.
    """
    first = (await conn.execute(sa.select(sa.func.min(passes.c.started_at)).where(passes.c.source == source))).scalar()
    if first is None:
        return None
    live = R.ended_at >= max(first, now - RECENT), R.ended_at <= now, R.archived_at.is_not(None), R.priority < PRIORITY_BACKFILL
    query = sa.select(R.ended_at, R.archived_at).where(R.source == source, *live).order_by(R.ended_at.desc()).limit(SAMPLE)
    rows: list[Any] = []
    for state in lifecycle.ARCHIVED:  # one by one: the end of a range in the index, where both together would be sorted
        rows += (await conn.execute(query.where(R.state == state))).all()
    newest = sorted(rows, key=lambda row: row.ended_at, reverse=True)[:SAMPLE]
    return percentile((max(0.0, (row.archived_at - row.ended_at).total_seconds()) for row in newest), 99)


def percentile(values: Iterable[float], rank: int) -> float | None:
    """The smallest value that at least `rank` percent of the values do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * rank // 100) - 1] if ordered else None


async def paces(conn: AsyncConnection, now: datetime) -> dict[str, float]:
    """By source, renditions archived per second lately, as the end of the history tells."""
    last = sa.select(ledger.c.source, ledger.c.event, ledger.c.at).order_by(ledger.c.id.desc()).limit(HISTORY).subquery()
    query = sa.select(last.c.source, sa.func.count(), sa.func.min(last.c.at))
    query = query.where(last.c.event == lifecycle.Event.STORED.value, last.c.at > now - PACE).group_by(last.c.source)
    rows = (await conn.execute(query)).all()
    return {source: count / max(1.0, (now - first).total_seconds()) for source, count, first in rows}


async def status(
    conn: AsyncConnection, now: datetime, configured: Sequence[Configured], *, seal_every: timedelta | None = None
) -> dict[str, Any]:
    """The document `archiver.status/1` (contract.md, documents). Sources that are no longer configured are shown, not judged.

    With `seal_every` a history that is not sealed as often is among the problems; a running daemon says so by itself.
    """
    counts, tries = await _counts(conn)
    oldest = await oldest_unarchived(conn, now)
    pace = await paces(conn, now)
    rows = {row.source: row for row in (await conn.execute(sa.select(sources))).all()}
    found = await concerns(conn, await sources_listed(conn), now)
    wanted = {item.name: item for item in configured}
    names = [*wanted, *sorted((rows.keys() | counts.keys()) - wanted.keys())]
    parts: list[dict[str, Any]] = []
    for name in names:
        states = counts.get(name, dict(_STATES))
        row = rows.get(name)
        part: dict[str, Any] = {
            "name": name,
            "provider": wanted[name].provider if name in wanted else row.provider if row else "",
            "configured": name in wanted,
            "states": states,
            "oldest_unarchived_seconds": _seconds(oldest.get(name)),
            "last_complete_pass": _instant(row, "last_complete_pass"),
            "covered_since": _instant(row, "covered_since"),
            "watermark": _instant(row, "watermark"),
            "lateness_p99_seconds": _seconds(await lateness_p99(conn, name, now)),
            "lost": states["lost"],
            "failing": tries.get(name, 0) + states["failed"],
            "forecast_seconds": _forecast(states, pace.get(name)),
            "problem": row.problem if row else "",
        }
        parts.append(part)
    return {
        "schema": "archiver.status/1",
        "generated_at": format_instant(now),
        "sources": parts,
        "totals": {state: sum(part["states"].get(state, 0) for part in parts) for state in _all_states(parts)},
        "ready": not any(stalled(item, rows.get(item.name), now) for item in configured),
        "problems": [
            *_problems(wanted, names, counts, rows, found, now),
            *await alarms(conn, now),
            *(await overdue(conn, now, seal_every) if seal_every else ()),
        ],
    }


def _problems(
    wanted: Mapping[str, Configured],
    names: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    rows: Mapping[str, Any],
    found: Concerns,
    now: datetime,
) -> list[str]:
    return [
        f"{name}: {text}"
        for name in names
        for text in problems(wanted.get(name), rows.get(name), counts.get(name, {}), found.of(name), now)
    ]


def _all_states(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every state there is; one that only a newer program knows is counted too."""
    return list(dict.fromkeys([*_STATES, *(state for part in parts for state in part["states"])]))


def _forecast(states: Mapping[str, int], pace: float | None) -> float | None:
    """Seconds until what is due now will be archived at the present pace; 0 where nothing is due, None where nobody can tell."""
    left = states["due"] + states["transferring"]
    if left == 0:
        return 0.0
    return round(left / pace, 3) if pace else None


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _instant(row: Any, column: str) -> str | None:
    moment = None if row is None else getattr(row, column)
    return None if moment is None else format_instant(moment)
