"""Fixity of objects that are no longer the current ones: those that the provider's new bytes superseded, and what repair replaced."""

import dataclasses
from datetime import timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from archiver.catalog import findings
from archiver.catalog import fixity as facts
from archiver.catalog.tables import ledger, renditions, superseded
from archiver.config import Settings
from archiver.fixity import check
from archiver.telemetry import Metrics
from tests.pipeline.fake_provider import FakeProvider
from tests.pipeline.stage import staged


@pytest.fixture
async def stage(tmp_path):
    """Two recordings, of which `r1` has an earlier object beside its current one."""
    from archiver.catalog import schema

    url = f"sqlite:///{tmp_path}/catalog.db"
    schema.upgrade_now(url)
    async with staged(url, FakeProvider(source="calls")) as stage:
        stage.provider.archivable("r1", "r2")
        await stage.poll()
        await stage.work()
        await changed(stage)
        await stage.work()
        yield stage


async def changed(stage, body=b"OggS" + b"other" * 20):
    listed = stage.provider.listed["r1"]
    stage.provider.put(dataclasses.replace(listed, duration=(listed.duration or 0) + 1000.0))
    stage.provider.has("r1", body)
    await stage.poll()


async def run(stage, **how):
    app = SimpleNamespace(
        storage=stage.store,
        catalog=stage.plain_catalog,
        database=stage.database,
        metrics=Metrics(version="1"),
        settings=Settings(),
    )
    return await check(app, **({"sample": None, "part": None, "read_back": False} | how))


async def old(stage):
    (row,) = await stage.rows(sa.select(superseded))
    return row


async def told(stage, event):
    return await stage.rows(sa.select(ledger).where(ledger.c.event == event).order_by(ledger.c.id))


async def covered(stage, **later):
    return (await facts.coverage(stage.database, stage.clock.now() + timedelta(**later)))["checked_share"]


async def test_an_earlier_object_is_checked_and_counted_like_a_current_one(stage):
    assert await covered(stage) == 0.6666  # verified when they came: two of three
    result = await run(stage)
    assert (result.checked, result.ok, result.findings) == (3, 3, [])
    assert (await covered(stage), await covered(stage, days=91)) == (1.0, 0.0)


async def test_an_earlier_object_that_came_in_parts_is_read_because_what_the_store_attested_of_it_then_is_not_kept(stage):
    key = (await old(stage)).key
    kept = stage.store.objects[key]
    kept.stored = dataclasses.replace(kept.stored, sha256="")  # as after an upload in parts
    kept.body[5] ^= 1
    (finding,) = (await run(stage)).findings
    assert (finding.kind, finding.key, finding.held.earlier) == ("mismatched", key, (await old(stage)).id)


@pytest.mark.parametrize("harm", ["gone", "flipped"])
async def test_a_damaged_earlier_object_is_found_every_time_told_in_the_history_once_and_leaves_the_rendition_verified(
    stage, harm
):
    key = (await old(stage)).key
    kept = stage.store.objects[key]
    whole = bytes(kept.body)
    if harm == "gone":
        del stage.store.objects[key]
    else:
        kept.body[5] ^= 1
    for _again in range(2):
        result = await run(stage, read_back=True)
        assert [(finding.kind, finding.key) for finding in result.findings] == [
            ("missing" if harm == "gone" else "mismatched", key)
        ]
    (line,) = await told(stage, "fixity_failed")
    assert (line.recording_id, line.data["key"], line.data["earlier"]) == ("r1", key, True)
    assert set((await stage.states()).values()) == {"verified"}
    kept.body[:] = whole
    stage.store.objects[key] = kept
    assert (await run(stage, read_back=True)).findings == []
    (line,) = await told(stage, "fixity_restored")
    assert line.data["key"] == key
    async with stage.database.read() as conn:
        assert await findings.counts(conn) == {}


async def test_slices_and_samples_reach_earlier_objects_too(stage):
    seen = []
    for turn in (1, 2, 3, 4):
        async for objects in facts.batches(stage.database, sample=None, part=(turn, 4)):
            seen += [(held.entry.key, held.earlier > 0) for held in objects]
    assert len(seen) == len(set(seen)) == 3
    assert [earlier for _key, earlier in seen].count(True) == 1
    async for first in facts.batches(stage.database, sample=1, part=None):
        assert [held.earlier > 0 for held in first] == [True]  # it was never checked
        await stage.database.write(lambda tx, objects=first: facts.looked_at(tx, objects))
    async for second in facts.batches(stage.database, sample=2, part=None):
        assert [held.earlier for held in second] == [0, 0]


async def test_the_object_of_a_rendition_that_is_fetched_anew_is_checked_meanwhile(stage):
    await changed(stage, b"OggS" + b"a third time" * 9)
    assert str(await stage.state("r1")) == "due"
    current = (await stage.row("r1")).key
    del stage.store.objects[current]
    result = await run(stage)
    assert (result.checked, [(finding.kind, finding.key) for finding in result.findings]) == (3, [("missing", current)])
    assert str(await stage.state("r1")) == "due"  # it is on its way already; what is gone is told by the finding
    assert [line.data["key"] for line in await told(stage, "fixity_failed")] == [current]


async def test_what_repair_replaced_is_kept_with_the_recording_and_neither_checked_nor_counted_nor_untracked(stage):
    row = await stage.row("r2")
    stage.store.objects[row.key].body[9] ^= 1
    await run(stage, read_back=True)
    (item,) = await facts.damaged_entries(stage.database)
    await stage.database.write(lambda tx: facts.refetch(tx, "operator", [item], there={item.id}))
    await stage.work()
    result = await run(stage, read_back=True)
    assert (result.checked, result.findings, await covered(stage)) == (3, [], 1.0)
    objects = await stage.rows(sa.select(superseded.c.key, superseded.c.damaged).order_by(superseded.c.id))
    assert [(kept.key, kept.damaged) for kept in objects][1:] == [(row.key, True)]
    (rendition,) = await stage.rows(sa.select(renditions.c.id).where(renditions.c.key == (await stage.row("r2")).key))
    from archiver.catalog import retention

    async with stage.database.read() as conn:  # so that it goes when the recording goes, and is held and locked with it
        assert row.key in {ref.key for ref in (await retention.custody(conn, rendition.id)).objects}
    assert await stage.violations() == []
