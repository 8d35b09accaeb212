"""Whether the catalog knows a page already: the question of every poll, which finds nothing new most of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.batches import as_text
from archiver.catalog.evidence_tables import holds
from archiver.catalog.tables import Json, recordings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.domain.recording import Listed

PAGES_KNOWN = 32  # of all sources together

_c = recordings.c
_NEEDED = sa.select(_c.recording_id, _c.id, _c.fingerprint, _c.content, _c.status, _c.gone_looks, _c.room_id, _c.room_name)
# The ids as one parameter: a page of 250 as 250 parameters takes longer to put together than to look up.
_IN_JSON: sa.Select[tuple[str]] = sa.select(sa.column("value")).select_from(sa.func.json_each(sa.bindparam("ids", type_=Json)))
_IN_ARRAY = sa.func.any(sa.bindparam("ids", type_=sa.ARRAY(sa.Text)))
_KNOWN = {
    "sqlite": _NEEDED.where(_c.source == sa.bindparam("of_source"), _c.recording_id.in_(_IN_JSON)),
    "postgresql": _NEEDED.where(_c.source == sa.bindparam("of_source"), _c.recording_id == _IN_ARRAY),
}


def _same(listed: Any, now: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """One row: how many of the page are held as they are listed, whether a hold is in force, and the database's clock."""
    alive = sa.and_(_c.gone_looks == 0, _c.status != sa.literal_column("'deleted'"))
    each = sa.and_(_c.source == sa.bindparam("of_source"), _c.recording_id == listed.c.key, _c.fingerprint == listed.c.value)
    # An outer join, so that SQLite goes through the page and looks up each of it, and not through the source for each of those.
    held = listed.outerjoin(recordings, sa.and_(each, alive))
    known = sa.select(sa.func.count(_c.id)).select_from(held).scalar_subquery()
    return sa.select(known.label("known"), sa.exists().where(holds.c.released_at.is_(None)).label("held"), now.label("now"))


_PAGE = sa.bindparam("page", type_=sa.Text)
_SAME = {
    "sqlite": _same(sa.func.json_each(_PAGE).table_valued("key", "value", name="listed"), sa.null()),
    "postgresql": _same(
        sa.func.json_each_text(sa.cast(_PAGE, sa.JSON)).table_valued("key", "value", name="listed"),
        sa.func.clock_timestamp(),
    ),
}


class Prints:
    """The fingerprints known of one page, by recording; to be filled by whoever makes one."""

    def __init__(self, listed: Sequence[Listed]) -> None:
        self.listed = listed
        self.ids = frozenset(item.recording_id for item in listed)
        self._made: dict[str, str] = {}
        self._text = ""

    def get(self, recording_id: str) -> str:
        """Its fingerprint, "" where none was made."""
        return self._made.get(recording_id, "")

    def put(self, recording_id: str, fingerprint: str) -> None:
        """Keeps a fingerprint of what is listed."""
        self._made[recording_id] = fingerprint
        self._text = ""

    def known_of(self, ids: Collection[str]) -> bool:
        """Whether there is one of each of `ids`, which are of this page, and of nothing else."""
        return len(self._made) == len(ids)

    @property
    def text(self) -> str:
        """All of them as one parameter; put together once, because most pages are asked about again and again."""
        self._text = self._text or as_text(self._made)
        return self._text

    def __len__(self) -> int:
        return len(self._made)


class Pages:
    """The fingerprints of pages listed lately: a provider hands out the very same page while nothing on it changes."""

    def __init__(self) -> None:
        self._kept: dict[int, Prints] = {}

    def prints(self, listed: Sequence[Listed]) -> Prints:
        """The fingerprints known of a page."""
        found = self._kept.pop(id(listed), None)
        if found is None or found.listed is not listed:
            found = Prints(listed)
        self._kept[id(listed)] = found
        while len(self._kept) > PAGES_KNOWN:
            del self._kept[next(iter(self._kept))]
        return found


async def all_known(conn: AsyncConnection, source: str, prints: Prints) -> tuple[bool, bool, datetime | None]:
    """Whether the catalog has every recording of a page as it is listed, whether a hold is in force, and PostgreSQL's clock.

    One row, where 250 take a millisecond to fetch. A fingerprint covers the status; that of a row changes without it only when
    the recording is found to be deleted. What was erased has none.
    """
    row = (await conn.execute(_SAME[conn.dialect.name], {"of_source": source, "page": prints.text})).one()
    return row.known == len(prints), row.held, row.now


async def known_rows(conn: AsyncConnection, source: str, ids: Collection[str]) -> dict[str, Any]:
    """What the catalog has of a page, by recording id: what tells whether anything changed, and what a change begins from."""
    found = await conn.execute(_KNOWN[conn.dialect.name], {"of_source": source, "ids": list(ids)})
    return {row[0]: row for row in found.all()}
