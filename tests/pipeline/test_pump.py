"""The pump: work goes on whatever single items, sources, the store and the catalog do."""

import asyncio
from collections import Counter

from archiver.domain import errors
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from tests.pipeline.fake_provider import FakeProvider, media_bytes, recording
from tests.pipeline.stage import staged


def items(stage, count, *, seconds=1.0, prefix="r", provider=None):
    """Recordings whose download takes about so long."""
    provider = provider or stage.provider
    for number in range(count):
        name = f"{prefix}{number}"
        provider.put(recording(name))
        provider.has(name, media_bytes(512, name), chunk=256, wait=seconds * (0.3 + 0.4 * (number % 7) / 6))


async def finished(stage, names, *, also=0.0, **how):
    """Pumps until all of `names` are stored, and `also` so many seconds; returns the virtual seconds it took until they were."""
    left, stop = set(names), asyncio.Event()

    def done(outcome):
        if outcome.event is Event.STORED:
            left.discard(outcome.entry.recording_id)
            if not left:
                stop.set()

    began = stage.clock.seconds
    pump = stage.pump(done=done, **how)
    running = asyncio.create_task(pump.run())
    await stop.wait()
    took = stage.clock.seconds - began
    await stage.clock.sleep(also)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stage.catalog.hand_back()
    return took


# -- one poison item (I19)


async def test_failing_items_hardly_slow_the_others_down_and_are_parked_with_their_reasons(sqlite_url):
    seconds = {}
    for poison in (0, 8):
        async with staged(sqlite_url, FakeProvider(source=f"p{poison}")) as stage:
            items(stage, 60, prefix=f"good{poison}-")
            good = list(stage.provider.listed)
            items(stage, poison, prefix="bad")
            for number in range(poison):
                how = [errors.MediaIncomplete("cut"), errors.MediaImplausible("a page"), ValueError("a defect")][number % 3]
                stage.provider.broken[f"media bad{number}"] = errors.ProviderUnavailable("500") if number == 0 else how
            await stage.poll()
            seconds[poison] = await finished(stage, good, concurrency=8)
            await stage.work()
            states = await stage.states()
            assert {states[name] for name in good} == {"verified"}
            assert all(states[f"bad{number}"] == "failed" for number in range(poison))
    assert 0.95 * seconds[8] <= seconds[0]


async def test_hanging_items_leave_the_other_places_to_the_others(sqlite_url):
    """Thirteen of sixteen places are taken for an hour; the three that are left have to be used."""
    async with staged(sqlite_url) as stage:
        items(stage, 13, prefix="hang", seconds=7200)
        await stage.poll()
        items(stage, 24)
        pump = stage.pump(concurrency=16)
        running = asyncio.create_task(stage.work(pump))
        await stage.clock.sleep(1)
        assert len(pump._tasks) == 13
        await stage.poll()
        pump.bell.set()
        await stage.clock.sleep(24 / 3 * 1.3)
        states = Counter((await stage.states()).values())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await stage.catalog.hand_back()
    assert states["verified"] + states["stored"] >= 22


async def test_a_source_in_trouble_does_not_narrow_the_others(sqlite_url):
    good, bad = FakeProvider(source="good"), FakeProvider(source="bad")
    async with staged(sqlite_url, good, bad) as stage:
        items(stage, 32, prefix="g", provider=good)
        items(stage, 5, prefix="b", provider=bad)
        for name in bad.listed:
            bad.broken[f"media {name}"] = errors.CredentialsRefused("401")
        await stage.poll("good")
        await stage.poll("bad")
        took = await finished(stage, good.listed, also=300.0, concurrency=8)
        assert took < 32 / 8 * 1.5
        calls = sum(count for call, count in bad.calls.items() if call.startswith("media"))
        assert calls <= 8 + 3 * (1 + stage.clock.seconds / 60)
        for name in bad.listed:
            assert (await stage.row(name)).attempts == 0


async def test_what_vanishes_between_its_list_and_its_download_is_lost_at_the_second_look_whatever_attempts_are_left(stage):
    stage.provider.archivable("r1", "r2")
    await stage.poll()
    del stage.provider.listed["r1"]
    await stage.work(stage.pump(max_attempts=1))
    row = await stage.row("r1")
    assert (row.state, row.attempts <= 1) == ("lost", True)
    assert "gone at two looks" in row.error
    assert stage.provider.calls["media r1"] == 2
    assert (await stage.recording("r1")).status == "deleted"
    assert stage.observed.lost_sources == ["rooms"]
    assert await stage.state("r2") is State.VERIFIED


async def test_one_look_that_does_not_find_it_uses_no_attempt_up_and_a_second_that_does_archives_it(stage):
    stage.provider.archivable("r1")
    await stage.poll()
    stage.provider.errors["media r1"] = [errors.RecordingGone("404")]
    await stage.work(stage.pump(max_attempts=1))
    assert await stage.state("r1") is State.VERIFIED
    assert (await stage.recording("r1")).gone_looks == 0
