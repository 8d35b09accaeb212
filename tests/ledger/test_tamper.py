"""Every kind of tampering with a sealed history is found, and placed: in the catalog and in the archive (S22).

A thousand events are each edited, deleted, doubled by another, swapped with a neighbour, cut off with all behind them, and rolled
back to. Where mutations of different segments do not touch each other, many are tried at once: each has to be found in its place.
"""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.domain.ledger import segment_key
from archiver.pipeline.audit import audit
from archiver.pipeline.canonical import canonical
from tests.ledger.memory import BEGAN, Row, a_sample, an_event
from tests.ledger.vault import sha256

EVENTS, SIZE = 1_000, 10
FIELDS = {
    "reason": "another",
    "actor": "somebody else",
    "event": "released",
    "at": BEGAN - timedelta(days=1),
    "source": "calls",
    "recording_id": "other",
    "rendition": "wav",
    "from_state": "waiting",
    "to_state": "due",
    "data": {"n": 0},
}


@pytest.fixture(scope="module")
def sample():
    return a_sample(segments=EVENTS // SIZE, size=SIZE)


def neighbour(it, seq):
    """The event beside it in the same segment."""
    return seq + 1 if it.place(seq + 1)[0] == it.place(seq)[0] else seq - 1


class Catalog:
    """Mutations of rows."""

    @staticmethod
    def edit(it, seq):
        name = list(FIELDS)[seq % len(FIELDS)]
        it.history.change(seq, **{name: FIELDS[name]})

    @staticmethod
    def delete(it, seq):
        it.history.without(lambda row: row.line.seq != seq)

    @staticmethod
    def insert(it, seq):
        forged = replace(an_event(seq), seq=EVENTS + 50 + seq, reason="never happened")
        it.history.rows.append(Row(id=10**6 + seq, segment=it.place(seq)[0], line=forged))

    @staticmethod
    def swap(it, seq):
        other = neighbour(it, seq)
        it.history.change(seq, seq=-1)
        it.history.change(other, seq=seq)
        it.history.change(-1, seq=other)

    @staticmethod
    def truncate(it, seq):
        segment = it.place(seq)[0]
        it.history.without(lambda row: row.segment != segment or row.line.seq < seq)


class Archive:
    """Mutations of objects."""

    @staticmethod
    def edit(it, seq):
        segment, line = it.place(seq)
        lines = it.file(segment)
        document = json.loads(lines[line - 1])
        name = sorted(document)[seq % len(document)]
        document[name] = 5 if document[name] != 5 else 6
        lines[line - 1] = canonical(document)
        it.write(segment, lines)

    @staticmethod
    def delete(it, seq):
        segment, line = it.place(seq)
        lines = it.file(segment)
        del lines[line - 1]
        it.write(segment, lines)

    @staticmethod
    def insert(it, seq):
        segment, line = it.place(seq)
        lines = it.file(segment)
        lines.insert(line - 1, canonical(replace(an_event(seq), reason="never happened").document()))
        it.write(segment, lines)

    @staticmethod
    def swap(it, seq):
        segment, line = it.place(seq)
        other = it.place(neighbour(it, seq))[1]
        lines = it.file(segment)
        lines[line - 1], lines[other - 1] = lines[other - 1], lines[line - 1]
        it.write(segment, lines)

    @staticmethod
    def truncate(it, seq):
        segment, line = it.place(seq)
        it.write(segment, it.file(segment)[: line - 1])


async def problems(it, **options):
    return (await audit(it.history, it.store, **options)).problems


async def test_an_untouched_history_has_no_problem(sample):
    found = await audit(sample.history, sample.store)
    assert (found.problems, found.segments, found.events, found.unsealed) == ([], EVENTS // SIZE, EVENTS, 3)
    assert found.head == sample.history.sealed_rows[-1].sha256


@pytest.mark.parametrize("way", ["edit", "delete", "insert", "swap", "truncate"])
@pytest.mark.parametrize("side", [Catalog, Archive])
async def test_every_one_of_a_thousand_events_is_found_where_it_was_tampered_with(sample, side, way):
    """One event of every segment at a time; each of them must be named, by segment and line."""
    for offset in range(1, SIZE + 1):
        it = sample.copy()
        touched = range(offset, EVENTS + 1, SIZE)
        for seq in touched:
            getattr(side, way)(it, seq)
        found = await problems(it)
        named = {problem.segment for problem in found}
        assert named == set(range(1, EVENTS // SIZE + 1))
        if (side, way) != (Catalog, "insert"):  # that line has no place in any file
            lines = {(problem.segment, problem.line) for problem in found}
            assert {it.place(seq) for seq in touched} <= lines


async def test_every_field_of_a_line_counts(sample):
    for name, value in FIELDS.items():
        it = sample.copy()
        it.history.change(500, **{name: value})
        (problem,) = await problems(it)
        assert (problem.segment, problem.line) == it.place(500)
        said = {"from_state": "from", "to_state": "to"}.get(name, name)
        assert problem.what.endswith(f"differ in {said}")


@pytest.mark.parametrize("segment", [1, 2, 37, 99, 100])
async def test_a_tail_that_was_cut_off_before_the_last_seal_is_found(sample, segment):
    """In the catalog with all rows that tell of it, and in the archive with every object behind it."""
    it = sample.copy()
    it.history.without(lambda row: row.segment is not None and row.segment < segment)
    it.history.sealed_rows = it.history.sealed_rows[: segment - 1]
    assert [problem.segment for problem in await problems(it)] == list(range(segment, 101))
    it = sample.copy()
    for number in range(segment, 101):
        del it.store.objects[segment_key(number)]
    assert [problem.segment for problem in await problems(it)] == list(range(segment, 101))


@pytest.mark.parametrize("seq", [1, 10, 11, 365, 999])
async def test_a_catalog_that_was_rolled_back_is_found(sample, seq):
    """It stands as it did just after the event: what was sealed later is unknown to it, its last lines have no number yet."""
    it = sample.copy()
    sealed = (seq - 1) // SIZE
    it.history.sealed_rows = it.history.sealed_rows[:sealed]
    it.history.without(lambda row: 0 < row.line.seq <= seq)
    it.history.rows = [
        row if row.line.seq <= sealed * SIZE else replace(row, segment=None, line=replace(row.line, seq=0))
        for row in it.history.rows
    ]
    found = await problems(it)
    assert [problem.segment for problem in found] == list(range(sealed + 1, 101))
    assert "older than the archive" in found[0].what


async def test_an_inserted_line_that_pushes_the_others_back_is_found(sample):
    for seq in (1, 500, 1000):
        it = sample.copy()
        moved = [
            replace(row, line=replace(row.line, seq=row.line.seq + 1), segment=it.place(min(row.line.seq + 1, EVENTS))[0])
            if row.line.seq >= seq
            else row
            for row in it.history.rows
        ]
        forged = Row(id=10**6, segment=it.place(seq)[0], line=replace(an_event(seq), reason="never happened"))
        it.history.rows = [*moved, forged]
        assert it.place(seq) in {(problem.segment, problem.line) for problem in await problems(it)}


async def test_lines_told_in_another_order_than_they_were_sealed_in_are_found(sample):
    """History is read by id: exchanging the ids of two steps of a recording tells another story with the same lines."""
    it = sample.copy()
    one, other = (next(n for n, row in enumerate(it.history.rows) if row.line.seq == seq) for seq in (5, 995))
    ids = it.history.rows[one].id, it.history.rows[other].id
    it.history.rows[one], it.history.rows[other] = (
        replace(it.history.rows[one], id=ids[1]),
        replace(it.history.rows[other], id=ids[0]),
    )
    assert "another order" in (await problems(it))[0].what


async def test_a_chain_forged_anew_in_the_archive_does_not_fit_the_catalog(sample):
    it = sample.copy()
    forge(it, 500, catalog=False)
    assert {problem.segment for problem in await problems(it)} >= {50, 51, 100}


async def test_who_rewrites_both_sides_consistently_is_found_by_the_lock_or_a_head_noted_elsewhere_and_by_nothing_else(sample):
    """Said plainly in the documents: without Object Lock the chain alone does not stop whoever may write to both."""
    it = sample.copy()
    head = it.history.sealed_rows[-1].sha256
    assert await problems(it, known_head=head) == []
    forge(it, 500, catalog=True)
    assert await problems(it) == []
    (problem,) = await problems(it, known_head=head)
    assert "noted as a head" in problem.what


def forge(it, seq, *, catalog):
    """Changes an event and writes every segment from there on anew, so that the archive's own chain is whole again."""
    first, line = it.place(seq)
    previous = it.history.sealed_rows[first - 2].sha256
    for number in range(first, 101):
        lines = it.file(number)
        if number == first:
            lines[line - 1] = canonical(json.loads(lines[line - 1]) | {"reason": "forged"})
        lines[0] = canonical(json.loads(lines[0]) | {"previous_sha256": previous})
        it.write(number, lines)
        row = it.history.sealed_rows[number - 1]
        previous = sha256(bytes(it.store.objects[row.key].body))
        if catalog:
            header = replace(row.header, previous_sha256=json.loads(lines[0])["previous_sha256"])
            it.history.sealed_rows[number - 1] = replace(row, header=header, sha256=previous)
    if catalog:
        it.history.change(seq, reason="forged")


@pytest.mark.parametrize("at", [0, 40, 99])
async def test_a_row_of_the_segments_that_was_changed_or_removed_is_found(sample, at):
    for change in (
        {"sha256": "0" * 64},
        {"key": segment_key(7000)},
        {"version_id": "another"},
        {"header": replace(sample.history.sealed_rows[at].header, count=9)},
        {"header": replace(sample.history.sealed_rows[at].header, previous_sha256="0" * 64)},
    ):
        it = sample.copy()
        it.history.sealed_rows[at] = replace(it.history.sealed_rows[at], **change)
        assert at + 1 in {problem.segment for problem in await problems(it)}
    it = sample.copy()
    del it.history.sealed_rows[at]
    named = {problem.segment for problem in await problems(it)}
    assert at + 1 in named or at == 99  # the last row is what a crash may lack: the next seal notes it again


async def test_strange_things_among_the_segments_are_named(sample):
    it = sample.copy()
    it.store.plant("_ledger/notes.txt", b"hello")
    it.store.plant(segment_key(4711), b"{}\n")
    it.store.objects[segment_key(3)].body += b'{"half a line'
    it.store.objects[segment_key(5)].body = bytearray(b"\xff\xfe\n" * 3)
    it.store.objects[segment_key(6)].body = bytearray()
    it.store.objects[segment_key(8)].body = bytearray(b"[" * 100_000 + b"\n")
    found = await problems(it)
    assert {problem.segment for problem in found} >= {None, 3, 5, 6, 8, 4711}


async def test_a_report_has_an_end_however_much_is_wrong(sample):
    it = sample.copy()
    for seq in range(1, EVENTS + 1):
        it.history.change(seq, reason="x")
        Archive.edit(it, seq)
    found = await problems(it)
    assert len(found) == 1_001
    assert "more than" in found[-1].what


async def test_what_came_after_the_last_seal_is_counted_and_cannot_be_checked(sample):
    """The one case without a trace: it is bounded by schedule.seal_every."""
    it = sample.copy()
    it.history.rows[-1] = replace(it.history.rows[-1], line=replace(it.history.rows[-1].line, reason="changed"))
    it.history.rows.pop(-2)
    found = await audit(it.history, it.store)
    assert (found.problems, found.unsealed) == ([], 2)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", ["edit", "delete", "insert", "swap", "truncate", "roll_back"])
@pytest.mark.parametrize("side", [Catalog, Archive])
async def test_each_of_a_thousand_events_alone_is_found(side, way):
    """The 12,000 mutations of S22, one at a time."""
    whole = a_sample(segments=10, size=100)
    for seq in range(1, EVENTS + 1):
        it = whole.copy()
        if way == "roll_back":
            roll_back(it, seq, side)
        else:
            getattr(side, way)(it, seq)
        found = await problems(it)
        assert it.place(seq)[0] in {problem.segment for problem in found}, seq


def roll_back(it, seq, side):
    segment = it.place(seq)[0]
    if side is Archive:
        for number in range(segment, 11):
            del it.store.objects[segment_key(number)]
        return
    it.history.sealed_rows = it.history.sealed_rows[: segment - 1]
    it.history.without(lambda row: 0 < row.line.seq < seq)
