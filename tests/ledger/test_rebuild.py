"""A catalog destroyed and made anew from the archive alone."""

import contextlib
import dataclasses
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog import consistency, erasures
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.leases import Worker
from archiver.catalog.ledger import SqlHistory
from archiver.catalog.manifests import SqlFacts
from archiver.catalog.rebuilt import SqlRebuild
from archiver.catalog.tables import ledger, superseded
from archiver.domain.errors import CatalogHeld, HistoryForked, StorageUnavailable, UsageError
from archiver.domain.ledger import segment_key
from archiver.domain.ports import NewObject
from archiver.pipeline.audit import audit
from archiver.pipeline.rebuild import Rebuild
from archiver.pipeline.seal import Sealer
from tests.ledger.life import a_provider, everything, lived, unequal
from tests.ledger.vault import a_folder
from tests.pipeline.clock import VirtualClock
from tests.pipeline.fake_provider import FakeProvider, media_bytes
from tests.pipeline.stage import staged
from tests.testbed.scratch import scratch


@pytest.fixture
def folder():
    with scratch("rebuild", in_memory=True) as path:
        yield a_folder(path / "archive")


def sealer(stage, *, limit=5_000):
    return Sealer(
        history=SqlHistory(stage.database),
        facts=SqlFacts(stage.database, "me"),
        catalog=stage.plain_catalog,
        storage=stage.store,
        clock=stage.clock,
        lock_for_ledger=lambda _now: None,
        limit=limit,
    )


@contextlib.asynccontextmanager
async def living(catalogs, folder, provider):
    """A stage over an empty catalog and archive."""
    clock = VirtualClock()
    with catalogs() as url:
        async with clock, staged(url, provider, clock=clock, store=folder) as stage:
            yield stage


@contextlib.asynccontextmanager
async def anew(catalogs, stage):
    """A stage over an empty catalog with the same archive, provider and clock."""
    with catalogs() as url:
        async with staged(url, stage.provider, clock=stage.clock, store=stage.store, name="new") as fresh:
            yield fresh


@pytest.fixture
async def stage(sqlite_catalogs, folder):
    """Three recordings, not archived yet."""
    provider = FakeProvider()
    provider.archivable("r1", "r2", "r3", room_name="Kitchen")
    async with living(sqlite_catalogs, folder, provider) as it:
        yield it


@pytest.fixture
async def fresh(sqlite_catalogs, stage):
    async with anew(sqlite_catalogs, stage) as it:
        yield it


async def archive(stage):
    await stage.poll()
    await stage.work()


async def seal(stage, **options):
    return await sealer(stage, **options).run(wait=True)


def rebuild(stage, **options):
    target = SqlRebuild(stage.database, "operator:plum@here", {"rooms": "telnyx-rooms"})
    rest = {"catalog": stage.plain_catalog, "storage": stage.store, "clock": stage.clock, "locks": False}
    return Rebuild(target=target, **{**rest, **options})


async def broken_laws(stage):
    """What the laws say, and whether the history is whole."""
    async with stage.database.read() as conn:
        told = (await consistency.check(conn, stage.clock.now(), revision=""))["problems"]
    return [*told, *(await audit(SqlHistory(stage.database), stage.store)).problems]


async def fetches_nothing(stage):
    """Polls and works, as the next run would: nothing is downloaded and no object is made."""
    before = dict(stage.provider.calls), [stored.key async for stored in stage.store.keys("")]
    await archive(stage)
    media = {name: count for name, count in stage.provider.calls.items() if name.startswith("media") and name != "media mute"}
    return media == {name: count for name, count in before[0].items() if name in media} and before[1] == [
        stored.key async for stored in stage.store.keys("")
    ]


# -- field by field


async def fields_equal(count, folder, source, *targets):
    async with living(source, folder, a_provider(count)) as old:
        await lived(old, count)
        await seal(old, limit=1_000)
        before = await everything(old.database)
        assert len(before["renditions"]) >= count
        for target in targets:
            async with anew(target, old) as new:
                assert (await rebuild(new).run()).problems == []
                assert "\n".join(map(str, unequal(before, await everything(new.database))[:20])) == ""
                assert await broken_laws(new) == []
        return old


async def test_every_field_of_five_hundred_renditions_comes_back_on_both_databases(sqlite_catalogs, postgresql_catalogs, folder):
    await fields_equal(460, folder, sqlite_catalogs, sqlite_catalogs, postgresql_catalogs)


async def test_a_postgresql_catalog_comes_back_as_either(sqlite_catalogs, postgresql_catalogs, folder):
    await fields_equal(45, folder, postgresql_catalogs, sqlite_catalogs, postgresql_catalogs)


@pytest.mark.faults
@pytest.mark.timeout(1800)
async def test_every_field_of_ten_thousand_renditions_comes_back_on_both_databases(sqlite_catalogs, postgresql_catalogs, folder):
    await fields_equal(9_100, folder, sqlite_catalogs, sqlite_catalogs, postgresql_catalogs)


# -- going on


async def test_the_next_polls_find_nothing_to_fetch_twice(sqlite_catalogs, folder):
    async with living(sqlite_catalogs, folder, a_provider(30)) as old:
        await lived(old, 30)
        await archive(old)
        await seal(old)
        async with anew(sqlite_catalogs, old) as new:
            await rebuild(new).run()
            assert await fetches_nothing(new)
            assert await broken_laws(new) == []


async def test_the_chain_goes_on_behind_a_line_that_says_that_it_was_rebuilt(stage, fresh):
    await archive(stage)
    await seal(stage)
    before = await audit(SqlHistory(stage.database), stage.store)
    found = await rebuild(fresh).run()
    assert (found.head, found.recordings, found.renditions) == (before.head, 3, 3)
    last = (await fresh.rows(sa.select(ledger).order_by(ledger.c.id)))[-1]
    assert (last.event, last.actor, last.data["head"]) == ("catalog_rebuilt", "operator:plum@here", before.head)
    await seal(fresh)
    after = await audit(SqlHistory(fresh.database), stage.store, known_head=before.head)
    assert (after.problems, after.segments) == ([], before.segments + 1)


async def test_what_came_after_the_last_seal_is_adopted_from_the_objects_themselves(stage, fresh):
    await archive(stage)
    await seal(stage)
    stage.provider.archivable("r4", "r5")
    stage.provider.has("r1", media_bytes(77, "other"), metadata={"x-amz-meta-x-amz-key": "k"})
    stage.provider.put(dataclasses.replace(stage.provider.listed["r1"], duration=5.0))
    await archive(stage)
    keys = [stored.key async for stored in stage.store.keys("rooms/")]
    assert len(keys) == 6
    found = await rebuild(fresh).run()
    assert (found.adopted, found.problems) == (3, [])
    assert await fresh.states() == {"r1": "stored", "r2": "verified", "r3": "verified", "r4": "stored", "r5": "stored"}
    before, after = await stage.row("r4"), await fresh.row("r4")
    names = ("key", "size", "sha256", "token", "proof", "metadata")
    assert [getattr(after, name) for name in names] == [getattr(before, name) for name in names]
    assert (await fresh.row("r1")).metadata == {"x-amz-meta-x-amz-key": "k"}
    (earlier,) = await fresh.rows(sa.select(superseded))
    assert earlier.key == "rooms/2026/03/10/r1/media.ogg"
    assert await broken_laws(fresh) == []
    assert await fetches_nothing(fresh)
    assert set((await fresh.states()).values()) == {"verified"}
    assert await broken_laws(fresh) == []


async def test_a_recording_whose_facts_are_in_no_manifest_is_asked_for_again_by_its_id(stage, fresh):
    await archive(stage)
    await seal(stage)
    for path in stage.store._root.glob("_recordings/*"):
        path.unlink()
    found = await rebuild(fresh).run()
    assert found.problems == ["manifest 1 is missing"]
    row = await fresh.recording("r1")
    assert (row.status, row.provider, row.room_name) == ("unknown", "telnyx-rooms", "")
    assert await fetches_nothing(fresh)
    assert (await fresh.recording("r1")).room_name == "Kitchen"
    assert (await fresh.recording("r1")).status == "completed"


async def test_a_catalog_that_was_away_for_days_covers_all_of_them_again(stage, fresh):
    await archive(stage)
    await seal(stage)
    stage.clock.advance(days=20)
    missed = stage.clock.now() - timedelta(days=15)
    stage.provider.archivable("r4", ended_at=missed)
    await rebuild(fresh).run()
    await archive(fresh)
    assert (await fresh.states())["r4"] == "verified"


async def test_a_claim_whose_worker_went_with_the_catalog_is_taken_up_again(stage, fresh):
    await stage.poll()
    await stage.catalog.claim(5, sources=["rooms"])
    await seal(stage)
    await rebuild(fresh).run()
    fresh.clock.advance(seconds=1)
    await archive(fresh)
    assert set((await fresh.states()).values()) == {"verified"}
    assert await broken_laws(fresh) == []


# -- what is not as it should be


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
