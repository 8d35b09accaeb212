"""The catalog as a queue: claims are exclusive, leases end, fences hold (I16, I17, F18, F19)."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog import work
from archiver.catalog.tables import ledger, renditions
from archiver.domain.errors import CatalogUnavailable, StaleEntry
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.work import LEASE, PRIORITY_BACKFILL, PRIORITY_RETRY, Outcome
from tests.catalog.world import KIND, NOON, SOURCE, World, a_listing, failed_once, processing, stored

A_LEASE = LEASE.total_seconds()


# -- claims


async def test_eight_claimers_of_two_workers_never_get_the_same_entry(world):
    await world.lists(*(a_listing(f"r{n}") for n in range(200)))
    got: list[tuple[str, int]] = []

    async def claimer(catalog):
        while len(got) < 200:
            got.extend((catalog.worker.name, entry.id) for entry in await catalog.claim(7, sources=[SOURCE]))

    await asyncio.gather(*(claimer(catalog) for catalog in (world.me, world.you) * 4))
    assert len({pk for _, pk in got}) == len(got) == 200
    claims = await world.rows(sa.select(ledger.c.recording_id, ledger.c.actor).where(ledger.c.event == "claimed"))
    assert len({line.recording_id for line in claims}) == len(claims) == 200
    held = await world.rows(sa.select(renditions.c.id, renditions.c.worker))
    assert {(row.worker, row.id) for row in held} == set(got)


async def test_a_claim_is_transferring_one_revision_on_with_a_lease_and_a_ledger_line(world):
    await world.lists(a_listing())
    before = await world.entry()
    (entry,) = await world.me.claim(5, sources=[SOURCE])
    assert (entry.state, entry.revision) == (State.TRANSFERRING, before.revision + 1)
    row = await world.row()
    assert (row.state, row.worker, row.lease_until, row.revision) == ("transferring", "me", NOON + LEASE, entry.revision)
    line = (await world.history())[-1]
    assert (line.event, line.actor, line.from_state, line.to_state) == ("claimed", "me", "due", "transferring")


async def test_a_claim_takes_no_more_than_it_was_asked_for_and_only_of_the_sources_named(world):
    await world.lists(*(a_listing(f"r{n}") for n in range(5)))
    await world.lists(a_listing("c1"), source="calls")
    assert len(await world.me.claim(3, sources=[SOURCE])) == 3
    assert [entry.source for entry in await world.me.claim(9, sources=["calls"])] == ["calls"]
    assert await world.me.claim(9, sources=[]) == []
    assert await world.me.claim(0, sources=[SOURCE]) == []


async def test_what_is_not_due_yet_is_not_claimed(world):
    (entry,) = await world.claimed()
    await world.me.save([failed_once(entry, delay=timedelta(seconds=30))])
    assert await world.me.claim(1, sources=[SOURCE]) == []
    world.clock.advance(seconds=30)
    assert len(await world.me.claim(1, sources=[SOURCE])) == 1


async def test_live_work_comes_before_retries_and_those_before_backfill(world):
    (entry,) = await world.claimed("retried")
    await world.me.add_page(SOURCE, KIND, [a_listing("old")], priority=PRIORITY_BACKFILL)
    world.clock.advance(seconds=1)
    await world.me.save([failed_once(entry)])
    world.clock.advance(seconds=1)
    await world.lists(a_listing("live"))
    assert (await world.row("retried")).priority == PRIORITY_RETRY
    order = [(await world.me.claim(1, sources=[SOURCE]))[0].recording_id for _ in range(3)]
    assert order == ["live", "retried", "old"]


async def test_within_a_priority_what_is_due_longest_comes_first(world):
    for name in ("first", "second", "third"):
        await world.lists(a_listing(name))
        world.clock.advance(seconds=1)
    assert [entry.recording_id for entry in await world.me.claim(2, sources=[SOURCE])] == ["first", "second"]


async def test_sources_take_turns_however_long_the_queue_of_one_of_them_is(world):
    await world.lists(*(a_listing(f"a{n}") for n in range(100)), source="aaa")
    await world.lists(*(a_listing(f"z{n}") for n in range(10)), source="zzz")
    entries = await world.me.claim(20, sources=["aaa", "zzz"])
    assert [sum(entry.source == name for entry in entries) for name in ("aaa", "zzz")] == [10, 10]


async def test_a_source_with_little_to_do_leaves_its_share_to_the_others(world):
    await world.lists(*(a_listing(f"a{n}") for n in range(100)), source="aaa")
    await world.lists(a_listing("z1"), source="zzz")
    entries = await world.me.claim(20, sources=["aaa", "zzz", "mmm"])
    assert [sum(entry.source == name for entry in entries) for name in ("aaa", "zzz")] == [19, 1]


async def test_claims_of_one_take_turns_too(world):
    for name in ("aaa", "mmm", "zzz"):
        await world.lists(*(a_listing(f"{name}{n}") for n in range(4)), source=name)
    claimed = [(await world.me.claim(1, sources=["aaa", "mmm", "zzz"]))[0].source for _ in range(6)]
    assert sorted(claimed) == ["aaa", "aaa", "mmm", "mmm", "zzz", "zzz"]


# -- leases on claims


async def test_a_claim_whose_lease_is_over_is_taken_over_and_its_zombie_is_refused(world):
    (mine,) = await world.claimed()
    assert await world.you.claim(1, sources=[SOURCE]) == []
    world.clock.advance(seconds=A_LEASE + 1)
    (yours,) = await world.you.claim(1, sources=[SOURCE])
    assert yours.revision > mine.revision
    late = stored(mine)
    assert await world.me.save([late]) == [late]
    with pytest.raises(StaleEntry, match="another worker has it"):
        await world.me.note_upload(mine, facts={"upload_id": "u"})
    assert await world.me.hand_back() == 0
    row = await world.row()
    assert (row.state, row.worker, row.key) == ("transferring", "you", "")
    assert await world.you.save([stored(yours)]) == []
    assert await world.events() == ["discovered", "claimed", "claimed", "stored"]


async def test_a_zombies_heartbeat_does_not_renew_what_another_worker_has_taken(world):
    await world.claimed()
    world.clock.advance(seconds=A_LEASE + 1)
    await world.you.claim(1, sources=[SOURCE])
    world.clock.advance(seconds=10)
    await world.me.heartbeat()
    assert (await world.row()).lease_until == NOON + timedelta(seconds=A_LEASE + 1) + LEASE


async def test_a_heartbeat_keeps_a_claim_for_as_long_as_it_goes_on(world):
    (entry,) = await world.claimed()
    for _ in range(10):
        world.clock.advance(seconds=30)
        await world.me.heartbeat()
        assert await world.you.claim(1, sources=[SOURCE]) == []
    assert await world.me.save([stored(entry)]) == []


async def test_a_claim_whose_answer_was_lost_comes_back_although_the_worker_lives(world, monkeypatch):
    await world.lists(a_listing())
    database = world.me.database

    class Forgetful:
        """Commits, and loses the answer."""

        async def write(self, unit):
            await database.write(unit)
            raise ConnectionResetError

    with monkeypatch.context() as patch, pytest.raises(ConnectionResetError):
        patch.setattr(world.me, "database", Forgetful())
        await world.me.claim(1, sources=[SOURCE])
    assert await world.state() is State.TRANSFERRING
    for _ in range(5):
        world.clock.advance(seconds=15)
        await world.me.heartbeat()
    assert len(await world.me.claim(1, sources=[SOURCE])) == 1


async def test_what_a_worker_is_still_at_is_not_given_to_it_again_though_its_own_lease_ran_out(world):
    (entry,) = await world.claimed()
    await world.archived("r2")
    (check,) = await world.me.claim_stored(5, sources=[SOURCE])
    world.clock.advance(seconds=A_LEASE + 1)  # its heartbeats failed, or its loop stood still
    assert await world.me.claim(5, sources=[SOURCE]) == []
    assert await world.me.claim_stored(5, sources=[SOURCE]) == []
    assert await world.me.save([stored(entry), Outcome(entry=check, event=Event.VERIFIED)]) == []


async def test_what_a_worker_gave_up_as_lost_it_may_claim_again(world):
    (entry,) = await world.claimed()
    await world.me.note_upload(entry, facts={"upload_id": "u"})
    with pytest.raises(StaleEntry):
        await world.me.note_upload(entry, facts={"upload_id": "v"})
    world.clock.advance(seconds=A_LEASE + 1)
    assert len(await world.me.claim(1, sources=[SOURCE])) == 1


async def test_the_end_of_an_earlier_claim_does_not_end_the_later_one_of_the_same_worker(world):
    (first,) = await world.claimed()
    for catalog in (world.you, world.me):
        world.clock.advance(seconds=A_LEASE + 1)
        (entry,) = await catalog.claim(1, sources=[SOURCE])
    assert await world.me.save([stored(first)]) == [stored(first)]
    with pytest.raises(StaleEntry):
        await world.me.note_upload(first, facts={"upload_id": "u"})
    for _ in range(3):
        world.clock.advance(seconds=30)
        await world.me.heartbeat()
        assert await world.you.claim(1, sources=[SOURCE]) == []
    assert await world.me.save([stored(entry)]) == []


async def test_what_could_not_be_handed_back_comes_back_when_its_lease_is_over_and_is_not_renewed(world, monkeypatch):
    await world.claimed()

    async def down(_unit):
        raise CatalogUnavailable("refused")

    with monkeypatch.context() as patch, pytest.raises(CatalogUnavailable):
        patch.setattr(world.me.database, "write", down)
        await world.me.hand_back()
    world.clock.advance(seconds=30)
    await world.me.heartbeat()
    world.clock.advance(seconds=30)
    assert len(await world.me.claim(1, sources=[SOURCE])) == 1


async def test_a_verification_longer_than_a_lease_is_not_given_out_again_while_its_worker_lives(world):
    await world.archived()
    (entry,) = await world.me.claim_stored(5, sources=[SOURCE])
    for _ in range(10):
        world.clock.advance(seconds=30)
        await world.me.heartbeat()
        assert await world.you.claim_stored(5, sources=[SOURCE]) == []
    assert await world.me.save([Outcome(entry=entry, event=Event.VERIFIED)]) == []
    assert await world.state() is State.VERIFIED


async def test_a_verification_comes_back_when_its_worker_is_silent_for_a_lease(world):
    await world.archived()
    (mine,) = await world.me.claim_stored(5, sources=[SOURCE])
    assert await world.you.claim_stored(5, sources=[SOURCE]) == []
    world.clock.advance(seconds=A_LEASE + 1)
    (yours,) = await world.you.claim_stored(5, sources=[SOURCE])
    outcome = Outcome(entry=mine, event=Event.VERIFIED)
    assert await world.me.save([outcome]) == [outcome]
    assert await world.you.save([Outcome(entry=yours, event=Event.VERIFIED)]) == []
    assert await world.events() == ["discovered", "claimed", "stored", "verified"]


async def test_eight_verifiers_never_get_the_same_entry(world):
    await world.archived(*(f"r{n}" for n in range(40)))
    claims = [catalog.claim_stored(5, sources=[SOURCE]) for catalog in (world.me, world.you) * 4]
    ids = [entry.id for batch in await asyncio.gather(*claims) for entry in batch]
    assert len(ids) == len(set(ids))


# -- handing back


async def test_hand_back_returns_every_claim_of_this_worker_and_of_no_other(world):
    await world.lists(*(a_listing(f"r{n}") for n in range(4)))
    await world.me.claim(3, sources=[SOURCE])
    (yours,) = await world.you.claim(3, sources=[SOURCE])
    world.clock.advance(seconds=5)
    assert await world.me.hand_back() == 3
    assert await world.me.hand_back() == 0
    assert await world.state(yours.recording_id) is State.TRANSFERRING
    again = await world.you.claim(9, sources=[SOURCE])
    assert len(again) == 3
    assert {entry.attempts for entry in again} == {0}
    (line,) = (line for line in await world.history(again[0].recording_id) if line.event == "released")
    assert (line.from_state, line.to_state, line.reason) == ("transferring", "due", "handed back at shutdown")


async def test_hand_back_gives_verifications_back_too(world):
    await world.archived()
    await world.me.claim_stored(5, sources=[SOURCE])
    await world.me.hand_back()
    assert len(await world.you.claim_stored(5, sources=[SOURCE])) == 1


async def test_a_save_after_handing_back_changes_nothing(world):
    (entry,) = await world.claimed()
    await world.me.hand_back()
    outcome = stored(entry)
    assert await world.me.save([outcome]) == [outcome]
    assert await world.state() is State.DUE


async def test_hand_back_takes_nothing_away_that_another_worker_takes_over_at_that_moment(pg):
    await pg.claimed()
    pg.clock.advance(seconds=A_LEASE + 1)
    taken, let_go = asyncio.Event(), asyncio.Event()

    async def take_over(tx):
        (entry,) = await work.claim(tx, "you", 1, [SOURCE], 0)
        taken.set()
        await let_go.wait()
        return entry

    yours = asyncio.create_task(pg.you.database.write(take_over))
    await asyncio.wait([yours, asyncio.create_task(taken.wait())], return_when=asyncio.FIRST_COMPLETED)
    back = asyncio.create_task(pg.me.hand_back())
    while not await pg.rows(sa.text("SELECT 1 FROM pg_locks WHERE NOT granted")):
        assert not back.done()
    let_go.set()
    entry = await yours
    assert await back == 0
    assert (await pg.row()).worker == "you"
    assert await pg.you.save([stored(entry)]) == []


# -- when to look again


async def test_next_due_says_when_there_is_something_to_do(world):
    due = lambda: world.me.next_due(sources=[SOURCE])  # noqa: E731 -- asked many times below
    assert await due() is None
    await world.lists(processing("waits"))
    assert await due() is None
    await world.lists(a_listing(), a_listing("c"), source="calls")
    assert await due() is None
    await world.lists(a_listing())
    assert await due() == 0
    (entry,) = await world.me.claim(5, sources=[SOURCE])
    assert await due() is None
    await world.me.save([failed_once(entry, delay=timedelta(seconds=90))])
    assert await due() == 90
    world.clock.advance(seconds=100)
    assert await due() == 0
    (entry,) = await world.me.claim(5, sources=[SOURCE])
    await world.me.save([stored(entry)])
    assert await due() == 0
    (entry,) = await world.me.claim_stored(5, sources=[SOURCE])
    assert await due() == A_LEASE
    await world.me.save([Outcome(entry=entry, event=Event.VERIFIED)])
    assert await due() is None


async def test_counts_are_renditions_by_source_and_state(world):
    await world.lists(a_listing("r1", renditions=("mp3", "wav")), processing("r2"))
    await world.lists(a_listing("c1"), source="calls")
    assert await world.me.counts() == {SOURCE: {"due": 2, "waiting": 1}, "calls": {"due": 1}}


async def test_two_processes_that_race_for_rows_of_one_sqlite_file_share_them_without_an_error(lite):
    await lite.lists(*(a_listing(f"r{n}") for n in range(60)))

    async def works(catalog):
        while entries := await catalog.claim(4, sources=[SOURCE]):
            assert await catalog.save([stored(entry) for entry in entries]) == []

    async with contextlib.AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(World.at(lite.url)) for _ in range(3)]
        await asyncio.gather(*(works(it.me) for it in worlds), works(lite.you))
    assert await lite.me.counts() == {SOURCE: {"stored": 60}}
    stored_lines = await lite.rows(sa.select(ledger.c.recording_id).where(ledger.c.event == "stored"))
    assert len(stored_lines) == len(set(stored_lines)) == 60
