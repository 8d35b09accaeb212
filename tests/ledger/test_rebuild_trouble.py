"""What a rebuild makes of archives that are not as they should be, and what it refuses."""

import pytest

from archiver.catalog import erasures
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.leases import Worker
from archiver.catalog.ledger import SqlHistory
from archiver.domain.errors import CatalogHeld, HistoryForked, StorageUnavailable, UsageError
from archiver.domain.ledger import segment_key
from archiver.domain.ports import NewObject
from archiver.pipeline.audit import audit
from tests.ledger.again import anew, archive, broken_laws, living, rebuild, seal, sealer
from tests.ledger.life import a_provider, lived


async def test_a_missing_or_cut_object_makes_its_rendition_damaged(stage, fresh):
    await archive(stage)
    await seal(stage)
    await stage.store.delete((await stage.row("r1")).key, "")
    (stage.store._root / (await stage.row("r2")).key).write_bytes(b"cut")
    found = await rebuild(fresh).run()
    assert (found.missing, len(found.problems)) == (2, 2)
    assert await fresh.states() == {"r1": "damaged", "r2": "damaged", "r3": "verified"}
    assert await broken_laws(fresh) == []


async def test_objects_that_are_not_what_they_say_are_left_alone_and_named(stage, fresh):
    await archive(stage)
    await seal(stage)
    kept = {"archiver-source": "rooms", "archiver-recording": "r9", "archiver-rendition": "media"}
    plants = {
        "rooms/2026/03/10/r9/media.ogg": {},
        "rooms/2026/03/10/r8/media.ogg": kept,
        "rooms/2026/03/11/r9/media.ogg": {**kept, "archiver-sha256": "0" * 64},
        "elsewhere.txt": kept,
    }
    for key, metadata in plants.items():
        await stage.store.put(NewObject(key=key, content_type="a/b", metadata=metadata), b"hello", sha256=b"")
    found = await rebuild(fresh).run()
    assert found.adopted == 0
    assert len(found.problems) == 4
    assert all(any(key in text for text in found.problems) for key in plants)


async def test_what_was_deleted_or_forgotten_is_not_taken_up_again_from_an_object_left_behind(sqlite_catalogs, folder):
    async with living(sqlite_catalogs, folder, a_provider(20)) as old:
        await lived(old, 20)
        await seal(old)
        kept = {"archiver-source": "rooms", "archiver-rendition": "media"}
        for recording_id in ("r6", "r8"):
            new = NewObject(
                key=f"rooms/2026/03/10/{recording_id}/media-again.ogg",
                content_type="a/b",
                metadata={**kept, "archiver-recording": recording_id},
            )
            await folder.put(new, b"hello", sha256=b"")
        async with anew(sqlite_catalogs, old) as new:
            found = await rebuild(new).run()
            assert found.adopted == 0
            assert sorted(text.rpartition(": ")[2] for text in found.problems) == [
                "its recording is to be erased, or was",
                "its rendition is expired",
            ]


async def test_a_damaged_history_is_refused_and_leaves_nothing_that_anybody_would_work_with(stage, fresh):
    await archive(stage)
    await seal(stage, limit=5)
    path = stage.store._root / segment_key(2)
    path.write_bytes(path.read_bytes().replace(b'"actor":"me"', b'"actor":"he"', 1))
    with pytest.raises(HistoryForked, match="segment 3, line 1: does not go on"):
        await rebuild(fresh).run()
    with pytest.raises(CatalogHeld, match="not over"):
        await fresh.plain_catalog.enter()
    found = await rebuild(fresh, despite_damage=True).run()
    assert any("segment 3" in text for text in found.problems)
    assert await fresh.states() == dict.fromkeys(("r1", "r2", "r3"), "verified")
    await fresh.plain_catalog.enter()
    assert 3 in {problem.segment for problem in (await audit(SqlHistory(fresh.database), stage.store)).problems}


@pytest.mark.parametrize("damage", ["missing", "cut", "no header", "foreign"])
async def test_every_damage_of_a_segment_is_noticed_and_the_rest_can_be_taken(stage, fresh, damage):
    await archive(stage)
    await seal(stage, limit=5)
    path = stage.store._root / segment_key(2)
    body = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": body[:-40], "no header": body.partition(b"\n")[2], "foreign": b"\xff\xfe"}[damage])
    with pytest.raises(HistoryForked, match="segment"):
        await rebuild(fresh).run()
    found = await rebuild(fresh, despite_damage=True).run()
    assert found.problems
    assert len(await fresh.states()) == 3


async def test_a_manifest_that_was_changed_is_noticed_by_the_digest_in_the_history(stage, fresh):
    await archive(stage)
    await seal(stage)
    (path,) = stage.store._root.glob("_recordings/*1.jsonl")
    path.write_bytes(path.read_bytes().replace(b"Kitchen", b"Library"))
    with pytest.raises(HistoryForked, match="manifest 1"):
        await rebuild(fresh).run()


async def test_a_catalog_with_anything_in_it_is_refused(stage):
    await stage.poll()
    with pytest.raises(UsageError, match="not empty"):
        await rebuild(stage).run()


async def test_a_catalog_that_somebody_works_on_is_refused(fresh):
    await fresh.plain_catalog.enter()
    with pytest.raises(CatalogHeld, match="stop it first"):
        await rebuild(fresh).run()


async def test_only_one_rebuild_runs_at_a_time(fresh):
    held = SqlCatalog(fresh.database, Worker(name="other", host="here", pid=1, born=1, command="rebuild"))
    assert await held.acquire("rebuild", seconds=60)
    with pytest.raises(CatalogHeld, match="another rebuild"):
        await rebuild(fresh).run()


async def test_a_store_that_fails_now_and_then_does_not_end_a_rebuild(stage, fresh):
    await archive(stage)
    await seal(stage)

    class Flaky:
        def __init__(self, inner):
            self._inner, self._asked = inner, 0

        def __getattr__(self, name):
            return getattr(self._inner, name)

        async def head(self, key, version_id=""):
            self._asked += 1
            if self._asked % 3:
                raise StorageUnavailable("come again")
            return await self._inner.head(key, version_id)

    assert (await rebuild(fresh, storage=Flaky(stage.store)).run()).problems == []


async def test_a_recording_that_was_forgotten_stays_forgotten(stage, fresh):
    """Its facts were taken out of the manifests, what is left of it is written anew, and the rebuild knows only that."""
    await archive(stage)
    await seal(stage)
    await stage.database.write(lambda tx: erasures.scrub(tx, "rooms", "r1"))
    await sealer(stage).rewrite_without("rooms", "r1")
    await seal(stage)
    assert (await rebuild(fresh).run()).problems == []
    assert ((await fresh.recording("r1")).room_name, (await fresh.recording("r1")).raw) == ("", {"erased": True})
    assert (await fresh.recording("r2")).room_name == "Kitchen"
