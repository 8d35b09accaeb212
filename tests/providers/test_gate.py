"""The gate: one source, one patience."""

import asyncio
from datetime import timedelta
from email.utils import format_datetime

import pytest

from archiver.domain.errors import RateLimited
from archiver.providers.gate import Gate, asked
from tests.providers.stage import NOON, Clock


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"x-ratelimit-reset": "3"}, 3),
        ({"retry-after": "2", "x-ratelimit-reset": "30"}, 30),
        ({"retry-after": "1000000000"}, 1e9),
        ({"retry-after": format_datetime(NOON + timedelta(seconds=90))}, 90),
        ({"retry-after": format_datetime(NOON - timedelta(seconds=90))}, None),
        *(
            ({"retry-after": junk}, None)
            for junk in ("0", "-5", "", "soon", "NaN", "inf", "1e3", "0x10", "9" * 400, "Mon, 99 Foo 2026", "٣")
        ),
        *(({"x-ratelimit-reset": junk}, None) for junk in ("0", "-1", "later")),
    ],
)
def test_the_longest_usable_wait_is_what_was_asked_for(headers, seconds):
    assert asked(headers, now=NOON) == seconds


async def test_a_closed_gate_holds_back_every_request_of_the_source_until_it_opens():
    clock = Clock()
    gate = Gate("src", clock)
    gate.refused({"retry-after": "20"}, entered_at=await gate.enter())
    closed_at = clock.monotonic()
    entered = await asyncio.gather(*(gate.enter() for _ in range(10)))
    assert min(entered) >= closed_at + 20


async def test_a_longer_wait_than_a_minute_is_handed_to_the_caller_at_once():
    clock = Clock()
    gate = Gate("src", clock)
    gate.refused({"retry-after": "61"}, entered_at=await gate.enter())
    with pytest.raises(RateLimited) as refused:
        await gate.enter()
    assert refused.value.wait == 61
    assert clock.slept == []


async def test_nobody_is_believed_for_longer_than_a_quarter_of_an_hour():
    gate = Gate("src", Clock())
    assert gate.refused({"retry-after": "1000000000"}, entered_at=await gate.enter()) == 900


async def test_without_a_usable_wait_our_own_grows_with_every_refusal_and_starts_anew_after_a_success():
    clock = Clock(chance=0.0)
    gate = Gate("src", clock)
    waits = []
    for _ in range(3):
        await clock.sleep(100)
        waits.append(gate.refused({"retry-after": "junk"}, entered_at=clock.monotonic()))
    assert waits == pytest.approx([0.4, 0.8, 1.6])
    gate.succeeded()
    await clock.sleep(100)
    assert gate.refused({}, entered_at=clock.monotonic()) == pytest.approx(0.4)


async def test_a_burst_of_refusals_counts_once():
    clock = Clock(chance=0.0)
    gate = Gate("src", clock)
    clock.ticks = 0.001
    entered = [await gate.enter() for _ in range(16)]
    for each in entered:
        wait = gate.refused({}, entered_at=each)
    assert wait < 1


async def test_an_announced_zero_closes_the_gate_before_anything_is_refused():
    clock = Clock()
    gate = Gate("src", clock)
    gate.heard({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"})
    before = clock.monotonic()
    assert await gate.enter() >= before + 5
    assert gate.remaining == 0


async def test_headers_without_meaning_change_nothing():
    gate = Gate("src", Clock())
    for left, reset in (("-1", "5"), ("", ""), ("many", "5"), ("0", "soon"), ("0", "-3"), ("1e9", "1")):
        gate.heard({"x-ratelimit-remaining": left, "x-ratelimit-reset": reset})
    await gate.enter()
    assert gate.remaining in {None, 0}


async def test_quick_repeats_run_out_in_an_outage_and_are_earned_back_by_successes():
    gate = Gate("src", Clock())
    assert sum(gate.may_repeat() for _ in range(1_000)) == 10
    for _ in range(100):
        gate.succeeded()
    assert sum(gate.may_repeat() for _ in range(1_000)) in {9, 10}
