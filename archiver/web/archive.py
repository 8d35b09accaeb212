"""What the pages ask the catalog, through the same questions as the commands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog import listing, reports
from archiver.catalog.selector import Selector
from archiver.catalog.tables import recordings, renditions, sources
from archiver.domain.errors import UsageError
from archiver.web.patience import Remembered
from archiver.web.refusals import bad_request, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.web.patience import Patience
    from archiver.web.view import View

FRESH = 5.0  # seconds that an answer about everything is good for, however many ask
LATEST = 20  # recordings on the overview
_INSTANT = timedelta(microseconds=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCKS = timedelta(days=1)  # an end further ahead than clocks differ is a provider's mistake and must not stay on top for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table of recordings. `size` in bytes, archived ones, else what the provider says; `duration` in seconds."""

    id: int
    source: str
    recording_id: str
    rendition: str
    state: str
    room: str
    participant: str
    ended_at: datetime | None
    duration: float | None
    size: int | None
    verified_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """How much there is, and what came last. A recording may have several renditions."""

    recordings: int
    renditions: int
    latest: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What metrics need of the catalog, by source: the counts of `status`, the age in seconds of the oldest, the last pass."""

    counts: Mapping[str, Mapping[str, int]]
    oldest: Mapping[str, float]
    passes: Mapping[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of a list as `list --json` gives it, or as rows of a table; `after` goes on behind it, None at the end."""

    items: Sequence[dict[str, Any]]
    rows: Sequence[Row]
    after: int | None


class Archive:
    """Reads for the pages, with patience: everybody who looks at the same time shares one answer."""

    def __init__(self, view: View, patience: Patience) -> None:
        self._view = view
        self._patience = patience
        self._status = Remembered(self._ask_status, patience=patience, clock=view.clock, seconds=FRESH)
        self._gauges = Remembered(self._ask_gauges, patience=patience, clock=view.clock, seconds=FRESH)
        self._shelf = Remembered(self._ask_shelf, patience=patience, clock=view.clock, seconds=FRESH)

    async def status(self) -> dict[str, Any]:
        """`archiver.status/1`, as old as `Remembered` allows; raises CatalogError, TimeoutError."""
        return await self._status.get()

    async def gauges(self, *, seconds: float) -> Gauges:
        """What changes with every scrape, without what only people read; raises as `status` does."""
        return await self._gauges.get(seconds=seconds)

    async def shelf(self) -> Shelf:
        """The same for what only the overview shows."""
        return await self._shelf.get()

    async def listing(self, selector: Selector, *, limit: int, after: int, newest_first: bool) -> Slice:
        """Up to `limit` renditions behind the one numbered `after` (0: from the beginning), in the order of `list`."""

        async def ask() -> Slice:
            async with self._view.database.read() as conn:
                found = await listing.page(conn, selector, limit=limit + 1, after=after, newest_first=newest_first)
                return await self._slice(conn, found, limit)

        return await self._patience.ask(ask())

    async def ended_last(self, selector: Selector, *, limit: int, after: int) -> Slice:
        """The same for a selector that bounds the end: the last end first, whichever the source."""

        async def ask() -> Slice:
            async with self._view.database.read() as conn:
                return await self._slice(conn, await ended_last(conn, selector, limit=limit + 1, after=after), limit)

        return await self._patience.ask(ask())

    async def _slice(self, conn: AsyncConnection, found: Sequence[Any], limit: int) -> Slice:
        shown = found[:limit]
        return Slice(
            items=[listing.document(row, self._view.full_key) for row in shown],
            rows=await _rows(conn, shown),
            after=shown[-1].id if len(found) > limit else None,
        )

    async def show(self, text: str) -> dict[str, Any]:
        """`archiver.show/1` of `source/recording_id` or an unambiguous bare id; refused where there is none."""

        async def ask() -> dict[str, Any]:
            async with self._view.database.read() as conn:
                return await listing.show(conn, text, self._view.full_key)

        try:
            return await self._patience.ask(ask())
        except UsageError as error:
            raise not_found(str(error).partition("; hint:")[0]) from None

    async def sources(self) -> list[str]:
        """The names of configured sources, then those that were once."""
        return [item["name"] for item in (await self.status())["sources"]]

    async def _ask_status(self) -> dict[str, Any]:
        now = await self._view.database.now()
        async with self._view.database.read() as conn:
            if conn.dialect.name == "postgresql":  # one snapshot for the whole document: its numbers add up (I25)
                await conn.execution_options(isolation_level="REPEATABLE READ")
            return await reports.status(conn, now, self._view.sources)

    async def _ask_gauges(self) -> Gauges:
        now = await self._view.database.now()
        async with self._view.database.read() as conn:
            counts = await reports.state_counts(conn)
            oldest = await reports.oldest_unarchived(conn, now)
            passed = sa.select(sources.c.source, sources.c.last_complete_pass).where(sources.c.last_complete_pass.is_not(None))
            passes = {row.source: row.last_complete_pass for row in (await conn.execute(passed)).all()}
        none: Mapping[str, Mapping[str, int]] = {source.name: {} for source in self._view.sources}
        return Gauges(counts={**none, **counts}, oldest=oldest, passes=passes)

    async def _ask_shelf(self) -> Shelf:
        now = await self._view.database.now()
        async with self._view.database.read() as conn:
            counts = (sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in (recordings, renditions))
            of_recordings, of_renditions = (await conn.execute(sa.select(*counts))).one()
            ended = Selector(since=_LONG_AGO, until=now + _CLOCKS)
            latest = await ended_last(conn, ended, limit=LATEST)
            return Shelf(recordings=of_recordings, renditions=of_renditions, latest=tuple(await _rows(conn, latest)))


async def ended_last(conn: AsyncConnection, selector: Selector, *, limit: int, after: int = 0) -> list[Any]:
    """Rows of `listing.page` for a selector that bounds the end, merged over the sources: the last end first."""
    last = await _place(conn, after) if after else None
    found: list[Any] = []
    for name in selector.sources or await listing.sources_listed(conn):
        mine = replace(selector, sources=(name,))
        if last is None or last.source == name:
            found += await listing.page(conn, mine, limit=limit, after=after, newest_first=True)
        else:
            found += await _behind(conn, mine, last, limit)
    return sorted(found, key=lambda row: (row.ended_at, row.id), reverse=True)[:limit]


async def _place(conn: AsyncConnection, after: int) -> Any:
    query = sa.select(renditions.c.id, renditions.c.source, recordings.c.ended_at).join(recordings)
    last = (await conn.execute(query.where(renditions.c.id == after, recordings.c.ended_at.is_not(None)))).one_or_none()
    if last is None:
        raise bad_request("after: found a place that is not in this list; accepted: what the link to older recordings says.")
    return last


async def _behind(conn: AsyncConnection, selector: Selector, last: Any, limit: int) -> list[Any]:
    """Another source's rows behind the place `last`: those of the same microsecond with a lower id, then what ended before."""
    found: list[Any] = []
    if selector.until is None or last.ended_at < selector.until:
        same = replace(selector, since=last.ended_at, until=last.ended_at + _INSTANT)
        after = 0
        while rows := await listing.page(conn, same, limit=limit, after=after, newest_first=True):
            found += [row for row in rows if row.id < last.id]
            after = rows[-1].id
    older = replace(selector, until=min(last.ended_at, selector.until or last.ended_at))
    return found + await listing.page(conn, older, limit=limit, newest_first=True)


async def _rows(conn: AsyncConnection, found: Sequence[Any]) -> list[Row]:
    """The rows of a table, with what the list's own document does not need: lengths, and sizes of what is not archived yet."""
    more = sa.select(renditions.c.id, recordings.c.duration, recordings.c.size).join(
        recordings, recordings.c.id == renditions.c.recording_pk
    )
    of = {row.id: row for row in (await conn.execute(more.where(renditions.c.id.in_([row.id for row in found])))).all()}
    return [
        Row(
            id=row.id,
            source=row.source,
            recording_id=row.recording_id,
            rendition=row.rendition,
            state=row.state,
            room=row.room_name or row.room_id,
            participant=row.participant_name or row.participant_id,
            ended_at=row.ended_at,
            duration=of[row.id].duration,
            size=row.size if row.size is not None else of[row.id].size,
            verified_at=row.verified_at,
        )
        for row in found
    ]
