"""A history in memory that can be tampered with quickly; it answers as the catalog does, without a database."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from archiver.domain.ledger import Header, Line, Piece, Sealed, Unsealed, segment_key
from archiver.pipeline.segments import render
from tests.pipeline.memory_store import MemoryStore

BEGAN = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the ledger; `line.seq` 0 where it has no number."""

    id: int
    segment: int | None
    line: Line


@dataclass
class MemoryHistory:
    """Implements `domain.ledger.History` as far as it is read."""

    rows: list = field(default_factory=list)
    sealed_rows: list = field(default_factory=list)

    async def segments(self, *, after, limit):
        return sorted((row for row in self.sealed_rows if row.header.segment > after), key=lambda row: row.header.segment)[:limit]

    async def known(self, numbers):
        return frozenset(row.header.segment for row in self.sealed_rows) & frozenset(numbers)

    async def lines(self, *, after, limit):
        numbered = sorted((row for row in self.rows if row.line.seq != 0 and row.line.seq > after), key=lambda row: row.line.seq)
        return [(row.segment, row.line) for row in numbered[:limit]]

    async def unsealed(self):
        last = max((row.header.last_seq for row in self.sealed_rows), default=0)
        return Unsealed(count=sum(row.line.seq == 0 or row.line.seq > last for row in self.rows), since=None)

    async def disordered(self, *, limit):
        steps = sorted((row for row in self.rows if row.line.rendition and row.line.to_state), key=lambda row: row.id)
        last, found = {}, []
        for row in steps:
            seq = row.line.seq or 2**62
            name = (row.line.source, row.line.recording_id, row.line.rendition)
            if last.get(name, 0) > seq:
                found.append((row.segment, seq))
            last[name] = seq
        return [*found, *((row.segment, 0) for row in self.rows if row.line.seq == 0 and row.segment is not None)][:limit]

    # -- for tests

    def change(self, seq, /, **values):
        at = next(n for n, row in enumerate(self.rows) if row.line.seq == seq)
        self.rows[at] = replace(self.rows[at], line=replace(self.rows[at].line, **values))

    def without(self, keep):
        self.rows = [row for row in self.rows if keep(row)]


def an_event(seq: int) -> Line:
    """One of a long history: every tenth recording does something again."""
    return Line(
        seq=seq,
        at=BEGAN + timedelta(seconds=seq),
        actor="run@host:1:abc",
        event="claimed",
        source="rooms",
        recording_id=f"r{seq % 10}",
        rendition="media",
        from_state="due",
        to_state="transferring",
        reason="",
        data={"n": seq},
    )


@dataclass
class Sample:
    """A sealed history with its archive, to be copied for each mutation."""

    history: MemoryHistory
    store: MemoryStore
    size: int  # of a segment

    def copy(self) -> "Sample":
        history = MemoryHistory(rows=list(self.history.rows), sealed_rows=list(self.history.sealed_rows))
        objects = {key: replace(kept, body=bytearray(kept.body)) for key, kept in self.store.objects.items()}
        return Sample(history=history, store=MemoryStore(shared=(objects, {})), size=self.size)

    def place(self, seq: int) -> tuple[int, int]:
        """(segment, line of its file) of an event."""
        return (seq - 1) // self.size + 1, (seq - 1) % self.size + 2

    def file(self, segment: int) -> list[bytes]:
        return bytes(self.store.objects[segment_key(segment)].body).split(b"\n")[:-1]

    def write(self, segment: int, lines: list[bytes]) -> None:
        kept = self.store.objects[segment_key(segment)]
        kept.body = bytearray(b"".join(line + b"\n" for line in lines))
        kept.stored = replace(kept.stored, size=len(kept.body))


def a_sample(*, segments: int, size: int, unsealed: int = 3) -> Sample:
    """`segments` of `size` events each, and a few that nobody has sealed yet."""
    history, store, previous = MemoryHistory(), MemoryStore(), ""
    for number in range(1, segments + 1):
        first = (number - 1) * size + 1
        lines = [an_event(seq) for seq in range(first, first + size)]
        header = Header(segment=number, first_seq=first, last_seq=first + size - 1, count=size, previous_sha256=previous)
        body = render(Piece(header=header, lines=lines))
        previous = hashlib.sha256(body).hexdigest()
        key = segment_key(number)
        store.plant(key, body)
        stored = store.objects[key].stored
        history.sealed_rows.append(Sealed(header=header, sha256=previous, key=key, version_id=stored.version_id))
        history.rows += [Row(id=line.seq, segment=number, line=line) for line in lines]
    behind = segments * size
    for n in range(1, unsealed + 1):
        history.rows.append(Row(id=behind + n, segment=None, line=replace(an_event(behind + n), seq=0)))
    return Sample(history=history, store=store, size=size)
