"""Which recordings are meant: the selectors of `list`, `hold`, `erase` and `evidence`, as SQL."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.tables import recordings, renditions

if TYPE_CHECKING:
    from datetime import datetime

C, R = recordings.c, renditions.c
_WILD = re.compile(r"\[!?+\]?+[^\]]*+\]|[*?]")  # a set may begin with its own closing bracket, as in fnmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """All conditions that are given must hold; an empty one selects everything.

    `since` and `until` bound the end of a recording ([since, until); one without an end is not between them). `room` and
    `participant` are the provider's id, or a shell glob on the name. `ids` are `source/recording_id` or a bare id.
    """

    ids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    room: str = ""
    participant: str = ""

    @property
    def timed(self) -> bool:
        """Whether the end of a recording matters."""
        return self.since is not None or self.until is not None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """The conditions for rows of recordings joined with renditions; `matches` has the last word about names."""
        found: list[sa.ColumnElement[bool]] = []
        if self.ids:
            found.append(sa.or_(*(_id_is(text) for text in self.ids)))
        if self.sources:
            found += [C.source.in_(self.sources), R.source.in_(self.sources)]
        if self.states:
            found.append(R.state.in_(self.states))
        if self.since is not None:
            found.append(C.ended_at >= self.since)
        if self.until is not None:
            found.append(C.ended_at < self.until)
        if self.room:
            found.append(_named(C.room_id, C.room_name, self.room))
        if self.participant:
            found.append(_named(C.participant_id, C.participant_name, self.participant))
        return found

    def matches(self, row: Any) -> bool:
        """Whether names fit exactly: SQLite's LIKE knows no case, and none knows `[a-z]`."""
        wanted = ((self.room, row.room_id, row.room_name), (self.participant, row.participant_id, row.participant_name))
        return all(not text or text == key or fnmatch.fnmatchcase(name, text) for text, key, name in wanted)


def _id_is(text: str) -> sa.ColumnElement[bool]:
    source, slash, key = text.partition("/")
    whole = C.recording_id == text
    return sa.or_(whole, sa.and_(C.source == source, C.recording_id == key)) if slash else whole


def _named(key: sa.Column[str], name: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
    return sa.or_(key == text, name.like(like(text), escape="\\"))


def like(glob: str) -> str:
    """A LIKE pattern that fits whatever the shell glob fits, and possibly more."""
    parts, at = [], 0
    for wild in _WILD.finditer(glob):
        parts += [_literal(glob[at : wild.start()]), "%" if wild[0] == "*" else "_"]
        at = wild.end()
    return "".join([*parts, _literal(glob[at:])])


def _literal(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
