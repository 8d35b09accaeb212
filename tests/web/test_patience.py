"""Answers that cost something are shared, and asked for again as seldom as their cost says."""

import asyncio

import pytest

from archiver.web.patience import SHARE, Patience, Remembered
from tests.web.clock import Clock


@pytest.mark.parametrize(("took", "good_for"), [(0.01, 5.0), (0.25, 5.0), (2.0, 2.0 * SHARE)])
async def test_an_answer_is_good_for_longer_the_longer_it_took(took, good_for):
    clock, asked = Clock(), []

    async def ask():
        asked.append(clock.monotonic())
        clock.advance(seconds=took)
        return len(asked)

    found = Remembered(ask, patience=Patience(), clock=clock, seconds=5.0)
    assert await found.get() == 1
    clock.advance(seconds=good_for - 0.01)
    assert await found.get() == 1
    clock.advance(seconds=0.01)
    assert await found.get() == 2


async def test_everybody_who_waits_shares_one_answer():
    clock, asked, go = Clock(), [], asyncio.Event()

    async def ask():
        asked.append(1)
        await go.wait()
        return "answer"

    found = Remembered(ask, patience=Patience(), clock=clock, seconds=5.0)
    waiting = [asyncio.create_task(found.get()) for _ in range(5)]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*waiting) == ["answer"] * 5
    assert asked == [1]


async def test_a_question_that_failed_is_asked_again_at_once():
    answers = [ValueError("no"), "yes"]

    async def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = Remembered(ask, patience=Patience(), clock=Clock(), seconds=5.0)
    with pytest.raises(ValueError, match="no"):
        await found.get()
    assert await found.get() == "yes"
