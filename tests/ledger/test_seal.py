"""Sealing: contiguous numbers, the same bytes whatever happens in between, nothing overwritten."""

import asyncio
import hashlib
import json

import pytest
import sqlalchemy as sa

from archiver.catalog.evidence_tables import segments
from archiver.catalog.history import Change, record
from archiver.catalog.tables import ledger
from archiver.domain.errors import CatalogUnavailable, HistoryForked, StorageUnavailable
from archiver.domain.ledger import segment_key
from archiver.domain.ports import NewObject
from archiver.pipeline.segments import render
from tests.catalog.world import NOON, a_listing
from tests.ledger.vault import Failing, Vault, a_folder, sha256


async def segments_of(vault):
    return {key: await vault.body(key) for key in await vault.keys("_ledger/")}


async def test_a_segment_is_canonical_lines_behind_a_header_that_chains_it_to_the_one_before(vault):
    vault.limit = 4
    await vault.happens(10)
    done = await vault.seal()
    assert (done.segments, done.lines) == (3, 10)
    bodies = list((await segments_of(vault)).values())
    heads = [json.loads(body.split(b"\n")[0]) for body in bodies]
    assert [(h["segment"], h["first_seq"], h["last_seq"], h["count"]) for h in heads] == [
        (1, 1, 4, 4),
        (2, 5, 8, 4),
        (3, 9, 10, 2),
    ]
    assert [h["previous_sha256"] for h in heads] == ["", sha256(bodies[0]), sha256(bodies[1])]
    line = json.loads(bodies[1].split(b"\n")[1])
    assert line == {
        "seq": 5,
        "at": "2026-03-02T12:00:00.000000Z",
        "actor": "me",
        "event": "tried",
        "source": "",
        "recording_id": "",
        "rendition": "",
        "from": "",
        "to": "",
        "reason": "reason 4",
        "data": {"n": 4},
    }
    rows = await vault.rows(segments)
    assert [row.sha256 for row in rows] == [sha256(body) for body in bodies]
    assert [row.key for row in rows] == [segment_key(n) for n in (1, 2, 3)]


async def test_a_seal_without_anything_new_writes_nothing(vault):
    await vault.happens(3)
    await vault.seal()
    before = await vault.keys()
    assert (await vault.seal()).segments == 0
    assert await vault.keys() == before


async def test_every_line_is_numbered_once_and_in_the_order_of_its_id(vault):
    vault.limit = 7
    for _ in range(5):
        await vault.happens(6)
        await vault.seal()
    rows = await vault.rows()
    assert [row.seq for row in rows] == list(range(1, 31))
    assert (await vault.audit()).problems == []


@pytest.mark.parametrize("after", [False, True])
async def test_a_seal_that_fails_at_any_call_goes_on_to_the_same_bytes(small, after, tmp_path):
    """Each call of catalog and storage fails once, before or after it was done; what the next run makes of it is always the same."""
    names = {"piece", "sealed", "put", "head", "unwritten", "next_manifest", "written"}
    await small.world.lists(*(a_listing(f"r{n}") for n in range(3)))
    await small.happens(20)
    at, first = 0, None
    while True:
        at += 1
        turn = type(small)(world=small.world, storage=small.storage, limit=10)
        doubles = {name: Failing(getattr(turn, name), names, at=at, after=after) for name in ("history", "facts", "storage")}
        try:
            await turn.seal(**doubles)
        except (CatalogUnavailable, StorageUnavailable):
            await turn.seal()
        assert (await turn.audit()).problems == []
        bodies = await segments_of(turn)
        assert [row.seq for row in await turn.rows()] == list(range(1, len(await turn.rows()) + 1))
        first = first or bodies
        assert {key: bodies[key] for key in first} == first
        if not any(double.failed for double in doubles.values()):
            break
        await small.happens(15)
    assert at > 5


async def test_two_sealers_at_once_make_one_chain(vault):
    """A lease keeps them apart; should it fail them (a process that slept past its end), the bytes are the same anyway."""
    vault.limit = 5
    await vault.happens(40)
    assert await vault.world.you.acquire("seal", seconds=60)
    one, other = vault.sealer(), vault.sealer(catalog=vault.world.you)
    await asyncio.gather(one._seal(), other._seal())
    assert (await vault.audit()).problems == []
    assert [row.segment for row in await vault.rows(segments)] == list(range(1, 9))


async def test_only_one_sealer_works_at_a_time(vault):
    assert await vault.world.you.acquire("seal", seconds=60)
    await vault.happens(1)
    assert await vault.sealer().run(wait=False) is None
    assert await vault.keys("_ledger/") == []


async def test_a_catalog_older_than_its_archive_stops_sealing_and_overwrites_nothing(vault):
    vault.limit = 5
    await vault.happens(10)
    await vault.seal()
    before = await segments_of(vault)
    await vault.execute(sa.delete(segments).where(segments.c.segment == 2))
    await vault.execute(sa.delete(ledger).where(ledger.c.segment == 2))
    await vault.happens(5, event="something else")
    with pytest.raises(HistoryForked, match="catalog rebuild"):
        await vault.seal()
    assert await segments_of(vault) == before
    assert [problem.segment for problem in (await vault.audit()).problems] == [2]


async def test_what_stands_where_the_next_segment_belongs_is_recognised_by_its_bytes_and_not_by_its_size(vault):
    await vault.happens(3)
    (body,) = [render(await vault.history.piece(vault.limit))]
    forged = body.replace(b"reason 1", b"reason 9")
    new = NewObject(key=segment_key(1), content_type="application/jsonl", metadata={})
    await vault.storage.put(new, forged, sha256=hashlib.sha256(forged).digest())
    with pytest.raises(HistoryForked):
        await vault.seal()
    assert await segments_of(vault) == {segment_key(1): forged}
    assert await vault.rows(segments) == []


async def test_lines_numbered_for_a_segment_that_then_vanish_stop_sealing(small):
    await small.happens(10)
    await small.history.piece(10)
    await small.execute(sa.delete(ledger).where(ledger.c.seq == 4))
    with pytest.raises(HistoryForked, match="gone"):
        await small.seal()


async def test_what_no_json_reader_keeps_exactly_is_sealed_as_its_text(vault):
    odd = {"huge": 2**70, "tiny": 1e-7, "half": "\ud800", "é": [1.5, None, True], "inf": float("inf")}
    await vault.happens(1, data=odd, reason="NUL \0 and \ud83d")
    await vault.seal()
    assert (await vault.audit()).problems == []
    sealed = json.loads((await vault.body(segment_key(1))).split(b"\n")[1])
    assert sealed["data"] == {"huge": str(2**70), "tiny": 1e-7, "half": "\\ud800", "é": [1.5, None, True], "inf": "inf"}


async def test_unsealed_counts_what_waits_and_says_since_when(vault):
    assert (await vault.history.unsealed()).count == 0
    await vault.happens(2)
    vault.world.clock.advance(minutes=10)
    await vault.happens(3)
    waiting = await vault.history.unsealed()
    assert (waiting.count, waiting.since) == (5, NOON)
    await vault.history.piece(4)  # numbered, and not in the archive yet
    assert (await vault.history.unsealed()).count == 5
    await vault.seal()
    assert (await vault.history.unsealed()).since is None


async def test_a_late_transaction_comes_into_a_later_segment(pg, tmp_path):
    """On PostgreSQL ids are given before commits: a line may appear behind ones that are sealed already."""
    vault = Vault(world=pg, storage=a_folder(tmp_path / "archive"))
    held, go = asyncio.Event(), asyncio.Event()

    async def slow(tx):
        await record(tx, "slow", [Change(event="late")])
        held.set()
        await go.wait()

    late = asyncio.create_task(pg.you.database.write(slow))
    await held.wait()
    await vault.happens(2)
    await vault.seal()
    go.set()
    await late
    await vault.seal()
    assert [(row.seq, row.event) for row in await vault.rows()] == [(3, "late"), (1, "tried"), (2, "tried")]
    assert (await vault.audit()).problems == []
