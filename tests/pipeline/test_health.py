"""Which sources, and whether the store, are worth asking: pauses begin, end, and concern nobody else."""

from datetime import timedelta

import pytest

from archiver.domain import errors
from archiver.domain.retry import Circuit
from archiver.pipeline.health import STORE, Health
from tests.pipeline.clock import VirtualClock

DOWN = errors.ProviderUnavailable("503")
SINGLE = [
    errors.MediaUnavailable("404"),
    errors.MediaIncomplete("cut"),
    errors.MediaImplausible("a page"),
    errors.UrlRefused("no"),
]


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def health(clock):
    return Health(clock, ["a", "b"])


def fail(health, source, error, times=1):
    for _ in range(times):
        health.failed(source, error)


def test_a_source_is_paused_after_five_failures_in_a_row_and_the_others_are_not(health):
    fail(health, "a", DOWN, Circuit.THRESHOLD - 1)
    assert health.active() == ["a", "b"]
    fail(health, "a", DOWN)
    assert health.active() == ["b"]
    assert health.down("a")
    assert not health.down("b")
    assert health.problems() == ["a: 503"]


def test_a_success_in_between_starts_the_count_anew(health):
    for _ in range(10):
        fail(health, "a", DOWN, Circuit.THRESHOLD - 1)
        health.succeeded("a")
    assert health.active() == ["a", "b"]


@pytest.mark.parametrize("error", SINGLE, ids=lambda error: type(error).__name__)
def test_what_is_wrong_with_single_recordings_pauses_nobody(health, error):
    fail(health, "a", error, 100)
    assert health.active() == ["a", "b"]
    assert health.problems() == []


def test_a_pause_ends_with_trials_until_one_succeeds(health, clock):
    fail(health, "a", DOWN, Circuit.THRESHOLD)
    assert health.on_trial() == []
    clock.advance(minutes=20)
    assert (health.active(), health.on_trial()) == (["b"], ["a"])
    fail(health, "a", DOWN)
    assert health.on_trial() == []
    clock.advance(minutes=20)
    health.succeeded("a")
    assert (health.active(), health.on_trial(), health.problems()) == (["a", "b"], [], [])


def test_each_failed_trial_makes_the_pause_longer_up_to_a_quarter_of_an_hour(health, clock):
    pauses = []
    for _ in range(20):
        fail(health, "a", DOWN)
        pauses.append(health.opens_in("a"))
        clock.advance(seconds=pauses[-1])
    assert pauses[:4] == [0, 0, 0, 0]
    assert max(pauses[4:7]) < 60 < max(pauses)
    assert max(pauses) <= 900


@pytest.mark.parametrize(
    ("wait", "least", "most"), [(30.0, 30, 33), (0.0, 0, 0), (None, 0, 0), (-5.0, 0, 0), (10**9, 900, 990), (float("nan"), 0, 0)]
)
def test_a_source_that_asks_for_patience_is_given_it_at_once_and_no_more_than_a_quarter_of_an_hour(health, wait, least, most):
    fail(health, "a", errors.RateLimited("429", wait=wait))
    assert least <= health.opens_in("a") <= most
    assert health.opens_in("b") == 0


@pytest.mark.parametrize("error", [errors.CredentialsRefused("401"), errors.StorageRefused("403")])
def test_refused_credentials_are_tried_once_a_minute(health, clock, error):
    fail(health, "a", error)
    assert health.active() == (["b"] if isinstance(error, errors.CredentialsRefused) else [])
    assert health.opens_in("a") == 60
    clock.advance(seconds=60)
    assert "a" in (health.on_trial() if isinstance(error, errors.CredentialsRefused) else health.active())


def test_a_store_in_trouble_pauses_every_source(health, clock):
    fail(health, "a", errors.StorageUnavailable("reset"), Circuit.THRESHOLD)
    assert (health.active(), health.on_trial()) == ([], [])
    assert health.opens_in("b") > 0
    clock.advance(minutes=20)
    assert health.active() == ["a", "b"]
    assert health.trying_store()
    health.succeeded(STORE)
    assert not health.trying_store()


def test_a_pause_that_is_over_is_waited_for_no_more(health, clock):
    fail(health, "a", DOWN, Circuit.THRESHOLD)
    assert health.opens_at() > clock.now()
    clock.advance(minutes=20)
    assert health.opens_at() is None


def test_the_next_end_of_a_pause_is_that_of_the_first(health, clock):
    fail(health, "a", errors.RateLimited("429", wait=600.0))
    fail(health, "b", errors.RateLimited("429", wait=60.0))
    assert timedelta(seconds=60) <= health.opens_at() - clock.now() <= timedelta(seconds=66)


@pytest.mark.parametrize("answer", [errors.RecordingGone("404"), errors.MediaUnavailable("no media")])
def test_an_answer_about_one_recording_says_that_the_source_is_back(health, clock, answer):
    fail(health, "a", DOWN, Circuit.THRESHOLD)
    clock.advance(minutes=20)
    fail(health, "a", answer)
    assert health.active() == ["a", "b"]
    assert not health.down("a")
