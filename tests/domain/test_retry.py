"""Waits between attempts: full jitter, doubling, never immediate, never longer than a quarter of an hour."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain.retry import FIRST, LONGEST, LONGEST_WAIT_ASKED, Circuit, backoff, wait_asked

chances = st.floats(min_value=0, max_value=1, exclude_max=True)
attempts = st.integers(min_value=-3, max_value=10_000)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(attempts, chances)
def test_a_wait_is_between_a_tenth_and_the_whole_of_its_span(attempt, chance):
    span = min(FIRST * 2 ** (min(max(attempt, 1), 20) - 1), LONGEST)
    wait = backoff(attempt, chance=chance)
    assert span * 0.1 <= wait <= span <= LONGEST
    assert wait > timedelta(0)


@given(st.integers(min_value=1, max_value=50), chances, chances)
def test_two_who_fail_at_once_do_not_come_back_at_once(attempt, mine, yours):
    apart = abs(backoff(attempt, chance=mine) - backoff(attempt, chance=yours))
    span = backoff(attempt, chance=0) * 10
    assert abs(apart - span * 0.9 * abs(mine - yours)) <= timedelta(milliseconds=1)


@given(st.integers(min_value=1, max_value=50), chances)
def test_spans_double_until_they_are_longest(attempt, chance):
    assert backoff(attempt, chance=chance) <= backoff(attempt + 1, chance=chance) <= backoff(attempt, chance=chance) * 2.0001


@given(chances)
def test_the_first_retries_come_within_half_a_minute(chance):
    assert backoff(1, chance=chance) + backoff(2, chance=chance) + backoff(3, chance=chance) <= timedelta(seconds=30)


@given(st.floats(allow_nan=True, allow_infinity=True) | st.none(), chances)
def test_what_a_provider_asks_for_is_honoured_up_to_a_quarter_of_an_hour_and_nonsense_is_not(value, chance):
    wait = wait_asked(value, chance=chance)
    if value is None or not math.isfinite(value) or value < 0:
        assert wait is None
    else:
        assert wait is not None
        assert min(value, LONGEST_WAIT_ASKED) <= wait <= LONGEST_WAIT_ASKED * 1.1


def test_zero_is_a_wait_of_its_own():
    assert wait_asked(0, chance=0.5) == 0


def test_a_circuit_opens_at_the_fifth_failure_in_a_row_and_not_before():
    circuit = Circuit()
    for count in range(1, Circuit.THRESHOLD):
        circuit = circuit.failed(NOW, chance=0.5)
        assert circuit.failures == count
        assert circuit.allows(NOW)
    circuit = circuit.failed(NOW, chance=0.5)
    assert not circuit.allows(NOW)
    assert circuit.allows(circuit.open_until)


@given(st.integers(min_value=5, max_value=200), chances)
def test_a_circuit_stays_open_longer_with_every_failed_probe_and_never_longer_than_the_longest_wait(failures, chance):
    circuit = Circuit(failures=failures - 1).failed(NOW, chance=chance)
    assert timedelta(0) < circuit.open_until - NOW <= LONGEST
    assert circuit.failed(NOW, chance=chance).open_until >= circuit.open_until


def test_one_success_closes_it_and_forgets():
    assert Circuit(failures=9, open_until=NOW).succeeded() == Circuit()


@pytest.mark.parametrize("asked", [float("nan"), -1.0, float("inf"), -0.001])
def test_waits_that_mean_nothing_are_none(asked):
    assert wait_asked(asked, chance=0) is None
