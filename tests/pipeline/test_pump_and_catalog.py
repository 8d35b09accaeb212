"""The pump and its catalog: claims, leases, outages, the end of a drain."""

import asyncio

import pytest

from archiver.domain import errors
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from tests.pipeline.fake_provider import media_bytes, recording
from tests.pipeline.stage import staged

DOWN = errors.CatalogUnavailable("the catalog cannot be used now: connection refused")


class Failing:
    """A catalog whose calls fail as `script` says: a function of the call's name that returns an exception or None.

    With `after` the call is done first: its answer is what gets lost. `calls` are the names in order.
    """

    def __init__(self, inner):
        self._inner = inner
        self.script = lambda _name: None
        self.after = False
        self.calls = []

    def __getattr__(self, name):
        found = getattr(self._inner, name)

        async def called(*args, **options):
            self.calls.append(name)
            error = self.script(name)
            if error is not None and not self.after:
                raise error
            answer = await found(*args, **options)
            if error is not None:
                raise error
            return answer

        return called


@pytest.fixture
def flaky(stage):
    stage.catalog = Failing(stage.catalog)
    return stage.catalog


def slow(stage, name, seconds):
    stage.provider.put(recording(name))
    stage.provider.has(name, media_bytes(512, name), chunk=256, wait=seconds / 2)


async def ended(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# -- outages


@pytest.mark.parametrize("after", [False, True], ids=["refused", "answers lost"])
async def test_outcomes_are_saved_through_an_outage_of_ten_minutes_and_nothing_is_fetched_twice(stage, flaky, after):
    stage.provider.archivable("r1", "r2", "r3")
    await stage.poll()
    flaky.after = after
    until = stage.clock.seconds + 600
    flaky.script = lambda name: DOWN if name == "save" and stage.clock.seconds < until else None
    await stage.work()
    assert stage.clock.seconds >= until
    assert set((await stage.states()).values()) == {"verified"}
    assert stage.provider.calls["media r1"] == 1
    assert stage.store.counts["put"] == 3
    assert [event for event in await stage.events() if event == "stored"] == ["stored"]
    assert flaky.calls.count("save") < 600 / 10


async def test_a_catalog_that_is_away_is_asked_every_few_seconds_and_work_goes_on_when_it_is_back(stage, flaky):
    stage.provider.archivable("r1")
    await stage.poll()
    until = stage.clock.seconds + 600
    flaky.calls.clear()
    flaky.script = lambda _name: DOWN if stage.clock.seconds < until else None
    running = asyncio.create_task(stage.pump().run())
    await stage.clock.sleep(620)
    assert flaky.calls.count("claim_stored") < 620
    assert await stage.state() is State.VERIFIED
    await ended(running)


async def test_a_large_upload_that_cannot_be_noted_uses_no_attempt_up(stage, flaky):
    stage.provider.put(recording("r1"))
    stage.provider.has("r1", media_bytes(2500))
    await stage.poll()
    until = stage.clock.seconds + 100
    flaky.script = lambda name: DOWN if name == "note_upload" and stage.clock.seconds < until else None
    await stage.work(stage.pump(max_attempts=2))
    assert await stage.state() is State.VERIFIED
    assert stage.store.begun == {}


@pytest.mark.parametrize("name", ["save", "heartbeat", "claim", "claim_stored", "next_due"])
async def test_a_catalog_that_refuses_ends_the_run_with_its_error_and_never_in_silence(stage, flaky, name):
    stage.provider.archivable("r1")
    slow(stage, "r2", 40)
    await stage.poll()
    refused = errors.CatalogError("the catalog refused: no such column")
    flaky.script = lambda called: refused if called == name else None
    with pytest.raises(errors.CatalogError, match="no such column"):
        async with asyncio.timeout(20):
            await stage.pump().run()
    flaky.script = lambda _name: None
    await stage.catalog.hand_back()


async def test_an_answer_to_a_claim_that_was_lost_costs_a_lease_and_nothing_else(stage, flaky):
    stage.provider.archivable("r1")
    await stage.poll()
    flaky.after = True
    lost = ["claim"]
    flaky.script = lambda name: DOWN if lost and name == lost[0] and lost.pop() else None
    await stage.work(patience=600)
    stage.plain_catalog._held.clear()  # it was lost below, on its way from the database
    running = asyncio.create_task(stage.pump().run())
    await stage.clock.sleep(120)
    assert await stage.state() is State.VERIFIED
    await ended(running)


# -- leases


async def test_a_transfer_of_many_minutes_keeps_its_claim_and_is_given_to_nobody_else(sqlite_url):
    async with (
        staged(sqlite_url, name="me") as me,
        staged(sqlite_url, me.provider, clock=me.clock, store=me.store, name="you") as you,
    ):
        slow(me, "r1", 240)
        await me.poll()
        mine = asyncio.create_task(me.work())
        await me.clock.sleep(1)
        yours = asyncio.create_task(you.pump().run())
        await mine
        await ended(yours)
        assert me.provider.calls["media r1"] == 1
        assert await me.state() is State.VERIFIED


async def test_the_work_of_a_worker_that_fell_silent_is_done_by_another_and_the_silent_ones_outcome_changes_nothing(sqlite_url):
    async with (
        staged(sqlite_url, name="me") as me,
        staged(sqlite_url, me.provider, clock=me.clock, store=me.store, name="you") as you,
    ):
        slow(me, "r1", 300)
        await me.poll()
        me.catalog = Failing(me.catalog)
        me.catalog.script = lambda name: DOWN if name == "heartbeat" else None
        mine = asyncio.create_task(me.work(me.pump(concurrency=1)))
        await me.clock.sleep(60)
        me.provider.files["r1", "media"].wait = 1.0
        await you.work()
        before = await me.events()
        await mine
        assert await me.events() == before
        assert me.outcomes == []
        assert [outcome.event for outcome in you.outcomes] == [Event.STORED, Event.VERIFIED]
        assert len(me.store.objects) == 1
        assert await you.violations() == []


async def test_a_worker_whose_heartbeats_fail_for_minutes_goes_on_with_its_own_transfers_and_begins_none_of_them_again(
    stage, flaky
):
    slow(stage, "r1", 240)
    stage.provider.archivable("r2")
    await stage.poll()
    flaky.script = lambda name: DOWN if name == "heartbeat" else None
    await stage.work(stage.pump(concurrency=4))
    assert (stage.provider.calls["media r1"], stage.store.counts["put"]) == (1, 2)
    assert (await stage.events()).count("claimed") == 1
    assert set((await stage.states()).values()) == {"verified"}


async def test_what_was_claimed_when_the_next_claim_failed_is_worked_on_and_not_forgotten(stage, flaky):
    stage.provider.archivable("r1", "r2")
    (entry, _other) = await stage.claimed()
    await stage.catalog.save([await stage.transfer().archive(entry)])  # stored, and its verification is due
    await stage.catalog.hand_back()
    lost = ["claim"]
    flaky.script = lambda name: DOWN if lost and name == lost[0] and lost.pop() else None
    running = asyncio.create_task(stage.pump().run())
    await stage.clock.sleep(30)
    assert lost == []
    assert set((await stage.states()).values()) == {"verified"}
    await ended(running)


# -- the end


async def test_told_to_stop_it_takes_nothing_new_and_ends_when_what_is_under_way_is_saved(stage):
    for number in range(12):
        slow(stage, f"r{number}", 10)
    await stage.poll()
    stop = asyncio.Event()
    running = asyncio.create_task(stage.pump(concurrency=4).run(stop=stop))
    await stage.clock.sleep(5)
    stop.set()
    await running
    states = sorted((await stage.states()).values())
    assert states == ["due"] * 8 + ["verified"] * 4
    assert stage.clock.seconds < 15
    assert await stage.catalog.hand_back() == 0


async def test_cancelled_it_leaves_its_claims_to_be_handed_back_and_no_task_behind(stage):
    for number in range(6):
        slow(stage, f"r{number}", 100)
    await stage.poll()
    before = asyncio.all_tasks()
    running = asyncio.create_task(stage.pump(concurrency=4).run())
    await stage.clock.sleep(5)
    await ended(running)
    assert asyncio.all_tasks() - before == set()
    assert await stage.catalog.hand_back() == 4
    assert set((await stage.states()).values()) == {"due"}
    assert stage.store.objects == {}
    for number in range(6):
        assert (await stage.row(f"r{number}")).attempts == 0


async def test_stopped_before_it_began_it_claims_nothing(stage):
    stage.provider.archivable("r1")
    await stage.poll()
    stop = asyncio.Event()
    stop.set()
    await stage.pump().run(stop=stop)
    assert await stage.state() is State.DUE


# -- idling


@pytest.mark.parametrize("trouble", [None, errors.CredentialsRefused("401"), errors.StorageRefused("403")])
async def test_an_idle_pump_looks_at_the_queue_every_few_seconds_whatever_is_paused_or_was(stage, flaky, trouble):
    if trouble is not None:
        stage.health.failed("rooms", trouble)
    running = asyncio.create_task(stage.pump().run())
    await stage.clock.sleep(600)
    await ended(running)
    assert 600 / 5 * 0.9 <= flaky.calls.count("next_due") <= 600 / 5 * 1.1


async def test_it_sleeps_until_the_next_retry_is_due_and_wakes_for_the_bell(stage):
    pump = stage.pump()
    running = asyncio.create_task(pump.run())
    await stage.clock.sleep(0.1)
    stage.provider.archivable("r1")
    await stage.poll()
    pump.bell.set()
    await stage.clock.sleep(0.2)
    assert await stage.state() is State.VERIFIED
    await ended(running)


async def test_outcomes_are_saved_in_company(stage, flaky):
    stage.provider.archivable(*(f"r{number}" for number in range(48)))
    await stage.poll()
    await stage.work(stage.pump(concurrency=16))
    assert flaky.calls.count("save") <= 48 * 2 / 4
    assert len(stage.outcomes) == 96


async def test_one_outcome_that_the_catalog_refuses_is_saved_as_a_failure_and_takes_no_other_with_it(stage, flaky):
    stage.provider.archivable("r1", "r2", "r3")
    await stage.poll()
    save = flaky.save

    async def particular(outcomes):
        if any(item.entry.recording_id == "r2" and item.event is Event.STORED for item in outcomes):
            raise errors.CatalogError("the catalog refused: a column too narrow")
        return await save(outcomes)

    flaky.save = particular
    await stage.work(stage.pump(max_attempts=2))
    assert await stage.states() == {"r1": "verified", "r2": "failed", "r3": "verified"}
    assert "a column too narrow" in (await stage.row("r2")).error
    assert (stage.tally.sources["rooms"].stored, stage.tally.sources["rooms"].failed) == (2, 1)
