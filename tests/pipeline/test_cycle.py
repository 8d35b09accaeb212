"""One cycle: everybody is polled once, what is due is worked off, retries are waited for, and then it ends."""

import asyncio
from datetime import timedelta

import pytest

from archiver.domain import errors
from archiver.pipeline import cycle
from archiver.pipeline.cycle import WAITED_FOR, WAITED_IN_ALL, Enough, holding, poll
from archiver.pipeline.health import Health
from tests.pipeline.clock import VirtualClock
from tests.pipeline.fake_provider import FakeProvider, media_bytes, recording
from tests.pipeline.stage import staged


async def sync(stage, *, stop=None, **how):
    await cycle.sync(
        discoveries={name: stage.discovery(name) for name in stage.providers},
        pump=stage.pump(**how),
        catalog=stage.catalog,
        health=stage.health,
        clock=stage.clock,
        tally=stage.tally,
        stop=stop or asyncio.Event(),
    )


@pytest.fixture
async def two(sqlite_url):
    async with staged(sqlite_url, FakeProvider(source="a"), FakeProvider(source="b")) as stage:
        yield stage
        assert await stage.violations() == []


async def test_a_cycle_lists_transfers_and_verifies_every_source_and_ends(two):
    two.providers["a"].archivable("a1", "a2")
    two.providers["b"].archivable("b1")
    await sync(two)
    assert await two.states() == {"a1": "verified", "a2": "verified", "b1": "verified"}
    assert two.clock.seconds < 5
    counted = {name: (t.listed, t.new, t.stored, t.verified, t.failed, t.bytes) for name, t in two.tally.sources.items()}
    assert counted == {"a": (2, 2, 2, 2, 0, 600), "b": (1, 1, 1, 1, 0, 300)}


async def test_a_cycle_with_nothing_new_fetches_and_writes_nothing(two):
    two.providers["a"].archivable("a1")
    await sync(two)
    store_log = list(two.store.log)
    await sync(two)
    assert two.store.log == store_log
    assert two.providers["a"].calls["media a1"] == 1


async def test_a_source_that_cannot_be_listed_is_noted_and_the_others_go_on(two):
    two.providers["a"].errors["pages"] = [errors.CredentialsRefused("401 for a")] * 9
    two.providers["b"].archivable("b1")
    await sync(two)
    assert str(two.tally.sources["a"].failure) == "401 for a"
    assert two.tally.sources["b"].failure is None
    assert await two.states() == {"b1": "verified"}


async def test_retries_that_come_due_within_a_minute_are_waited_for(two):
    two.providers["a"].archivable("a1")
    two.providers["a"].errors["media a1"] = [errors.MediaIncomplete("cut")] * 2
    await sync(two)
    assert await two.states() == {"a1": "verified"}


async def test_what_comes_due_later_than_that_is_left_to_the_next_run(two):
    two.providers["a"].archivable("a1")
    two.providers["a"].errors["media a1"] = [errors.RateLimited("slow down", wait=600.0)]
    await sync(two)
    assert await two.states() == {"a1": "due"}
    assert two.clock.seconds < WAITED_FOR


async def test_a_pause_of_one_source_does_not_keep_a_retry_of_another_from_being_waited_for(two):
    a, b = two.providers["a"], two.providers["b"]
    a.archivable("a1")
    b.archivable("b1")
    a.errors["media a1"] = [errors.RateLimited("slow down", wait=600.0)]
    b.errors["media b1"] = [errors.MediaIncomplete("cut")] * 2
    await sync(two)
    assert await two.states() == {"a1": "due", "b1": "verified"}


class Due:
    """A catalog in which something is always due soon."""

    def __init__(self, seconds):
        self._seconds = seconds

    async def next_due(self, *, sources):
        return self._seconds

    async def counts(self):
        return {}


@pytest.mark.parametrize(("due", "least", "most"), [(20.0, WAITED_IN_ALL, WAITED_IN_ALL + 10), (61.0, 0, 0), (None, 0, 0)])
async def test_it_waits_five_minutes_in_all_and_no_longer(due, least, most):
    clock, listed = VirtualClock(), asyncio.Event()
    enough = Enough(catalog=Due(due), health=Health(clock, ["a"]), clock=clock, sources=["a"], listed=listed)
    assert not await enough()
    listed.set()
    began = clock.seconds
    while not await enough():
        clock.advance(seconds=5)
    assert least <= clock.seconds - began <= most


async def test_time_spent_working_is_no_waiting(two):
    """A retry is waited for although a quarter of an hour of work lies between the first idle moment and it."""
    a = two.providers["a"]
    a.put(recording("a1"))
    a.has("a1", media_bytes(512), chunk=256, wait=400)
    a.errors["media a1"] = [errors.MediaIncomplete("cut")]
    a.archivable("a2")
    a.errors["media a2"] = [errors.RateLimited("slow down", wait=50.0)] * 2
    await sync(two, concurrency=1)
    assert await two.states() == {"a1": "verified", "a2": "verified"}


async def test_told_to_stop_while_listing_it_stops_listing_and_keeps_what_it_had(two):
    two.providers["b"].archivable("b1")
    stop = asyncio.Event()
    asked = asyncio.Event()

    async def for_ever(_listing, _window, *, backward=False):
        asked.set()
        await asyncio.Event().wait()
        yield backward

    two.providers["a"].pages = for_ever
    running = asyncio.create_task(sync(two, stop=stop))
    await asked.wait()
    await two.clock.sleep(10)
    stop.set()
    await running
    assert await two.states() == {"b1": "verified"}
    assert (await two.source("a")).watermark is None


async def test_what_another_worker_is_still_at_is_waited_for(sqlite_url):
    async with (
        staged(sqlite_url, name="daemon") as daemon,
        staged(sqlite_url, daemon.provider, clock=daemon.clock, store=daemon.store, name="me") as me,
    ):
        daemon.provider.put(recording("r1"))
        daemon.provider.has("r1", media_bytes(512), chunk=256, wait=50)
        await daemon.poll()
        working = asyncio.create_task(daemon.pump().run())
        await daemon.clock.sleep(1)
        await sync(me)
        assert await me.states() == {"r1": "verified"}
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


# -- one source, one poller


async def test_a_source_is_polled_by_one_worker_at_a_time(sqlite_url):
    async with staged(sqlite_url, name="me") as me, staged(sqlite_url, me.provider, clock=me.clock, name="you") as you:
        entered, leave = asyncio.Event(), asyncio.Event()
        pages = me.provider.pages

        async def held(*args, **options):
            entered.set()
            await leave.wait()
            async for page in pages(*args, **options):
                yield page

        me.provider.pages = held

        def polled(stage, **how):
            return poll(stage.discovery(), "rooms", catalog=stage.catalog, health=stage.health, clock=stage.clock, **how)

        mine = asyncio.create_task(polled(me, wait=False))
        await entered.wait()
        assert await polled(you, wait=False) is None
        await me.clock.sleep(600)  # renewed meanwhile
        assert await polled(you, wait=False) is None
        yours = asyncio.create_task(polled(you, wait=True))
        leave.set()
        assert (await mine).complete
        assert (await yours).complete


async def test_a_source_polled_a_moment_ago_by_somebody_else_is_left_alone(sqlite_url):
    async with staged(sqlite_url, name="me") as me, staged(sqlite_url, me.provider, clock=me.clock, name="you") as you:
        for stage, polled in ((me, True), (you, False)):
            how = {"wait": False, "unless_since": timedelta(minutes=2)}
            seen = await poll(stage.discovery(), "rooms", catalog=stage.catalog, health=stage.health, clock=stage.clock, **how)
            assert (seen is not None) == polled
            stage.clock.advance(seconds=30)


async def test_a_lease_is_given_back_however_the_work_under_it_ended(stage):
    for error in (ValueError("a defect"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            async with holding(stage.catalog, stage.clock, "poll:rooms", wait=False) as ours:
                assert ours
                raise error
        assert await stage.catalog.acquire("poll:rooms", seconds=1)
        await stage.catalog.surrender("poll:rooms")


async def test_a_poll_that_fails_counts_against_its_source_and_one_that_succeeds_clears_it(stage):
    async def polled():
        return await poll(stage.discovery(), "rooms", catalog=stage.catalog, health=stage.health, clock=stage.clock, wait=False)

    stage.provider.errors["pages"] = [errors.CredentialsRefused("401")]
    with pytest.raises(errors.CredentialsRefused):
        await polled()
    assert stage.health.problems() == ["rooms: 401"]
    await polled()
    assert stage.health.problems() == []
