"""A catalog destroyed and made anew from the archive alone."""

import dataclasses
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.ledger import SqlHistory
from archiver.catalog.tables import ledger, recordings, superseded
from archiver.pipeline.audit import audit
from tests.ledger.again import anew, archive, broken_laws, fetches_nothing, living, rebuild, seal
from tests.ledger.life import a_provider, everything, lived, unequal
from tests.pipeline.fake_provider import media_bytes

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


async def test_every_room_is_asked_for_anew(sqlite_catalogs, postgresql_catalogs, folder):
    async with living(sqlite_catalogs, folder, a_provider(30)) as old:
        await lived(old, 30)
        await seal(old)
        for target in (sqlite_catalogs, postgresql_catalogs):
            async with anew(target, old) as new:
                await rebuild(new).run()
                async with new.database.read() as conn:
                    named = set((await conn.execute(sa.select(recordings.c.room_id))).scalars()) - {""}
                assert named
                assert set(await new.plain_catalog.rooms_missing("rooms", limit=100)) == named


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
