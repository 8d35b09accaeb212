"""How many there are in which state is known without counting, and never wrong."""

import asyncio
import contextlib
from collections import Counter

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.catalog import consistency, reports, tallies
from archiver.catalog.history import Change
from archiver.catalog.tables import renditions
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.work import Outcome
from tests.catalog.world import SOURCE, a_listing, failed_once, processing, stored


async def agreed(world):
    """What is kept, which has to be what there is."""
    async with world.me.database.read() as conn:
        assert await tallies.disagreeing(conn) == []
        return {state: n for state, n in (await reports.state_counts(conn)).get(SOURCE, {}).items() if n}


async def test_every_step_of_a_recording_moves_one_from_state_to_state(world):
    await world.lists(a_listing("r1"), a_listing("r2"), processing("r3"))
    assert await agreed(world) == {"waiting": 1, "due": 2}
    first, second = await world.me.claim(2, sources=[SOURCE])
    assert await agreed(world) == {"waiting": 1, "transferring": 2}
    await world.me.save([stored(first), failed_once(second)])
    assert await agreed(world) == {"waiting": 1, "due": 1, "stored": 1}
    (entry,) = await world.me.claim_stored(5, sources=[SOURCE])
    await world.me.save([Outcome(entry=entry, event=Event.VERIFIED)])
    await world.lists(a_listing("r3"))
    assert await agreed(world) == {"due": 2, "verified": 1}


async def test_an_outcome_that_comes_too_late_moves_nothing(world):
    (entry,) = await world.claimed("r1")
    world.clock.advance(seconds=60)
    await world.you.claim(1, sources=[SOURCE])
    assert await world.me.save([stored(entry)]) != []
    assert await agreed(world) == {"transferring": 1}


async def test_what_is_rolled_back_moves_nothing(world):
    await world.lists(a_listing("r1"))

    async def unit(tx):
        await tx.execute(sa.update(renditions).values(state="failed"))
        tx.moves[SOURCE, "failed"] += 1
        raise RuntimeError("and here it ends")

    with contextlib.suppress(RuntimeError):
        await world.me.database.write(unit)
    assert await agreed(world) == {"due": 1}


async def test_workers_that_claim_and_save_at_once_lose_no_count(world):
    ids = [f"r{n}" for n in range(40)]
    await world.lists(*map(a_listing, ids))

    async def share(catalog):
        while entries := await catalog.claim(3, sources=[SOURCE]):
            await catalog.save([stored(entry) for entry in entries])

    await asyncio.gather(share(world.me), share(world.you))
    assert await agreed(world) == {"stored": 40}


async def test_check_names_a_count_that_is_wrong_and_upgrade_counts_anew(world):
    await world.lists(a_listing("r1"))
    await world.me.database.write(lambda tx: tx.execute(sa.update(tallies.tallies).values(n=7)))

    async def problems():
        async with world.me.database.read() as conn:
            found = await consistency.check(conn, world.clock.now, revision="")
        return [(item["law"], item["thing"]) for item in found["problems"]]

    assert await problems() == [("I25 counts", "rooms due")]
    await world.me.database.write(lambda tx: tallies.recount(tx.conn))
    assert await problems() == []
    assert await agreed(world) == {"due": 1}


async def test_a_count_taken_anew_beside_work_misses_and_doubles_nothing(world):
    await world.lists(*(a_listing(f"r{n}") for n in range(30)))

    async def work():
        while entries := await world.me.claim(2, sources=[SOURCE]):
            await world.me.save([stored(entry) for entry in entries])

    async def count():
        for _ in range(5):
            await world.you.database.write(lambda tx: tallies.recount(tx.conn))

    await asyncio.gather(work(), count())
    assert await agreed(world) == {"stored": 30}


STATES = st.sampled_from(["", *(state.value for state in State)])


@settings(max_examples=50)
@given(st.lists(st.tuples(STATES, STATES, st.sampled_from(["media", ""])), max_size=30))
def test_lines_add_up_to_what_came_less_what_went(steps):
    moves = Counter()
    tallies.note(
        moves, [Change(event="x", source="s", rendition=name, from_state=before, to_state=after) for before, after, name in steps]
    )
    real = [(before, after) for before, after, name in steps if name and after]
    for state in State:
        came = sum(after == state for _before, after in real)
        went = sum(before == state for before, _after in real)
        assert moves["s", state.value] == came - went
