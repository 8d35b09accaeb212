"""Facts of recordings in the archive: written when they changed, never in the history, and taken out again."""

import json

from archiver.catalog.evidence_tables import manifests
from archiver.catalog.tables import recordings
from archiver.domain.errors import CatalogUnavailable, StorageUnavailable
from archiver.domain.ledger import Manifest
from archiver.domain.recording import Room
from tests.catalog.world import SOURCE, a_listing
from tests.ledger.vault import Failing, sha256


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
    sealed = b"".join([await vault.body(key) for key in await vault.keys("_ledger/")])
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

    await world.me.save_rooms(SOURCE, {"m1": Room(room_id="m1", name="Study", raw={})})
    assert await again()
    await world.me.record_gone(SOURCE, "r1", looks=2)
    assert await again()
