"""Sealing: contiguous numbers, the same bytes whatever happens in between, nothing overwritten."""

import asyncio
import json

import pytest
import sqlalchemy as sa

from archiver.catalog.evidence_tables import manifests, segments
from archiver.catalog.tables import ledger, recordings
from archiver.domain.errors import CatalogUnavailable, HistoryForked, StorageUnavailable
from archiver.domain.ledger import Manifest, segment_key
from tests.catalog.world import NOON, SOURCE, a_listing
from tests.ledger.vault import sha256


class Failing:
    """Does what the inner one does, and fails at the `at`-th call of anything named, before or after doing it."""

    def __init__(self, inner, names, *, at, after):
        self._inner, self._names, self._left, self._after = inner, names, at, after
        self.failed = False

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        async def call(*args, **options):
            self._left -= 1
            if self._left == 0 and not self._after:
                self.failed = True
                raise CatalogUnavailable("the line was cut")
            result = await found(*args, **options)
            if self._left == 0:
                self.failed = True
                raise StorageUnavailable("the answer was lost")
            return result

        return call


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


# -- manifests


async def test_facts_of_recordings_go_into_manifests_and_never_into_the_history(vault):
    await vault.world.lists(a_listing("r1", room_name="Ms Plum's room", raw={"id": "r1", "participant": "Colonel Mustard"}))
    await vault.seal()
    (key,) = await vault.keys("_recordings/")
    line = json.loads(await vault.body(key))
    assert (line["source"], line["recording_id"], line["room_name"], line["renditions"]) == (
        SOURCE,
        "r1",
        "Ms Plum's room",
        ["media"],
    )
    assert json.loads(line["raw"])["participant"] == "Colonel Mustard"
    sealed = b"".join((await segments_of(vault)).values())
    assert b"Plum" not in sealed
    assert b"Mustard" not in sealed


async def test_a_manifest_is_written_for_what_is_new_or_changed_and_for_nothing_else(vault):
    await vault.world.lists(a_listing("r1"), a_listing("r2"))
    assert (await vault.seal()).recordings == 2
    assert (await vault.seal()).recordings == 0
    await vault.world.lists(a_listing("r1"), a_listing("r2", participant_name="Rev. Green"))
    assert (await vault.seal()).recordings == 1
    assert [row.manifest for row in await vault.rows(recordings)] == [1, 2]
    assert [row.count for row in await vault.rows(manifests)] == [2, 1]


async def test_a_recording_that_changes_while_its_manifest_is_written_is_written_again(vault):
    await vault.world.lists(a_listing("r1"))
    facts = await vault.facts.unwritten(10)
    await vault.world.lists(a_listing("r1", participant_name="Mrs White"))
    await vault.facts.written(Manifest(manifest=1, key="k", version_id="", sha256="s", count=1), facts)
    assert (await vault.world.recording()).manifest is None
    await vault.seal()
    assert (await vault.world.recording()).manifest == 2


async def test_a_manifest_that_nobody_noted_is_noted_before_the_next_is_written(vault):
    """It may hold names: an erasure has to know of it."""
    await vault.world.lists(a_listing("r1"))
    await vault.sealer()._manifests._put(1, b'{"recording_id":"r1","source":"rooms"}\n')
    await vault.seal()
    assert (await vault.world.recording()).manifest == 2
    assert [(row.manifest, row.count) for row in await vault.rows(manifests)] == [(1, 1), (2, 1)]


async def test_the_history_names_the_digest_of_every_manifest(vault):
    await vault.world.lists(a_listing("r1"))
    await vault.seal()
    (told,) = [row.data for row in await vault.rows() if row.event == "manifest_written"]
    assert told["sha256"] == sha256(await vault.body(told["key"]))
    assert (told["manifest"], told["count"]) == (1, 1)


async def test_rewriting_takes_a_recording_out_of_every_manifest_and_leaves_the_others(vault):
    await vault.world.lists(a_listing("r1", room_name="Kitchen"), a_listing("r2", room_name="Lounge"))
    await vault.seal()
    await vault.world.lists(a_listing("r1", room_name="Ballroom"))
    await vault.seal()
    assert await vault.sealer().rewrite_without(SOURCE, "r1") == 2
    everything = b"".join([await vault.body(key) for key in await vault.keys("_recordings/")])
    assert b"Lounge" in everything
    assert b"Kitchen" not in everything
    assert b"Ballroom" not in everything
    kept = json.loads(everything)
    assert kept["manifest"] == 1  # the number that says which of several lines counts stays with the line
    assert [row.manifest for row in await vault.rows(recordings)] == [None, 1]
    assert await vault.sealer().rewrite_without(SOURCE, "r1") == 0
    assert (await vault.seal()).recordings == 1  # what is left of it in the catalog


async def test_rewriting_that_was_cut_short_is_finished_by_the_next_one(vault):
    await vault.world.lists(a_listing("r1"), a_listing("r2"))
    await vault.seal()
    for at in (1, 2, 3, 4, 5, 6):
        facts = Failing(vault.facts, {"rewritten", "removed", "forget"}, at=at, after=at % 2 == 0)
        try:
            await vault.sealer(facts=facts).rewrite_without(SOURCE, "r1")
        except (CatalogUnavailable, StorageUnavailable):
            await vault.sealer().rewrite_without(SOURCE, "r1")
        for key in await vault.keys("_recordings/"):
            assert b'"r1"' not in await vault.body(key)
        assert await vault.keys("_recordings/") == [row.key for row in await vault.rows(manifests)]
        await vault.world.lists(a_listing("r1", room_name=f"again {at}"))
        await vault.seal()


async def test_a_recording_in_every_shift_of_life_is_written_again_when_it_changes(vault):
    """Whatever touches a recording's row takes its manifest away, but for a mere look at it."""
    world = vault.world
    await world.lists(a_listing("r1", room_id="m1"))
    await vault.seal()

    async def again():
        changed = (await world.recording()).manifest is None
        await vault.seal()
        return changed

    world.clock.advance(minutes=1)
    await world.me.open_recordings(SOURCE, limit=5)
    assert not await again()
    await world.me.record_gone(SOURCE, "r1", looks=1)
    assert await again()
    await world.lists(a_listing("r1", room_id="m1"))
    assert await again()
    from archiver.domain.recording import Room

    await world.me.save_rooms(SOURCE, {"m1": Room(room_id="m1", name="Study", raw={})})
    assert await again()
    await world.me.record_gone(SOURCE, "r1", looks=2)
    assert await again()


async def test_a_late_transaction_comes_into_a_later_segment(pg, tmp_path):
    """On PostgreSQL ids are given before commits: a line may appear behind ones that are sealed already."""
    from archiver.catalog.history import Change, record
    from tests.ledger.vault import Vault, a_folder

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
