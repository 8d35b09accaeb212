"""Runs an asynchronous command to its exit code, with signals: the first asks it to stop, the second stops it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop(asyncio.Event):
    """Set by the first signal; `signal` says which one it was."""

    signal: int = 0

    @property
    def code(self) -> int:
        """The exit code of a program that the signal ended before it was done."""
        return 128 + self.signal


def run_command(main: Callable[[Stop], Awaitable[int]]) -> int:
    """The exit code of `main`; 130 or 143 when a second signal cut it short."""
    return asyncio.run(_guarded(main))


async def _guarded(main: Callable[[Stop], Awaitable[int]]) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main(stop))

    def received(number: int) -> None:
        if stop.is_set():
            task.cancel()
            return
        stop.signal = number
        log.info("stop_requested", signal=signal.Signals(number).name)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, received, number)
    try:
        return await task
    except asyncio.CancelledError:
        return stop.code
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
