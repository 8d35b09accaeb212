"""Every step of the lifecycle's table, done by the catalog: state, revision and ledger line together; and no other step (I21)."""

import itertools

import pytest
import sqlalchemy as sa

from archiver.catalog.operator import RETRIABLE, retry, retry_all_failed
from archiver.catalog.tables import ledger
from archiver.domain import lifecycle
from archiver.domain.errors import UsageError
from archiver.domain.lifecycle import TRANSITIONS, Event, ImpossibleStep
from archiver.domain.recording import State
from archiver.domain.work import Outcome
from tests.catalog.world import KIND, NOON, SOURCE, a_listing

_numbers = itertools.count()
in_module_loop = pytest.mark.asyncio(loop_scope="module")
STEPS = [(event, before, after) for event, steps in TRANSITIONS.items() for before, after in steps.items()]


@in_module_loop
@pytest.mark.parametrize(("event", "before", "after"), STEPS)
async def test_an_outcome_takes_each_step_of_the_table_with_one_ledger_line(shared_world, event, before, after):
    world, name = shared_world, f"r{next(_numbers)}"
    entry = await world.put(name, before)
    assert await world.me.save([Outcome(entry=entry, event=event, reason="because")]) == []
    row = await world.row(name)
    assert (row.state, row.revision) == (after, entry.revision + 1)
    _, line = await world.history(name)
    assert (line.event, line.from_state, line.to_state, line.reason) == (event, before, after, "because")
    assert (line.rendition, line.actor, line.at) == ("media", "me", NOON)


async def test_no_outcome_takes_a_step_that_the_table_does_not_have(world):
    possible = {(event, before) for event, before, _ in STEPS}
    for state in State:
        entry = await world.put(f"r-{state}", state)
        lines = await world.count(ledger)
        for event in Event:
            if (event, state) not in possible:
                with pytest.raises(ImpossibleStep):
                    await world.me.save([Outcome(entry=entry, event=event)])
        assert (await world.row(f"r-{state}")).revision == entry.revision
        assert await world.count(ledger) == lines


@in_module_loop
@pytest.mark.parametrize("state", State)
async def test_the_same_listing_again_takes_no_step_except_out_of_waiting_lost_and_external(shared_world, state):
    world, name = shared_world, f"r{next(_numbers)}"
    await world.put(name, state)
    await world.lists(a_listing(name, room_name="changed"))
    event = lifecycle.on_listing(state, a_listing().status, external=False, changed=False)
    after = lifecycle.advance(state, event) if event else state
    assert await world.state(name) is after
    assert await world.events(name) == ["discovered", *([event] if event else [])]
    assert bool(event) == (state in (State.WAITING, State.LOST, State.EXTERNAL))


@in_module_loop
@pytest.mark.parametrize("state", State)
async def test_other_content_makes_archived_ones_due_and_unavailable_ones_too(shared_world, state):
    world, name = shared_world, f"r{next(_numbers)}"
    await world.put(name, state)
    await world.lists(a_listing(name, size=4711))
    changed = state in (State.STORED, State.VERIFIED, State.DAMAGED, State.UNAVAILABLE, State.LOST, State.EXTERNAL, State.WAITING)
    assert await world.state(name) is (State.DUE if changed else state)


@in_module_loop
@pytest.mark.parametrize("state", State)
async def test_gone_at_the_provider_loses_what_was_not_archived_and_leaves_the_rest(shared_world, state):
    world, name = shared_world, f"r{next(_numbers)}"
    await world.put(name, state)
    assert await world.me.record_gone(SOURCE, name, looks=2)
    lost = state in (State.WAITING, State.DUE, State.FAILED)
    assert await world.state(name) is (State.LOST if lost else state)
    assert (await world.recording(name)).status == "deleted"
    kept = state in (State.STORED, State.VERIFIED, State.DAMAGED, State.EXPIRING)
    assert await world.events(name) == ["discovered", *(["lost"] if lost else ["provider_deleted"] if kept else [])]


@in_module_loop
@pytest.mark.parametrize("state", State)
async def test_an_operator_can_retry_what_failed_is_unavailable_or_lost_and_nothing_else(shared_world, state):
    world, name = shared_world, f"r{next(_numbers)}"
    entry = await world.put(name, state, attempts=8, error="used up", error_kind="MediaIncomplete", priority=2)
    if state not in RETRIABLE:
        with pytest.raises(UsageError, match=f"media is {state}"):
            await world.me.database.write(lambda tx: retry(tx, "somebody", [name]))
        assert (await world.row(name)).revision == entry.revision
        return
    assert await world.me.database.write(lambda tx: retry(tx, "somebody", [f"{SOURCE}/{name}", name])) == 1
    row = await world.row(name)
    assert (row.state, row.attempts, row.priority, row.due_at) == ("due", 0, 0, NOON)
    assert (row.error, row.error_kind) == ("", "")
    line = (await world.history(name))[-1]
    assert (line.event, line.actor, line.from_state) == ("retried", "somebody", state)


async def test_retrying_several_of_which_one_cannot_be_retried_changes_nothing(world):
    await world.put("bad", State.FAILED)
    await world.put("fine", State.VERIFIED)
    for ids in (["bad", "fine"], ["bad", "unknown"], []):
        if ids:
            with pytest.raises(UsageError):
                await world.me.database.write(lambda tx, ids=ids: retry(tx, "somebody", ids))
        assert await world.state("bad") is State.FAILED


async def test_retrying_an_id_that_two_sources_have_asks_which(world):
    await world.put("r1", State.FAILED)
    await world.put("r1", State.FAILED, source="calls")
    with pytest.raises(UsageError, match="calls/r1, rooms/r1"):
        await world.me.database.write(lambda tx: retry(tx, "somebody", ["r1"]))
    assert await world.me.database.write(lambda tx: retry(tx, "somebody", ["calls/r1"])) == 1


async def test_retrying_all_failed_leaves_lost_and_unavailable_ones_alone(world):
    for state in State:
        await world.put(f"r-{state}", state)
    await world.put("another", State.FAILED)
    assert await world.me.database.write(lambda tx: retry_all_failed(tx, "somebody")) == 2
    assert await world.me.database.write(lambda tx: retry_all_failed(tx, "somebody")) == 0
    assert await world.state("r-lost") is State.LOST


async def test_one_rendition_of_two_is_retried_when_only_one_failed(world):
    await world.lists(a_listing("c1", renditions=("mp3", "wav")))
    entries = {entry.rendition: entry for entry in await world.me.claim(5, sources=[SOURCE])}
    await world.me.save([Outcome(entry=entries["wav"], event=Event.FAILED, reason="x")])
    assert await world.me.database.write(lambda tx: retry(tx, "somebody", ["c1"])) == 1
    assert (await world.row("c1", rendition="mp3")).state == "transferring"


async def test_the_ledger_tells_the_whole_way_of_every_rendition_without_a_gap(world):
    await world.verified("r1")
    await world.lists(a_listing("r1", size=5))
    await world.me.add_page(SOURCE, KIND, [a_listing("r2")])
    await world.me.record_gone(SOURCE, "r2", looks=2)
    for name in ("r1", "r2"):
        lines = await world.history(name)
        assert [line.from_state for line in lines[1:]] == [line.to_state for line in lines[:-1]]
        assert lines[-1].to_state == await world.state(name)
    rows = await world.rows(sa.select(ledger).where(ledger.c.recording_id == ""))
    assert rows == []
