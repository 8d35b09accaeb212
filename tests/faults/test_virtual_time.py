"""The loop of the simulations: its time has to pass, however late it is."""

import asyncio

import pytest

from tests.faults.virtual_time import Stuck, virtual_time


@pytest.mark.timeout(20)
@pytest.mark.parametrize("days", [0, 194, 195, 366, 20_000])
def test_timers_run_however_long_the_loop_has_run(days):
    """Beyond 2**24 seconds asyncio's nanosecond is lost in a float, and a timer of exactly now waited for ever."""

    async def main():
        await asyncio.sleep(days * 86_400)
        for _ in range(50):
            await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time()

    with virtual_time() as runner:
        assert runner.run(main()) == pytest.approx(days * 86_400 + 5, abs=1e-3)


def test_a_deadlock_is_said():
    with virtual_time() as runner, pytest.raises(Stuck):
        runner.run(asyncio.Event().wait())
