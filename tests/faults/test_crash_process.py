"""The dead do nothing more; else the crash sweep would prove nothing."""

import asyncio
import contextlib

import pytest

from tests.faults.crash_flows import FLOWS
from tests.faults.crash_ports import MortalStore
from tests.faults.crash_process import Killed, Life, crash_loop


class Notebook:
    """A store that notes what it was asked."""

    def __init__(self):
        self.done = []

    async def put(self, what):
        self.done.append(what)

    async def items(self):
        for number in range(3):
            self.done.append(f"item {number}")
            yield number


def lived(flow, **how):
    """What a flow got done before it was killed, and the life it had."""
    notebook = Notebook()

    async def main():
        life = Life(**how)
        life.arm()
        finished = await life.run(flow(MortalStore(notebook, life)))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return life, finished

    with crash_loop() as runner:
        life, finished = runner.run(main())
    return notebook.done, life, finished


async def careful(store):
    """Cleans up in every way there is."""
    helper = asyncio.create_task(store.put("by a helper"))
    try:
        await store.put("first")
        async with asyncio.timeout(5):
            await store.put("second")
        await asyncio.shield(helper)
    except BaseException:
        await store.put("in except")
        raise
    finally:
        with contextlib.suppress(BaseException):
            await store.put("in finally")
        helper.cancel()
        await asyncio.gather(helper, return_exceptions=True)
        await store.put("at the very end")


def test_a_process_that_is_not_killed_does_everything():
    done, life, finished = lived(careful)
    assert finished
    assert done == ["first", "second", "by a helper", "in finally", "at the very end"]
    assert life.struck == ""


def test_whatever_the_instant_of_its_death_a_process_did_the_beginning_and_nothing_of_its_cleaning_up():
    everything, life, _finished = lived(careful)
    for at in range(1, len(life.instants) + 1):
        done, dead, finished = lived(careful, kill_at=at)
        assert (finished, dead.dead) == (False, True)
        assert done == everything[: len(done)]
        assert dead.instants == life.instants[:at]


def test_a_call_is_killed_before_its_effect_and_behind_it():
    before, _life, _finished = lived(careful, kill_at=2)
    behind, life, _finished = lived(careful, kill_at=3)
    assert (before, behind) == ([], ["first"])
    assert life.struck == "store after put"


def test_a_lost_reply_is_an_error_and_the_process_lives_on():
    done, life, finished = None, None, None
    from archiver.domain.errors import StorageUnavailable

    with pytest.raises(StorageUnavailable, match="reply was lost"):
        done, life, finished = lived(careful, kill_at=2, lose=True)
    assert (done, life, finished) == (None, None, None)


def test_a_stream_ends_with_its_process():
    async def reads(store):
        async for _number in store.items():
            await asyncio.sleep(1)

    whole, life, _finished = lived(reads)
    assert whole == ["item 0", "item 1", "item 2"]
    done, _dead, _finished = lived(reads, kill_at=life.instants.index("store during items") + 1)
    assert done == ["item 0"]


def test_what_the_dead_ask_for_raises_what_nobody_catches_by_mistake():
    assert not issubclass(Killed, Exception)


def test_every_flow_of_the_issue_is_swept():
    assert {"poll", "small", "multipart", "verify", "backfill", "sweep"} <= FLOWS.keys()
