"""Workers come, die and leave; leases with a name are held by one of them."""

import asyncio
import os

import pytest
import sqlalchemy as sa

from archiver.catalog import leases
from archiver.catalog.tables import workers
from tests.catalog.world import SOURCE, a_listing, stored


async def test_a_killed_workers_claims_come_back_when_the_next_one_of_its_host_enters(world):
    dead = await world.another("dead", born=leases.born(os.getpid()) + 1)
    await dead.enter()
    assert await dead.acquire("poll:rooms", seconds=60)
    await world.lists(a_listing())
    (entry,) = await dead.claim(1, sources=[SOURCE])
    assert await world.me.enter() == 1
    assert await world.me.acquire("poll:rooms", seconds=60)
    assert len(await world.me.claim(1, sources=[SOURCE])) == 1
    assert (await world.history())[-2].reason == "its worker died"
    assert await dead.save([stored(entry)]) != []


@pytest.mark.parametrize(
    "other",
    [{}, {"host": "elsewhere", "pid": 2**22 + 1, "born": 1}],
    ids=["lives", "on another host"],
)
async def test_a_worker_that_may_live_keeps_its_claims(world, other):
    catalog = await world.another("other", **other)
    await catalog.enter()
    await world.lists(a_listing())
    (entry,) = await catalog.claim(1, sources=[SOURCE])
    assert await world.me.enter() == 0
    assert await catalog.save([stored(entry)]) == []


async def test_entering_twice_is_entering_once_and_leaving_takes_the_leases_along(world):
    await world.me.enter()
    await world.me.enter()
    assert [row.worker for row in await world.rows(sa.select(workers))] == ["me"]
    assert await world.me.acquire("seal", seconds=60)
    await world.me.leave()
    await world.me.leave()
    assert await world.count(workers) == 0
    assert await world.you.acquire("seal", seconds=60)


async def test_a_worker_silent_for_a_day_is_forgotten_and_one_whose_heart_beats_is_not(world):
    silent = await world.another("silent", host="elsewhere")
    await silent.enter()
    await world.you.enter()
    world.clock.advance(hours=25)
    await world.you.heartbeat()
    await world.me.enter()
    assert {row.worker for row in await world.rows(sa.select(workers))} == {"me", "you"}


def test_this_process_is_known_by_its_birth():
    me = leases.this_worker("sync", "here", "0123456789abcdef")
    assert me.name == f"sync@here:{os.getpid()}:01234567"
    assert me.born == leases.born(os.getpid()) > 0
    assert leases.born(2**22 + 1) == 0


# -- named leases


async def test_a_lease_is_held_by_one_worker_until_it_runs_out_or_is_surrendered(world):
    assert await world.me.acquire("poll:rooms", seconds=60)
    assert not await world.you.acquire("poll:rooms", seconds=60)
    assert await world.you.acquire("poll:calls", seconds=60)
    world.clock.advance(seconds=59)
    assert await world.me.acquire("poll:rooms", seconds=60)  # renewed
    world.clock.advance(seconds=59)
    assert not await world.you.acquire("poll:rooms", seconds=60)
    await world.you.surrender("poll:rooms")  # not theirs to give
    assert not await world.you.acquire("poll:rooms", seconds=60)
    await world.me.surrender("poll:rooms")
    assert await world.you.acquire("poll:rooms", seconds=60)
    world.clock.advance(seconds=61)
    assert await world.me.acquire("poll:rooms", seconds=60)


async def test_of_eight_who_want_a_lease_one_gets_it(world):
    wanted = [catalog.acquire("seal", seconds=60) for catalog in [world.me, world.you]]
    others = [await world.another(f"w{n}") for n in range(6)]
    got = await asyncio.gather(*wanted, *(catalog.acquire("seal", seconds=60) for catalog in others))
    assert sum(got) == 1
