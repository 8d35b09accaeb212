"""Tampering with rows and files of a real catalog and a real folder."""

from datetime import timedelta

import sqlalchemy as sa

from archiver.catalog.evidence_tables import segments
from archiver.catalog.tables import ledger
from archiver.domain.ledger import segment_key
from archiver.domain.ports import NewObject
from archiver.pipeline.segments import render
from tests.catalog.world import a_listing


async def sealed_world(vault):
    """Recordings that went through their lives, in segments of five lines."""
    vault.limit = 5
    await vault.world.verified(*(f"r{n}" for n in range(5)))
    await vault.world.lists(a_listing("late"))
    await vault.seal()
    assert (await vault.audit()).problems == []
    return await vault.rows()


async def found_after(vault, statement):
    await vault.execute(statement)
    return (await vault.audit()).problems


async def test_every_column_of_a_sealed_row_counts_on_both_databases(vault):
    rows = await sealed_world(vault)
    row = rows[7]
    place = ((row.seq - 1) // 5 + 1, (row.seq - 1) % 5 + 2)
    mine = ledger.c.id == row.id
    changes = dict.fromkeys(("actor", "event", "source", "recording_id", "rendition", "from_state", "to_state"), "changed")
    changes |= {"reason": "changed", "data": {"changed": 1}, "at": row.at + timedelta(microseconds=1), "segment": 1}
    for name, value in changes.items():
        assert value != getattr(row, name)
        found = await found_after(vault, sa.update(ledger).where(mine).values({name: value}))
        assert place in {(problem.segment, problem.line) for problem in found}, name
        await vault.execute(sa.update(ledger).where(mine).values({name: getattr(row, name)}))
    assert (await vault.audit()).problems == []
    assert await found_after(vault, sa.update(ledger).where(mine).values(seq=None))
    await vault.execute(sa.update(ledger).where(mine).values(seq=10_000))
    assert (await vault.audit()).problems


async def test_rows_deleted_inserted_or_exchanged_are_found_on_both_databases(vault):
    rows = await sealed_world(vault)
    one, other = [row for row in rows if row.recording_id == "r1" and row.to_state][:2]
    assert await found_after(vault, sa.delete(ledger).where(ledger.c.id == rows[3].id))
    back = dict(rows[3]._mapping)
    assert await found_after(vault, sa.insert(ledger).values(**back)) == []
    forged = {**back, "id": 90_000, "seq": rows[-1].seq + 500, "segment": 1}
    assert await found_after(vault, sa.insert(ledger).values(**forged))
    assert await found_after(vault, sa.delete(ledger).where(ledger.c.id == 90_000)) == []
    for pk, to in ((one.id, 90_001), (other.id, one.id), (90_001, other.id)):
        await vault.execute(sa.update(ledger).where(ledger.c.id == pk).values(id=to))
    assert any("another order" in problem.what for problem in (await vault.audit()).problems)


async def test_a_segment_taken_out_of_the_folder_or_of_the_table_is_found(vault):
    await sealed_world(vault)
    await vault.execute(sa.delete(segments).where(segments.c.segment == 2))
    assert 2 in {problem.segment for problem in (await vault.audit()).problems}
    (path,) = vault.storage._root.glob("_ledger/*3.jsonl")
    path.unlink()
    assert 3 in {problem.segment for problem in (await vault.audit()).problems}


async def test_verifying_changes_nothing_and_is_not_disturbed_by_a_sealer_that_died_at_any_point(vault):
    vault.limit = 5
    await vault.happens(12)
    piece = await vault.history.piece(5)  # numbered, not written
    assert (await vault.audit()).problems == []
    assert (await vault.audit()).unsealed == 12
    new = NewObject(key=segment_key(1), content_type="application/jsonl", metadata={})
    await vault.storage.put(new, render(piece), sha256=b"")  # written, not noted
    before = await vault.rows()
    found = await vault.audit()
    assert (found.problems, found.unsealed, found.segments) == ([], 12, 0)
    assert await vault.rows() == before
    await vault.seal()
    found = await vault.audit()
    assert (found.problems, found.unsealed, found.segments) == ([], 0, 3)
