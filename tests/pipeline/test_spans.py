"""When a body goes on over several connections, how many, and which bytes each fetches; and what may be lent for it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.pipeline import spans
from archiver.pipeline.budget import ByteBudget
from archiver.pipeline.spans import MIB, Meter, Plan, Rule

RULE = Rule()
SLOW = 27e6  # bytes a second: what a source that limits each connection was measured with


def planned(*, rate=SLOW, left=1024 * MIB, free=15, room=80 * MIB, rule=RULE):
    return spans.plan(rule, rate=rate, left=left, free=free, room=room)


def test_a_slow_connection_of_a_large_body_gets_seven_more_with_spans_that_take_a_good_while():
    plan = planned()
    assert (plan.connections, plan.span) == (8, 8 * MIB)
    assert planned(rate=10e6).span == 4_000_000
    assert planned(rate=1e6).span == 2 * MIB


@pytest.mark.parametrize(
    "how",
    [
        {"rate": 50 * MIB}, {"rate": float("inf")}, {"left": 64 * MIB - 1}, {"free": 0}, {"free": -3}, {"room": 0}, {"room": 4 * MIB - 1},
    ],
)  # fmt: skip
def test_there_is_one_connection_where_it_is_quick_little_is_left_or_nothing_can_be_spared(how):
    assert planned(**how) is None


def test_little_room_makes_smaller_spans_first_and_fewer_connections_then():
    assert planned(room=50 * MIB) == Plan(connections=8, span=5 * MIB, rate=SLOW)
    assert planned(room=16 * MIB) == Plan(connections=8, span=2 * MIB, rate=SLOW)
    assert planned(room=7 * MIB) == Plan(connections=3, span=2 * MIB, rate=SLOW)


@given(rate=st.floats(0, 1e9), left=st.integers(0, 5 * 10**12), free=st.integers(-5, 100), room=st.integers(0, 200 * MIB))
def test_no_plan_takes_more_than_there_is(rate, left, free, room):
    plan = planned(rate=rate, left=left, free=free, room=room)
    if plan is None:
        return
    assert rate < RULE.floor
    assert left >= RULE.least_left
    assert 2 <= plan.connections <= min(RULE.most, 1 + free)
    assert RULE.least_span <= plan.span <= RULE.most_span
    assert plan.connections * plan.span <= room


@given(at=st.integers(0, 1000), total=st.integers(0, 1000), size=st.integers(1, 400))
def test_spans_one_after_the_other_are_every_byte_once(at, total, size):
    plan = Plan(connections=2, span=size, rate=1.0)
    reached = at
    while (found := spans.next_span(plan, at=reached, total=total)) is not None:
        first, stop = found
        assert first == reached < stop <= first + size
        reached = stop
    assert reached == max(at, total)


def test_several_connections_stay_where_they_are_half_as_quick_again_as_one():
    plan = planned()
    assert spans.worthwhile(RULE, plan, 1.5 * SLOW)
    assert not spans.worthwhile(RULE, plan, 1.4 * SLOW)


# -- measuring


def test_a_measurement_is_bytes_by_seconds_of_waiting_after_the_first_bytes():
    meter = Meter(skip=100, enough=1000)
    assert meter.add(100, 50.0) is None  # finding its speed
    assert meter.add(600, 1.0) is None
    assert meter.add(400, 1.0) == 500.0
    assert meter.add(1000, 4.0) == 250.0


def test_what_is_very_slow_is_known_before_the_bytes_are_enough():
    meter = Meter(skip=0, enough=1000, patience=1.0)
    assert meter.add(10, 0.6) is None
    assert meter.add(10, 0.6) == pytest.approx(20 / 1.2)


def test_bytes_that_nobody_waited_for_are_as_quick_as_can_be():
    assert Meter(skip=0, enough=10).add(10, 0.0) == float("inf")


def test_several_connections_are_measured_over_a_whole_round():
    plan = Plan(connections=4, span=100, rate=1.0)
    meter = spans.together(plan)
    assert meter.add(100, 10.0) is None  # the first span, waited for
    assert meter.add(299, 0.0) is None
    assert meter.add(1, 0.0) == 40.0


# -- lending


@given(
    total=st.integers(1, 100),
    most=st.integers(0, 120),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=40),
)
def test_what_is_lent_is_free_and_within_bounds_and_comes_back(total, most, steps):
    budget, loans = ByteBudget(total), []
    for borrow, size in steps:
        if borrow:
            spare = budget.spare(most)
            got = budget.borrow(size, most=most)
            assert got == (size <= spare)
            loans += [size] if got else []
        elif loans:
            budget.give_back(loans.pop())
        assert sum(loans) <= min(total, most)
        assert budget._free == total - sum(loans)
    while loans:
        budget.give_back(loans.pop())
    assert budget._free == total


async def test_who_waits_for_a_hold_comes_before_whoever_would_borrow():
    budget, held = ByteBudget(10), []

    async def hold():
        async with budget.hold(8):
            held.append(True)

    assert budget.borrow(5, most=10)
    waiting = asyncio.create_task(hold())
    await asyncio.sleep(0)
    assert budget.spare(10) == 0
    assert not budget.borrow(1, most=10)
    budget.give_back(5)
    await waiting
    assert held == [True]
    assert budget.spare(10) == 10
