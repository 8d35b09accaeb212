"""Whether the catalog knows a page already: the question of every poll, which finds nothing new most of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.tables import Json, recordings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from archiver.catalog.database import Tx
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
_PAIRS_JSON: sa.Select[tuple[str]] = sa.select(sa.column("value")).select_from(
    sa.func.json_each(sa.bindparam("pairs", type_=Json)).alias("listed")
)
_PAIRS_ARRAY = sa.func.any(sa.bindparam("pairs", type_=sa.ARRAY(sa.Text)))
_PAIR = _c.recording_id + sa.literal_column("' '") + _c.fingerprint
_ALIVE = sa.select(sa.func.count()).where(
    _c.source == sa.bindparam("of_source"), _c.gone_looks == 0, _c.status != sa.literal_column("'deleted'")
)
_SAME = {
    "sqlite": _ALIVE.where(_c.recording_id.in_(_IN_JSON), _PAIR.in_(_PAIRS_JSON)),
    "postgresql": _ALIVE.where(_c.recording_id == _IN_ARRAY, _PAIR == _PAIRS_ARRAY),
}


class Prints:
    """The fingerprints of pages listed lately: a provider hands out the very same page while nothing on it changes."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Sequence[Listed], dict[str, str]]] = {}

    def of(self, listed: Sequence[Listed]) -> dict[str, str]:
        """The fingerprints known of a page, by recording; to be filled by whoever makes one."""
        page, prints = self._kept.pop(id(listed), (None, {}))
        if page is not listed:
            prints = {}
        self._kept[id(listed)] = (listed, prints)
        while len(self._kept) > PAGES_KNOWN:
            del self._kept[next(iter(self._kept))]
        return prints


async def all_known(tx: Tx, source: str, prints: Mapping[str, str]) -> bool:
    """Whether the catalog has every recording of a page as it is listed: one number, where 250 rows take a millisecond to fetch.

    A fingerprint covers the status; that of a row changes without it only when the recording is found to be deleted.
    """
    pairs = [f"{key} {fingerprint}" for key, fingerprint in prints.items()]
    asked = {"of_source": source, "ids": list(prints), "pairs": pairs}
    return (await tx.conn.execute(_SAME[tx.conn.dialect.name], asked)).scalar_one() == len(pairs)


async def known_rows(tx: Tx, source: str, ids: Collection[str]) -> dict[str, Any]:
    """What the catalog has of a page, by recording id: what tells whether anything changed, and what a change begins from."""
    found = await tx.conn.execute(_KNOWN[tx.conn.dialect.name], {"of_source": source, "ids": list(ids)})
    return {row[0]: row for row in found.all()}
