"""No room is missed: whatever brought a recording that names it, it is due until somebody has asked for it."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from random import Random

import pytest
import sqlalchemy as sa

from archiver.catalog import consistency, recordings, sources, tallies
from archiver.catalog import tables as t
from archiver.catalog.database import sqlite_path
from archiver.catalog.listed_before import Prints
from archiver.domain.recording import Room
from archiver.domain.work import PRIORITY_BACKFILL, PRIORITY_LIVE
from tests.catalog.world import KIND, NOON, SOURCE, World, a_listing, processing


async def due(world, source=SOURCE):
    return set(await world.me.rooms_missing(source, limit=1_000))


async def broken(world):
    async with world.me.database.read() as conn:
        found = await consistency.check(conn, world.clock.now, revision="")
    return [(item["law"], item["thing"]) for item in found["problems"] if item["law"] == "room"]


def named(room_id, name="Board"):
    return {room_id: Room(room_id=room_id, name=name, raw={"id": room_id})}


async def test_what_a_backfill_brings_from_years_ago_names_rooms_like_anything_else(world):
    await world.lists(a_listing("r1", room_id="a"))
    await world.me.save_rooms(SOURCE, named("a"))
    world.clock.advance(days=400)
    old = a_listing("r0", room_id="b", ended_at=NOON - timedelta(days=900))
    await world.me.add_page(SOURCE, KIND, [old], priority=PRIORITY_BACKFILL)
    assert await due(world) == {"b"}


async def test_a_room_that_comes_late_or_changes_is_due_and_one_that_is_known_gives_its_name_at_once(world):
    await world.lists(processing("r1"), a_listing("r2", room_id="a"), a_listing("r3", room_id="a"))
    await world.me.save_rooms(SOURCE, named("a"))
    assert await due(world) == set()
    await world.lists(processing("r1", room_id="b"), a_listing("r2", room_id="c"))
    assert await due(world) == {"b", "c"}
    await world.me.save_rooms(SOURCE, {**named("b", "Kitchen"), "c": None})
    await world.lists(a_listing("r1", room_id="a"), a_listing("r3", room_id="b"))
    assert await due(world) == set()
    assert [(await world.recording(name)).room_name for name in ("r1", "r2", "r3")] == ["Board", "", "Kitchen"]


async def test_sources_have_rooms_of_their_own(world):
    await world.lists(a_listing("r1", room_id="a"))
    await world.lists(a_listing("r1", room_id="a"), source="video")
    await world.me.save_rooms(SOURCE, named("a"))
    assert (await due(world), await due(world, "video")) == (set(), {"a"})


async def test_a_restored_backup_goes_on_where_it_was_made(lite, tmp_path):
    await lite.lists(a_listing("r1", room_id="a"), a_listing("r2", room_id="b"))
    await lite.me.save_rooms(SOURCE, named("a"))
    with closing(sqlite3.connect(sqlite_path(lite.url))) as now, closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        now.backup(backup)
    await lite.lists(a_listing("r3", room_id="c"))
    await lite.me.save_rooms(SOURCE, {**named("b"), **named("c")})
    async with World.at(f"sqlite:///{tmp_path}/backup.db") as restored:
        assert await due(restored) == {"b"}
        await restored.lists(a_listing("r3", room_id="c"), a_listing("r4", room_id="a"))
        assert await due(restored) == {"b", "c"}
        assert await broken(restored) == []


async def test_check_names_a_room_that_nobody_will_ask_for_and_upgrade_makes_it_due(world):
    await world.lists(a_listing("r1", room_id="a"), a_listing("r2", room_id="a"), a_listing("r3", room_id="b"), a_listing("r4"))
    await world.me.save_rooms(SOURCE, named("b"))
    await world.me.database.write(lambda tx: tx.execute(sa.delete(t.rooms_due)))
    assert sorted(await broken(world)) == [("room", "rooms/r1/a"), ("room", "rooms/r2/a")]
    for _ in range(2):
        await world.me.database.write(lambda tx: tallies.recount(tx.conn))
        assert await due(world) == {"a"}
    assert await broken(world) == []


async def test_a_recording_that_is_listed_while_its_room_is_answered_gets_the_name_too(pg):
    await pg.lists(a_listing("r1", room_id="a"))
    answers = []

    async def unit(tx):
        item = a_listing("r2", room_id="a")
        await recordings.add_page(tx, "you", SOURCE, KIND, [item], PRIORITY_LIVE, Prints([item]))
        answers.append(asyncio.ensure_future(pg.me.save_rooms(SOURCE, named("a"))))
        while not (await tx.conn.execute(sa.text("SELECT 1 FROM pg_locks WHERE NOT granted"))).all():
            pass  # until the answer waits for us

    await pg.you.database.write(unit)
    await asyncio.gather(*answers)
    assert [(await pg.recording(name)).room_name for name in ("r1", "r2")] == ["Board", "Board"]
    assert await due(pg) == set()


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_history_exactly_what_is_named_and_not_answered_is_due(world, seed):
    random, wanted, asked, rooms = Random(seed), set(), {}, {}
    for _ in range(60):
        world.clock.advance(minutes=random.choice([5, 60, 600]))
        if random.random() < 0.4 and wanted:
            answered = random.sample(sorted(wanted), random.randint(1, len(wanted)))
            await world.me.save_rooms(SOURCE, {name: named(name)[name] if random.random() < 0.7 else None for name in answered})
            asked |= dict.fromkeys(answered, world.clock.now)
            wanted -= set(answered)
        else:
            page = {f"r{random.randrange(15)}": random.choice(["", "a", "b", "c", "d"]) for _ in range(3)}
            made = random.choice([a_listing, processing])
            await world.lists(*(made(name, room_id=room) for name, room in page.items()))
            new = {room for name, room in page.items() if room and rooms.get(name) != room}
            wanted |= {room for room in new if room not in asked or asked[room] <= world.clock.now - sources.ROOM_AGE}
            rooms |= page
        assert await due(world) == wanted
    assert await broken(world) == []
