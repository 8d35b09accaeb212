"""Fixity: what is missing, mismatched, unlocked, hidden or untracked is told apart, kept in the history, and repaired."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from archiver.catalog import fixity as facts
from archiver.catalog.tables import ledger, renditions
from archiver.config import Settings
from archiver.fixity import check
from archiver.pipeline.fixity import Fixity, Result, unlocked
from archiver.telemetry import Metrics
from tests.pipeline.clock import VirtualClock
from tests.pipeline.fake_provider import FakeProvider
from tests.pipeline.stage import staged

NAMES = [f"r{number}" for number in range(1, 9)]


@pytest.fixture
async def stage(tmp_path):
    from archiver.catalog import schema

    url = f"sqlite:///{tmp_path}/catalog.db"
    schema.upgrade_now(url)
    async with staged(url, FakeProvider(source="calls")) as stage:
        stage.provider.archivable(*NAMES)
        await stage.poll()
        await stage.work()
        assert set((await stage.states()).values()) == {"verified"}
        yield stage


def app_of(stage):
    return SimpleNamespace(
        storage=stage.store,
        catalog=stage.plain_catalog,
        database=stage.database,
        metrics=Metrics(version="1"),
        settings=Settings(),
    )


async def run(stage, **how):
    return await check(app_of(stage), **({"sample": None, "part": None, "read_back": False} | how))


async def key_of(stage, name):
    return (await stage.row(name)).key


async def kinds(result):
    return sorted((finding.kind, finding.entry.recording_id if finding.entry else finding.key) for finding in result.findings)


async def test_an_archive_as_it_should_be_is_ok_and_counts_as_checked(stage):
    result = await run(stage)
    assert (result.checked, result.ok, result.findings) == (8, 8, [])
    cover = await facts.coverage(stage.database, stage.clock.now())
    assert cover == {"period_days": 90, "checked_share": 1.0}
    assert (await facts.coverage(stage.database, stage.clock.now() + timedelta(days=91)))["checked_share"] == 0.0


async def test_missing_mismatched_and_untracked_are_told_apart_and_named(stage):
    missing, flipped, cut = [await key_of(stage, name) for name in ("r1", "r2", "r3")]
    del stage.store.objects[missing]
    stage.store.objects[flipped].body[100] ^= 1
    kept = stage.store.objects[cut]
    kept.stored = replace(kept.stored, size=kept.stored.size - 1)
    stage.store.plant("calls/2026/01/01/stranger/media.ogg", b"x")
    result = await run(stage, read_back=True)
    assert await kinds(result) == [
        ("mismatched", "r2"),
        ("mismatched", "r3"),
        ("missing", "r1"),
        ("untracked", "calls/2026/01/01/stranger/media.ogg"),
    ]
    states = await stage.states()
    assert {name for name, state in states.items() if state == "damaged"} == {"r1", "r2", "r3"}
    assert (await stage.events("r1"))[-1] == "damaged"


async def test_a_bit_flipped_at_rest_is_found_by_reading_back_whatever_the_store_attests(stage):
    stage.store.objects[await key_of(stage, "r5")].body[7] ^= 1
    assert (await run(stage)).findings == []
    assert await kinds(await run(stage, read_back=True)) == [("mismatched", "r5")]


async def test_a_run_leaves_one_line_in_the_history_with_its_counts(stage):
    await run(stage, part=(1, 2))
    rows = await stage.rows(sa.select(ledger.c.data).where(ledger.c.event == "fixity_checked"))
    assert [(row.data["slice"], row.data["missing"]) for row in rows] == [("1/2", 0)]


async def test_slices_are_disjoint_and_together_everything(stage):
    seen = []
    for turn in (1, 2, 3):
        async for entries in facts.batches(stage.database, sample=None, part=(turn, 3)):
            seen += [held.entry.recording_id for held in entries]
    assert sorted(seen) == sorted(NAMES)


async def test_a_sample_takes_those_that_were_not_checked_for_longest(stage):
    async for first in facts.batches(stage.database, sample=3, part=None):
        await stage.clock.sleep(5)
        await stage.database.write(lambda tx, entries=first: facts.looked_at(tx, entries))
    async for second in facts.batches(stage.database, sample=5, part=None):
        assert {held.entry.recording_id for held in first}.isdisjoint(held.entry.recording_id for held in second)


async def test_an_object_written_before_the_catalog_says_so_is_not_untracked(stage):
    stage.provider.archivable("late")
    await stage.poll()
    (entry,) = await stage.catalog.claim(1, sources=["calls"])
    await stage.transfer().archive(entry)
    assert (await run(stage)).findings == []


async def test_what_is_damaged_is_fetched_again_while_the_provider_has_it_and_is_whole_afterwards(stage):
    missing, flipped = [await key_of(stage, name) for name in ("r1", "r2")]
    before = (await stage.row("r2")).sha256
    del stage.store.objects[missing]
    stage.store.objects[flipped].body[100] ^= 1
    await run(stage, read_back=True)
    items = await facts.damaged_entries(stage.database)
    second = next(item.id for item in items if item.recording_id == "r2")
    assert await stage.database.write(lambda tx: facts.refetch(tx, "operator", items, there={second})) == 2
    await stage.work()
    assert set((await stage.states()).values()) == {"verified"}
    assert await key_of(stage, "r1") == missing
    other = await stage.row("r2")
    assert other.key != flipped
    assert other.sha256 == before
    result = await run(stage, read_back=True)
    assert (result.checked, result.findings) == (8, [])  # what is known to be damaged was replaced, and is not looked for again
    assert "repair_began" in await stage.events("r2")
    assert await stage.violations() == []


async def test_what_was_brought_back_is_verified_again(stage):
    key = await key_of(stage, "r4")
    kept = stage.store.objects.pop(key)
    await run(stage)
    assert str(await stage.state("r4")) == "damaged"
    stage.store.objects[key] = kept
    result = await run(stage)
    assert (result.findings, str(await stage.state("r4"))) == ([], "verified")


async def test_an_entry_that_changed_while_it_was_looked_at_is_left_alone(stage):
    async for entries in facts.batches(stage.database, sample=1, part=None):
        item = entries[0].entry
    await stage.database.write(
        lambda tx: tx.execute(sa.update(renditions).where(renditions.c.id == item.id).values(revision=item.revision + 1))
    )
    await stage.database.write(lambda tx: facts.found_damaged(tx, "me", [(item, "missing: x")]))
    assert set((await stage.states()).values()) == {"verified"}


async def test_a_hidden_object_is_delete_marked_and_keeps_its_state(stage):
    key = await key_of(stage, "r6")

    class Hidden(type(stage.store)):
        async def head(self, key_asked, version_id=""):
            if key_asked == key and not version_id:
                from archiver.domain.errors import ObjectMissing

                raise ObjectMissing(f"{key} is hidden")
            return await super().head(key_asked, version_id)

    stage.store.__class__ = Hidden
    async for entries in facts.batches(stage.database, sample=None, part=None):
        result = Result()
        clock_now = stage.clock.now()
        await Fixity(storage=stage.store, observer=stage.observed, read_back=False, now=clock_now).check(entries, result)
    assert await kinds(result) == [("delete_marked", "r6")]


def test_a_lock_that_is_gone_shorter_or_weaker_is_unlocked_and_one_that_is_over_is_not():
    now = VirtualClock().now()
    until = now + timedelta(days=30)

    def found(**changes):
        return SimpleNamespace(**({"lock_mode": "COMPLIANCE", "retain_until": until} | changes))

    def says(seen, *, mode="compliance", until=until, now=now):
        return unlocked(seen, mode=mode, until=until, now=now)

    assert says(found()) is None
    assert says(found(retain_until=until + timedelta(days=1))) is None
    assert "no lock" in says(found(lock_mode="", retain_until=None))
    assert "only" in says(found(retain_until=until - timedelta(days=1)))
    assert "governance" in says(found(lock_mode="GOVERNANCE"))
    assert says(found(lock_mode="", retain_until=None), now=until) is None
    assert says(found(lock_mode=""), mode="", until=None) is None
