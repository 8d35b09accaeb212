"""One budget of bytes bounds what all transfers hold together, and nobody waits for ever."""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from archiver.pipeline import budget as budget_module
from archiver.pipeline.budget import ByteBudget
from archiver.pipeline.pace import Pace
from archiver.pipeline.transfer import Transfer
from tests.pipeline.clock import NOON, VirtualClock
from tests.pipeline.fake_provider import FakeProvider, media_bytes, recording
from tests.pipeline.memory_store import MemoryStore
from tests.pipeline.stage import an_entry


class Watched(ByteBudget):
    """Remembers the most that was ever held."""

    most = 0

    async def _take(self, wanted):
        await super()._take(wanted)
        self.most = max(self.most, self.total - self._free)


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


async def holding(budget, size, log, name, leave):
    async with budget.hold(size):
        log.append(name)
        await leave.wait()


async def test_who_asks_first_is_served_first_so_that_large_ones_do_not_starve():
    budget, log, leave = ByteBudget(10), [], asyncio.Event()
    async with budget.hold(6):
        tasks = [asyncio.create_task(holding(budget, size, log, name, leave)) for name, size in (("large", 9), ("small", 1))]
        await settled()
        assert log == []
    await settled()
    assert log == ["large", "small"]
    leave.set()
    await asyncio.gather(*tasks)


async def test_more_than_the_total_is_the_total():
    budget = ByteBudget(10)
    async with asyncio.timeout(1), budget.hold(1000):
        assert budget._free == 0
    assert budget._free == 10


async def test_who_is_cancelled_while_waiting_gives_the_turn_on():
    budget, log, leave = ByteBudget(10), [], asyncio.Event()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(budget.hold(10))
        first, second = (asyncio.create_task(holding(budget, 10, log, name, leave)) for name in ("first", "second"))
        await settled()
        first.cancel()
        await settled()
    await settled()
    assert log == ["second"]
    leave.set()
    await second
    assert budget._free == 10
    assert first.cancelled()


async def test_who_is_cancelled_in_the_moment_of_the_turn_gives_the_bytes_back():
    budget, log, leave = ByteBudget(10), [], asyncio.Event()
    leave.set()
    async with budget.hold(10):
        first, second = (asyncio.create_task(holding(budget, 10, log, name, leave)) for name in ("first", "second"))
        await settled()
    first.cancel()  # its turn has come, it has not run yet
    await asyncio.gather(first, second, return_exceptions=True)
    assert log == ["second"]
    assert budget._free == 10


class Unnoted:
    """As much of the Catalog port as a transfer needs."""

    async def note_upload(self, entry, *, facts):
        return replace(entry, revision=entry.revision + 1, **facts)


class Reading(FakeProvider):
    """Knows how many downloads are being read from at one moment."""

    now = most = open = most_open = 0

    def __init__(self, *recordings, **options):
        super().__init__(*recordings, **options)
        self.ended = []

    @contextlib.asynccontextmanager
    async def open_media(self, ref, rendition, *, resume=None):
        self.open += 1
        try:
            async with super().open_media(ref, rendition, resume=resume) as media:
                yield media
                self.ended.append(ref.recording_id)
        finally:
            self.open -= 1

    async def _chunks(self, file, at):
        chunks = super()._chunks(file, at)
        while True:
            self.most_open = max(self.most_open, self.open)
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                chunk = await anext(chunks, None)
            finally:
                self.now -= 1
            if chunk is None:
                return
            yield chunk


async def transferred(sizes, *, total, announce=True, archived=False):
    """As many transfers at once as there are sizes; archived: as if other bytes had been archived before."""
    async with VirtualClock() as clock:
        provider, store, budget = Reading(clock=clock), MemoryStore(clock=clock, latency=0.02), Watched(total)
        transfer = Transfer(
            providers={"rooms": provider},
            storage=store,
            catalog=Unnoted(),
            clock=clock,
            budget=budget,
            pace=Pace(None, clock),
            lock_for=lambda _entry: None,
            version="1",
        )
        entries = []
        for number, size in enumerate(sizes):
            name = f"r{number}"
            provider.put(recording(name))
            provider.has(name, media_bytes(size, name), announce=announce, wait=0.01, chunk=250)
            before = {"key": f"rooms/{name}.ogg", "sha256": "ab" * 32} if archived else {}
            entries.append(an_entry(id=number, recording_id=name, ended_at=NOON, listed_size=size, **before))
        outcomes = await asyncio.gather(*(transfer.archive(entry) for entry in entries))
    assert [outcome.facts["size"] for outcome in outcomes] == list(sizes)
    assert len(store.objects) == len(sizes)
    return provider, store, budget


@pytest.mark.parametrize("archived", [False, True], ids=["first time", "archived before with other bytes"])
@pytest.mark.parametrize("announce", [True, False], ids=["length announced", "length unknown"])
async def test_sixty_four_transfers_at_once_hold_no_more_than_the_budget_and_all_end(announce, archived):
    sizes = [(400, 1000, 1001, 3500)[number % 4] for number in range(64)]
    _provider, store, budget = await transferred(sizes, total=2500, announce=announce, archived=archived)
    assert store.most_held <= 2500
    assert 2000 <= budget.most <= 2500
    assert budget._free == 2500


@pytest.mark.parametrize("archived", [False, True], ids=["first time", "archived before with other bytes"])
async def test_nobody_reads_from_a_provider_without_budget_for_what_comes(archived):
    provider, _store, _budget = await transferred([3500] * 24, total=2000, archived=archived)
    assert provider.most == 2


class Living(bytearray):
    """A buffer that is counted for as long as anybody has it."""

    now = most = 0

    def __init__(self, size):
        super().__init__(size)
        Living.now += size
        Living.most = max(Living.most, Living.now)

    def __del__(self):
        Living.now -= len(self)


@pytest.mark.parametrize("archived", [False, True], ids=["first time", "archived before with other bytes"])
async def test_whatever_waits_keeps_no_buffer(monkeypatch, archived):
    """What a waiting frame still names is in memory, and no budget knows of it."""
    monkeypatch.setattr(budget_module, "bytearray", Living, raising=False)
    Living.now = Living.most = 0
    sizes = [(400, 3500, 4001, 999)[number % 4] for number in range(48)]
    await transferred(sizes, total=2500, archived=archived)
    assert Living.most <= 2500
    assert Living.now <= 2500


async def test_a_buffer_whose_block_failed_is_not_used_again():
    budget, used = ByteBudget(10), []
    for failure in (OSError("a write that goes on in its thread"), None, None):
        with contextlib.suppress(OSError):
            async with budget.buffer(5) as own:
                used.append(own)
                if failure:
                    raise failure
    assert used[0] is not used[1]
    assert used[1] is used[2]


async def test_small_buffers_of_like_size_are_used_again_and_count_whole():
    budget = ByteBudget(64 * 1024 * 1024)
    async with budget.buffer(200_000) as first, budget.buffer(1) as least:
        assert (len(first), len(least)) == (256 * 1024, 64 * 1024)
        assert budget.spare(budget.total) == budget.total - len(first) - len(least)
    async with budget.buffer(256 * 1024) as second, budget.buffer(1024 * 1024 + 1) as exact:
        assert second is first
        assert len(exact) == 1024 * 1024 + 1


async def test_what_is_kept_for_later_and_what_is_held_stay_within_the_budget():
    budget = ByteBudget(10)
    for size in (4, 4, 5, 9, 3, 10, 1):
        async with budget.buffer(size):
            assert sum(map(len, budget._kept)) + size <= 10


@pytest.mark.parametrize("archived", [False, True], ids=["first time", "archived before with other bytes"])
async def test_large_transfers_that_find_no_room_wait_without_a_connection(archived):
    provider, _store, _budget = await transferred([3500] * 24, total=2000, archived=archived)
    assert provider.most_open <= 4 + 4 * archived  # who looks a second time is under way already
    assert provider.open == 0


async def test_small_transfers_wait_for_no_large_one():
    provider, _store, _budget = await transferred([*[9000] * 12, *[500] * 12], total=3000)
    ends = provider.ended
    assert max(ends.index(f"r{number}") for number in range(12, 24)) < max(ends.index(f"r{number}") for number in range(12))
