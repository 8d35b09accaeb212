"""What is kept twice is what there is, whatever happened to it; and the answers that rest on it are the counted ones."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
import sqlalchemy as sa

from archiver.catalog import consistency, reports, tallies
from archiver.catalog.tables import passes, recordings, renditions
from archiver.domain import lifecycle
from archiver.domain.lifecycle import Event
from archiver.domain.recording import ProviderStatus
from archiver.domain.work import PRIORITY_BACKFILL, PRIORITY_LIVE, Outcome
from tests.catalog.test_passes import a_pass
from tests.catalog.world import KIND, SOURCE, a_listing, failed_once, processing, stored

R, C = renditions.c, recordings.c
NAMES = [SOURCE, "calls"]
JOINED = sa.join(renditions, recordings, C.id == R.recording_pk)


async def broken(world):
    """What `catalog check` says of the end kept with each rendition."""
    async with world.me.database.read() as conn:
        found = await consistency.check(conn, world.clock.now, revision="")
    return [(item["law"], item["thing"]) for item in found["problems"] if item["law"] == "I25 ended"]


# -- as they would be answered without anything kept


async def counted_oldest(conn, now):
    since = sa.func.min(sa.func.coalesce(C.ended_at, C.first_seen_at))
    query = sa.select(R.source, since).select_from(JOINED).where(R.state.in_(sorted(lifecycle.UNARCHIVED))).group_by(R.source)
    return {source: max(0.0, (now - moment).total_seconds()) for source, moment in (await conn.execute(query)).all()}


async def counted_lateness(conn, source, now):
    first = (await conn.execute(sa.select(sa.func.min(passes.c.started_at)).where(passes.c.source == source))).scalar()
    if first is None:
        return None
    archived = R.archived_at.is_not(None), R.state.in_(sorted(lifecycle.ARCHIVED)), R.priority < PRIORITY_BACKFILL
    query = sa.select(R.archived_at, C.ended_at).select_from(JOINED)
    query = query.where(C.source == source, C.ended_at >= max(first, now - reports.RECENT), C.ended_at <= now, *archived)
    rows = (await conn.execute(query.order_by(C.ended_at.desc()).limit(reports.SAMPLE))).all()
    return reports.percentile((max(0.0, (row.archived_at - row.ended_at).total_seconds()) for row in rows), 99)


# -- anything that can happen


async def lists_something(world, random):
    ended = world.clock.now + timedelta(minutes=random.randint(-5_000, 5), microseconds=random.randrange(1_000_000))
    name, facts = (
        f"r{random.randrange(12)}",
        {"renditions": ("media", "chat")[: random.randint(1, 2)], "size": random.choice([1, 2])},
    )
    status = random.choice(["completed"] * 4 + ["processing", "failed", "deleted"])
    item = processing(name, **{**facts, "size": None}) if status == "processing" else a_listing(name, ended_at=ended, **facts)
    if status in ("failed", "deleted"):
        item = a_listing(name, ended_at=random.choice([ended, None]), status=ProviderStatus(status), status_raw=status, **facts)
    priority = random.choice([PRIORITY_LIVE, PRIORITY_LIVE, PRIORITY_BACKFILL])
    await world.me.add_page(random.choice(NAMES), KIND, [item], priority=priority)


async def archives_some(world, random):
    for entry in await world.me.claim(random.randint(1, 4), sources=NAMES):
        key = f"{entry.source}/{entry.recording_id}/{entry.rendition}/{entry.revision}"
        await world.me.save([random.choice([stored(entry, key=key), stored(entry, key=key), failed_once(entry)])])


async def verifies_some(world, random):
    entries = await world.me.claim_stored(random.randint(1, 4), sources=NAMES)
    await world.me.save(
        [Outcome(entry=entry, event=random.choice([Event.VERIFIED, Event.DAMAGED]), reason="x") for entry in entries]
    )


async def polls(world, random):
    await world.me.finish_pass(random.choice(NAMES), KIND, [a_pass(started_at=world.clock.now)], watermark=world.clock.now)


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_history_status_says_what_a_look_at_every_row_would(world, monkeypatch, seed):
    monkeypatch.setattr(reports, "SAMPLE", 4)
    random = Random(seed)
    deeds = [lists_something] * 4 + [archives_some] * 3 + [verifies_some, polls]
    for _ in range(60):
        await random.choice(deeds)(world, random)
        world.clock.advance(minutes=random.randint(0, 90))
        async with world.you.database.read() as conn:
            now = world.clock.now
            wrong = sa.select(R.id).select_from(JOINED).where(R.ended_at.is_distinct_from(C.ended_at))
            assert (await conn.execute(wrong)).all() == []
            assert await reports.oldest_unarchived(conn, now) == await counted_oldest(conn, now)
            for name in NAMES:
                assert await reports.lateness_p99(conn, name, now) == await counted_lateness(conn, name, now)


async def test_an_end_that_changes_while_bytes_are_under_way_is_kept_and_the_claim_stays_good(world):
    (entry,) = await world.claimed("r1")
    later = world.clock.now - timedelta(minutes=1)
    await world.lists(a_listing("r1", ended_at=later))
    assert (await world.row("r1")).ended_at == later
    assert await world.me.save([stored(entry)]) == []
    assert await broken(world) == []


async def test_check_names_an_end_that_is_wrong_and_upgrade_makes_it_anew(world):
    await world.lists(a_listing("r1"), processing("r2"), a_listing("r3"))
    change = sa.update(renditions).where(R.id == (await world.row("r1")).id)
    await world.me.database.write(lambda tx: tx.execute(change.values(ended_at=None)))
    assert await broken(world) == [("I25 ended", "rooms/r1/media")]
    await world.me.database.write(lambda tx: tallies.recount(tx.conn))
    assert await broken(world) == []
    assert (await world.row("r1")).ended_at == a_listing("r1").ended_at


async def test_ends_made_anew_beside_work_are_right_and_nobody_waits_for_ever(world):
    await world.lists(*(a_listing(f"r{n}") for n in range(30)))

    async def work():
        for n in range(30):
            await world.me.add_page(SOURCE, KIND, [a_listing(f"r{n}", ended_at=world.clock.now - timedelta(seconds=n))])
            await world.me.save([stored(entry) for entry in await world.me.claim(2, sources=[SOURCE])])

    async def anew():
        for _ in range(5):
            await world.you.database.write(lambda tx: tx.execute(sa.update(renditions).values(ended_at=None)))
            await world.you.database.write(lambda tx: tallies.recount(tx.conn))

    await asyncio.gather(work(), anew())
    await world.you.database.write(lambda tx: tallies.recount(tx.conn))
    assert await broken(world) == []
