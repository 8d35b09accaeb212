"""What an operator should know about a source, in sentences: what is wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.tables import open_at_provider, quarantine, recordings, renditions, slices
from archiver.config import format_duration, format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.reports import Configured

STALLED = 2  # poll intervals without a complete pass after which a source counts as stalled (I20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """What the catalog holds of a source that somebody should look at, counted."""

    failed: Mapping[str, int] = field(default_factory=dict)  # by kind of error
    unknown: Mapping[str, int] = field(default_factory=dict)  # recordings by the provider's own word
    quarantined: int = 0
    backfilled: bool = False  # whether any day of history was listed on request


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerns:
    """The same of all sources."""

    by_source: Mapping[str, Concern]

    def of(self, source: str) -> Concern:
        """The concerns of one source."""
        return self.by_source.get(source, Concern())


async def concerns(conn: AsyncConnection, sources: Sequence[str], now: datetime) -> Concerns:
    """Reads failed renditions and open recordings by index, and the two small tables of quarantine and backfilled days."""
    r, c = renditions.c, recordings.c
    parked = r.source.in_(sources), r.state == "failed"
    failed = sa.select(r.source, r.error_kind, sa.func.count()).where(*parked).group_by(r.source, r.error_kind)
    # All have been looked at by now: said, so that SQLite takes the index on open recordings.
    odd = c.source.in_(sources), open_at_provider, c.looked_at <= now, c.status == "unknown"
    unknown = sa.select(c.source, c.status_raw, sa.func.count()).where(*odd).group_by(c.source, c.status_raw)
    kept = sa.select(quarantine.c.source, sa.func.count()).group_by(quarantine.c.source)
    days = sa.select(slices.c.source).group_by(slices.c.source)
    by_kind, by_word = _nested((await conn.execute(failed)).all()), _nested((await conn.execute(unknown)).all())
    rejected = {source: count for source, count in (await conn.execute(kept)).all()}  # noqa: C416 -- rows are no pairs to mypy
    listed = set((await conn.execute(days)).scalars())
    return Concerns(
        by_source={
            source: Concern(
                failed=by_kind.get(source, {}),
                unknown=by_word.get(source, {}),
                quarantined=rejected.get(source, 0),
                backfilled=source in listed,
            )
            for source in by_kind.keys() | by_word.keys() | rejected.keys() | listed
        }
    )


def _nested(rows: Any) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for source, name, count in rows:
        found.setdefault(source, {})[name] = count
    return found


def stalled(item: Configured, row: Any, now: datetime) -> bool:
    """Whether a source has had no complete pass for two of its intervals, or never had one."""
    last = row.last_complete_pass if row else None
    return last is None or now - last > STALLED * item.poll_every


def problems(item: Configured | None, row: Any, states: Mapping[str, int], concern: Concern, now: datetime) -> list[str]:
    """The sentences about one source; `item` is None for one that is no longer configured."""
    found = []
    if item is not None and stalled(item, row, now):
        last = f"since {format_instant(row.last_complete_pass)}" if row and row.last_complete_pass else "yet"
        why = f"; the last one: {row.problem}" if row and row.problem else ""
        found.append(f"no complete pass {last}, one is expected every {format_duration(item.poll_every)}{why}")
    elif row and row.problem:
        found.append(f"the last pass: {row.problem}")
    if states.get("lost"):
        found.append(f"{states['lost']:,} lost: the provider deleted them before they were archived")
    if states.get("damaged"):
        found.append(f"{states['damaged']:,} damaged: gone from the archive, or not the same; hint: archiver repair")
    if concern.failed:
        kinds = ", ".join(f"{count:,} {kind or 'without a reason'}" for kind, count in sorted(concern.failed.items()))
        found.append(f"{sum(concern.failed.values()):,} failed ({kinds}); hint: archiver retry --all-failed")
    for word, count in sorted(concern.unknown.items()):
        known = f"with the provider status {word!r}, which this program does not know"
        found.append(f"{count:,} wait {known if word else 'for the next poll: a rebuild found no more than their names'}")
    if concern.quarantined:
        found.append(f"{concern.quarantined:,} listed rows could not be catalogued and are kept in quarantine")
    if row and row.covered_since and not concern.backfilled:
        since = format_instant(row.covered_since)
        found.append(f"nothing that ended before {since} has been listed; hint: archiver backfill --since … --until {since}")
    return found
