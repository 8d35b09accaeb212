"""`ledger verify`: the sealed history in the archive against the catalog, line by line, and both against the chain.

Both are walked side by side in the order of segments; at no time is more in memory than a few of them. Whatever differs is
placed: in which segment, in which line of its file, in which fields.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archiver.domain.errors import ObjectMissing
from archiver.domain.ledger import NO_SEGMENT, SEGMENTS, Header, Piece, Problem, number_of, segment_key
from archiver.pipeline.manifests import read_whole
from archiver.pipeline.merge import NO_END, Lines, Listed, ahead
from archiver.pipeline.segments import differences, opened, placed, render

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from archiver.domain.ledger import History, Line, Sealed
    from archiver.domain.ports import Storage, StoredObject

PAGE = 200  # rows of segments read at once
MOST = 1_000  # problems named; what comes after them is not looked for
LARGEST = 256 * 1024 * 1024  # bytes; no segment has as many, and one that somebody put there must not fill memory


@dataclass(slots=True)
class Audit:
    """What was found. `head` is the SHA-256 of the last segment, "" where nothing is sealed."""

    segments: int = 0
    events: int = 0
    unsealed: int = 0
    head: str = NO_SEGMENT
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Fetched:
    """A segment that the catalog names, with what stands in the archive: no body where nothing can be read."""

    row: Sealed
    listed: StoredObject | None
    body: bytes | None


async def audit(history: History, storage: Storage, *, known_head: str = "") -> Audit:
    """Compares everything up to the last seal; `known_head`, a head noted earlier, must be in the chain.

    Events written after the last seal are counted and cannot be checked: nothing outside the catalog knows them yet.
    Raises the errors of both ports.
    """
    return await _Auditor(history, storage, known_head).run()


class _Auditor:
    def __init__(self, history: History, storage: Storage, known_head: str) -> None:
        self._history = history
        self._storage = storage
        self._known_head = known_head
        self._found = Audit()
        self._lines = Lines(history)
        self._last: Sealed | None = None

    async def run(self) -> Audit:
        found, heads = self._found, False
        async with aclosing(self._objects()) as objects:
            listed = Listed(objects)
            async with aclosing(ahead(self._fetched(listed))) as segments:
                async for segment in segments:
                    await self._segment(segment)
                    heads = heads or found.head == self._known_head
                    if len(found.problems) > MOST:
                        break
            beyond = await listed.rest(limit=MOST)
        await self._tail(beyond)
        if self._known_head and not heads:
            self._wrong(None, None, f"no segment has the SHA-256 {self._known_head}, which was noted as a head before")
        if len(found.problems) > MOST:
            found.problems[MOST:] = [Problem(segment=None, line=None, what=f"more than {MOST} problems: the rest is not named")]
        return found

    def _wrong(self, segment: int | None, line: int | None, what: str) -> None:
        self._found.problems.append(Problem(segment=segment, line=line, what=what))

    # -- the archive

    async def _objects(self) -> AsyncGenerator[tuple[int, StoredObject], None]:
        async for stored in self._storage.keys(SEGMENTS):
            number = number_of(stored.key, SEGMENTS)
            if number is None:
                self._wrong(None, None, f"{stored.key} is not the name of a segment, and stands among them")
            else:
                yield number, stored

    async def _fetched(self, listed: Listed) -> AsyncGenerator[asyncio.Task[_Fetched], None]:
        """Every segment that the catalog names, fetching; those of the archive that it does not name are told of on the way."""
        after = 0
        while rows := await self._history.segments(after=after, limit=PAGE):
            for row in rows:
                async for number in listed.before(row.header.segment):
                    self._wrong(number, None, "the archive holds this segment, the catalog has no row of it")
                there = await listed.take(row.header.segment)
                yield asyncio.create_task(self._fetch(row, there))
            after = rows[-1].header.segment

    async def _fetch(self, row: Sealed, listed: StoredObject | None) -> _Fetched:
        body = None
        try:
            if listed is None:  # the list may be older than the segment
                listed = await self._storage.head(row.key)
        except ObjectMissing:
            pass
        try:
            if listed is None or listed.size <= LARGEST:
                body = await read_whole(self._storage, row.key, row.version_id)
        except ObjectMissing:
            pass
        return _Fetched(row=row, listed=listed, body=body)

    # -- one segment

    async def _segment(self, segment: _Fetched) -> None:
        found, row, body = self._found, segment.row, segment.body
        expected = self._last.header.segment + 1 if self._last else 1
        if row.header.segment != expected:
            missing = f"segments {expected} to {row.header.segment - 1}"
            self._wrong(expected, None, f"the catalog has no row of {missing}")
        first = self._last.header.last_seq + 1 if self._last else 1
        pairs = await self._lines.until(row.header.last_seq)
        lines = [line for _segment, line in pairs]
        for named, line in pairs:
            if named != row.header.segment:
                self._wrong(row.header.segment, line.seq - first + 2, f"seq {line.seq}: the catalog has it in segment {named}")
        header = _header(row.header.segment, first, lines, found.head)
        rendered = await asyncio.to_thread(render, Piece(header=header, lines=lines))
        sealed = hashlib.sha256(body).hexdigest() if body is not None else ""
        if body is None:
            if hashlib.sha256(rendered).hexdigest() != row.sha256:
                self._wrong(row.header.segment, None, "the catalog's lines of it are not those that were sealed")
        elif not (body == rendered and row.header == header and row.sha256 == sealed):
            found.problems += placed(row.header.segment, _diagnosis(row, body, sealed, header, lines))
        self._place(segment)
        found.segments += 1
        found.events += len(lines)
        found.head = sealed or row.sha256
        self._last = row

    def _place(self, segment: _Fetched) -> None:
        """Whether what anybody finds under the key is the object that was sealed."""
        row, listed = segment.row, segment.listed
        number = row.header.segment
        if row.key != segment_key(number):
            self._wrong(number, None, f"the catalog names {row.key}, a segment of this number lies at {segment_key(number)}")
        if listed is None:
            gone = "deleted from the archive" if segment.body is None else "hidden by a delete marker in the archive"
            self._wrong(number, None, f"{row.key} is {gone}")
        elif listed.version_id != row.version_id:
            self._wrong(number, None, f"another version ({listed.version_id}) stands over the one sealed ({row.version_id})")
        elif segment.body is None:
            self._wrong(number, None, f"{row.key} cannot be read: its version {row.version_id or '(none)'} is not there")

    # -- behind the last segment

    async def _tail(self, beyond: Sequence[int]) -> None:
        """Lines numbered for a segment that is not noted yet are what a crash may leave; anything else there is not ours."""
        found = self._found
        last, base = (self._last.header.segment, self._last.header.last_seq) if self._last else (0, 0)
        pending = await self._lines.until(NO_END) if len(found.problems) <= MOST else []
        if not await self._history.segments(after=last, limit=1):  # else somebody seals at this moment
            for place, (named, line) in enumerate(pending, start=1):
                if named != last + 1 or line.seq != base + place:
                    self._wrong(named, None, f"seq {line.seq} is numbered and was never sealed: the last one sealed is {base}")
        known = await self._history.known(beyond)
        for number in beyond:
            if number not in known and not (number == last + 1 and await self._is_pending(number, pending)):
                says = "the archive holds this segment, the catalog does not know it: the catalog is older than the archive"
                self._wrong(number, None, says)
        for segment, seq in await self._history.disordered(limit=MOST):
            says = f"seq {seq}: it is read in another order than it was sealed in" if seq else "a line of it has lost its number"
            self._wrong(segment, None, says)
        found.unsealed = (await self._history.unsealed()).count

    async def _is_pending(self, number: int, pending: Sequence[tuple[int | None, Line]]) -> bool:
        """Whether the object is that of a sealer which died before it could note it: exactly what it will make again."""
        lines = [line for _segment, line in pending]
        if not lines:
            return False
        header = _header(number, lines[0].seq, lines, self._found.head)
        return await read_whole(self._storage, segment_key(number), "") == render(Piece(header=header, lines=lines))


def _header(segment: int, first: int, lines: Sequence[Line], previous: str) -> Header:
    """The header that these lines must have here."""
    last = first + len(lines) - 1
    return Header(segment=segment, first_seq=first, last_seq=last, count=len(lines), previous_sha256=previous)


def _diagnosis(row: Sealed, body: bytes, sealed: str, header: Header, lines: Sequence[Line]) -> list[tuple[int | None, str]]:
    """Why a segment is not what the catalog and the chain say it must be."""
    found = opened(body)
    told = list(found.problems)
    if found.header is not None:
        if found.header.previous_sha256 != header.previous_sha256:
            names, has = (value.previous_sha256 or "none" for value in (found.header, header))
            told.append((1, f"does not go on from the segment before it, whose SHA-256 is {has}: it names {names}"))
        wrong = [name for name, value in found.header.document().items() if row.header.document()[name] != value]
        if wrong:
            told.append((1, f"the catalog's row of this segment says otherwise about {', '.join(wrong)}"))
        if found.header.first_seq != header.first_seq:
            told.append((1, f"begins with seq {found.header.first_seq}, {header.first_seq} is the next"))
    if sealed != row.sha256:
        told.append((None, f"its SHA-256 is {sealed}, the catalog noted {row.sha256} when it was sealed"))
    told += differences(found, lines)
    return told or [(None, "the archive's bytes and the catalog's lines differ")]
