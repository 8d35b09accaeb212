"""Recordings that vanish at the provider: two looks, and nothing is ever forgotten."""

import asyncio
from datetime import timedelta

from archiver.catalog.tables import recordings
from archiver.domain.recording import State
from tests.catalog.world import NOON, SOURCE, a_listing, processing, stored


async def test_one_look_is_counted_and_changes_no_state(world):
    await world.lists(a_listing())
    assert not await world.me.record_gone(SOURCE, "r1", looks=1)
    row = await world.recording()
    assert (row.gone_looks, row.gone_at, row.status) == (1, NOON, "completed")
    assert await world.events() == ["discovered"]
    (known,) = await world.me.ended_between(SOURCE, NOON - timedelta(days=1), NOON)
    assert (known.gone_looks, known.gone_at) == (1, NOON)


async def test_the_second_look_makes_it_lost_and_a_third_changes_nothing_more(world):
    await world.lists(a_listing())
    await world.me.record_gone(SOURCE, "r1", looks=1)
    world.clock.advance(minutes=5)
    assert await world.me.record_gone(SOURCE, "r1", looks=1)
    assert not await world.me.record_gone(SOURCE, "r1", looks=1)
    row = await world.row()
    assert (row.state, row.error) == ("lost", "the provider deleted it before it was archived")
    assert (await world.recording()).gone_at == NOON
    assert await world.events() == ["discovered", "lost"]


async def test_two_looks_that_are_not_in_a_row_are_one_each(world):
    await world.lists(a_listing())
    await world.me.record_gone(SOURCE, "r1", looks=1)
    await world.lists(a_listing())
    assert not await world.me.record_gone(SOURCE, "r1", looks=1)
    assert await world.state() is State.DUE


async def test_a_recording_that_never_ended_is_lost_too(world):
    await world.lists(processing())
    assert await world.me.record_gone(SOURCE, "r1", looks=2)
    assert await world.state() is State.LOST


async def test_every_rendition_of_it_is_lost_or_kept_by_itself(world):
    await world.lists(a_listing("c1", renditions=("mp3", "wav")))
    entries = {entry.rendition: entry for entry in await world.me.claim(5, sources=[SOURCE])}
    await world.me.save([stored(entries["mp3"])])
    await world.me.hand_back()
    assert await world.me.record_gone(SOURCE, "c1", looks=2)
    assert (await world.row("c1", rendition="mp3")).state == "stored"
    assert (await world.row("c1", rendition="wav")).state == "lost"


async def test_a_transfer_under_way_is_left_to_find_out_by_itself(world):
    (entry,) = await world.claimed()
    assert await world.me.record_gone(SOURCE, "r1", looks=2)
    assert await world.me.save([stored(entry)]) == []
    assert await world.state() is State.STORED


async def test_what_nobody_listed_is_not_there_to_be_gone(world):
    assert not await world.me.record_gone(SOURCE, "unknown", looks=2)
    assert await world.count(recordings) == 0


async def test_two_who_see_it_gone_at_once_write_it_down_once(world):
    await world.lists(a_listing())
    said = await asyncio.gather(*(who.record_gone(SOURCE, "r1", looks=2) for who in (world.me, world.you) * 3))
    assert sum(map(bool, said)) == 1
    assert await world.events() == ["discovered", "lost"]


async def test_a_claim_and_a_loss_at_the_same_moment_leave_one_state_and_its_whole_history(world):
    names = [f"r{n}" for n in range(20)]
    await world.lists(*(a_listing(name) for name in names))

    async def lose():
        for name in names:
            await world.me.record_gone(SOURCE, name, looks=2)

    async def take():
        for _ in names:
            await world.you.claim(1, sources=[SOURCE])

    await asyncio.gather(lose(), take())
    for name in names:
        lines = await world.history(name)
        assert lines[-1].to_state == await world.state(name)
        assert [line.from_state for line in lines[1:]] == [line.to_state for line in lines[:-1]]
