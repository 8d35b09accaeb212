"""The scheduler rings and does nothing else: in the loop's own thread, and quietly to the end."""

import asyncio
import contextlib
import logging
from datetime import timedelta

from archiver import daemon
from archiver.daemon import Bells


async def test_a_bell_wakes_whoever_waits_from_the_loops_own_thread():
    missed = []
    asyncio.get_running_loop().set_debug(True)  # in which an event that another thread sets is an error
    with Bells(missed.append) as bells:
        bell = bells.every("poll:rooms", timedelta(seconds=0.02))
        for _ in range(5):
            bell.clear()
            async with asyncio.timeout(5):
                await bell.wait()
    assert missed == []


async def test_a_bell_that_rings_while_the_scheduler_ends_is_no_error(caplog):
    """In a thread its future was cancelled then, and the scheduler told of it with a traceback."""
    for _ in range(30):
        with Bells(lambda _name: None) as bells:
            bells.every("counts", timedelta(seconds=0.001))
            await asyncio.sleep(0.003)
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_job_that_swallows_its_cancellation_is_cancelled_once_more(monkeypatch):
    """A library may raise its own error in the place of the cancellation, and whoever repeats the job go on."""
    monkeypatch.setattr(daemon, "AGAIN", 0.01)
    swallowed = []

    async def stubborn():
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            swallowed.append(1)
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(5):
        await daemon._ended([task])
    assert task.cancelled()
    assert len(swallowed) == 3
