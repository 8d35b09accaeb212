"""Which policy decides, until when it keeps something, and the lock that follows: pure, and right to the calendar."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain.ports import Lock
from archiver.domain.recording import Entry, State
from archiver.domain.retention import (
    LONGEST_LOCK,
    SHORTEST_LOCK,
    Policy,
    add_period,
    birth_lock,
    clock_doubt,
    evidence_lock,
    first_match,
    lock_problem,
    retention,
)
from archiver.policies import lock_for_evidence
from tests.retention.archive import configured, policy

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))
years = st.integers(0, 100)
rests = st.timedeltas(timedelta(0), timedelta(days=3650))


def subject(**facts):
    plain = {"started_at": NOON - timedelta(hours=2), "ended_at": NOON - timedelta(hours=1), "first_seen_at": NOON}
    names = {"provider": "telnyx-rooms", "media_type": "audio", "room_id": "R1", "room_name": "Board", "participant_id": "P1"}
    return Entry(
        id=1,
        recording_pk=1,
        source="rooms",
        recording_id="r1",
        rendition="media",
        state=State.DUE,
        revision=0,
        **{**plain, **names, "participant_name": "Ada", **facts},
    )


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({}, True),
        ({"source": "rooms"}, True),
        ({"source": "ro*s"}, True),
        ({"source": "calls"}, False),
        ({"provider": "telnyx-*", "type": "audio"}, True),
        ({"provider": "telnyx-*", "type": "video"}, False),
        ({"room": "R1"}, True),
        ({"room": "B[ao]*"}, True),
        ({"room": "board"}, False),
        ({"participant": "P?"}, True),
        ({"participant": "A*", "room": "X*"}, False),
    ],
)
def test_a_policy_applies_where_every_pattern_fits_id_or_name(match, applies):
    assert Policy(name="p", keep="1y", match=match).applies(subject()) is applies


def test_the_first_that_matches_decides():
    policies = [
        Policy(name="other", keep="1y", match={"source": "calls"}),
        Policy(name="first", keep="1d", rest=timedelta(days=1)),
        Policy(name="second", keep="9y", years=9),
    ]
    assert first_match(policies, subject()).name == "first"
    kept = retention(subject(), policies, now=NOON)
    assert (kept.policy, kept.until) == ("first", NOON + timedelta(hours=23))


def test_what_no_policy_matches_is_kept_for_ever():
    kept = retention(subject(), [Policy(name="p", keep="1y", years=1, match={"source": "calls"})], now=NOON)
    assert (kept.until, kept.policy, kept.why) == (None, "", "no policy matches: kept for ever")


@pytest.mark.parametrize(
    ("end", "length", "until"),
    [
        ("2024-02-29T23:59:59+00:00", 1, "2025-03-01T23:59:59+00:00"),
        ("2024-02-29T00:00:00+00:00", 4, "2028-02-29T00:00:00+00:00"),
        ("2026-03-10T12:00:00.000001+00:00", 7, "2033-03-10T12:00:01+00:00"),
        ("2026-01-01T01:00:00+02:00", 1, "2026-12-31T23:00:00+00:00"),
        ("9990-01-01T00:00:00+00:00", 100, "9999-12-31T23:59:59+00:00"),
    ],
)
def test_years_are_calendar_years_and_seconds_are_rounded_up(end, length, until):
    at = datetime.fromisoformat(end).astimezone(UTC)
    assert add_period(at, years=length, rest=timedelta(0)) == datetime.fromisoformat(until)


@given(instants, years, rests)
def test_a_period_is_never_shorter_than_its_calendar_and_at_most_a_day_and_a_second_longer(at, length, rest):
    until = add_period(at, years=length, rest=rest)
    assert until.microsecond == 0
    exact = (until - rest).replace(tzinfo=UTC)
    assert exact.year == at.year + length or (at.month, at.day) == (12, 31)
    assert timedelta(0) <= until - at - rest - timedelta(days=365 * length) <= timedelta(days=length // 4 + 2)


@given(instants, instants, years)
def test_a_later_end_is_never_kept_for_less_long(one, other, length):
    first, second = sorted((one, other))
    keep = {"years": length, "rest": timedelta(0)}
    assert add_period(first, **keep) <= add_period(second, **keep)


def test_zones_change_nothing():
    east = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    assert add_period(east.astimezone(UTC), years=1, rest=timedelta(0)) == datetime(2026, 12, 31, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({}, "its end"),
        ({"ended_at": None}, "its start"),
        ({"ended_at": None, "started_at": None}, "first seen"),
        ({"ended_at": datetime(2099, 1, 1, tzinfo=UTC)}, "its start"),  # it is here already, so that it has not ended then
        ({"ended_at": NOON + timedelta(hours=13)}, "its end"),  # a provider's zone
    ],
)
def test_time_is_counted_from_the_end_where_it_can_be_one(facts, name):
    assert f"from {name}" in retention(subject(**facts), [Policy(name="p", keep="1y", years=1)], now=NOON).why


def test_an_end_that_the_archives_clock_had_not_reached_is_believed_once_it_is_past():
    """Archived by a clock that was 400 days behind: counted from what it said, the period would be over now."""
    behind = NOON - timedelta(days=400)
    facts = {"ended_at": NOON - timedelta(hours=1), "started_at": None, "first_seen_at": behind, "archived_at": behind}
    assert retention(subject(**facts), [Policy(name="p", keep="1y", years=1)], now=NOON).until > NOON + timedelta(days=364)


def test_a_policy_that_was_changed_under_its_name_has_another_fingerprint():
    one, other = (Policy(name="p", keep=keep, years=length) for keep, length in (("7y", 7), ("6y", 6)))
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint() == Policy(name="p", keep="7y", years=7).fingerprint()
    assert Policy(name="p", keep="7y", match={"room": "x"}).fingerprint() != one.fingerprint()


# -- locks


def lock(policies, mode="governance", now=NOON, **facts):
    one = subject(**facts)
    return birth_lock(retention(one, policies, now=now), one, mode=mode, now=now)


def test_a_lock_ends_when_the_policy_does():
    found, why = lock([Policy(name="p", keep="7y", years=7)])
    assert found == Lock(mode="governance", retain_until=datetime(2033, 3, 10, 11, tzinfo=UTC))
    assert why == "p keeps it 7y from its end 2026-03-10T11:00:00Z"


def test_what_is_over_already_is_locked_for_a_day_and_says_why():
    found, why = lock([Policy(name="p", keep="1y", years=1)], ended_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert found.retain_until == NOON + SHORTEST_LOCK
    assert why.endswith("which was over on 2021-01-01T00:00:00Z; locked for a day")


def test_for_ever_is_a_hundred_years_of_lock():
    found, why = lock([])
    assert found.retain_until in (datetime(2126, 3, 10, 11, tzinfo=UTC), NOON + LONGEST_LOCK)
    assert "kept for ever, locked for 100 years" in why


@given(instants, years, st.timedeltas(timedelta(days=-40000), timedelta(days=400)))
def test_a_lock_is_never_in_the_past_and_never_longer_than_a_store_takes(now, length, ago):
    policy = Policy(name="p", keep="x", years=length)
    try:
        end = now + ago
    except OverflowError:
        return
    found, _why = lock([policy], now=now, ended_at=end, started_at=end, first_seen_at=now)
    assert now + SHORTEST_LOCK <= found.retain_until <= now + LONGEST_LOCK + timedelta(seconds=1)
    assert found.retain_until.microsecond == 0


def test_evidence_is_locked_as_long_as_anything_archived_now_may_be_kept():
    policies = [Policy(name="a", keep="1y", years=1, match={"source": "a*"}), Policy(name="b", keep="7y", years=7)]
    assert evidence_lock(policies, mode="compliance", now=NOON).retain_until == datetime(2033, 3, 10, 12, tzinfo=UTC)


def test_evidence_about_what_is_kept_for_ever_is_locked_as_long_as_that():
    found = evidence_lock([Policy(name="a", keep="1y", years=1)], mode="governance", now=NOON, for_ever=True)
    assert found.retain_until > NOON + timedelta(days=90 * 365)


@pytest.mark.parametrize(
    ("match", "years"), [({"source": "rooms"}, 1), ({"source": "rooms", "room": "*"}, 1), ({"room": "b*"}, 100)]
)
def test_history_is_locked_for_ever_only_where_a_source_has_no_policy_for_everything(match, years):
    """Otherwise a bucket under compliance could not be emptied for a hundred years, because policies name their sources."""
    settings = configured(policies=[policy("a", "1y", **match)], mode="governance")
    assert (lock_for_evidence(settings, NOON).retain_until - NOON).days == pytest.approx(365.25 * years, abs=30)
    assert lock_for_evidence(configured(policies=settings.policies), NOON) is None


UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "mode", "until", "fine"),
    [
        ("governance", "governance", UNTIL, True),
        ("governance", "compliance", UNTIL, True),
        ("governance", "governance", UNTIL + timedelta(days=1), True),
        ("compliance", "governance", UNTIL, False),
        ("governance", "governance", UNTIL - timedelta(seconds=1), False),
        ("governance", "", None, False),
        ("governance", "governance", None, False),
    ],
)
def test_a_lock_is_what_was_wanted_or_more(wanted, mode, until, fine):
    assert (lock_problem(Lock(mode=wanted, retain_until=UNTIL), mode=mode, until=until) is None) is fine


@pytest.mark.parametrize(
    ("ahead", "doubted"),
    [
        ({}, False),
        ({"the catalog": 60.0}, False),
        ({"the catalog": 60.1}, True),
        ({"the catalog": 31.0, "the store": -31.0}, True),
        ({"the catalog": -30.0, "the store": 30.0}, False),
    ],
)
def test_clocks_more_than_a_minute_apart_are_in_doubt(ahead, doubted):
    assert (clock_doubt(ahead) is not None) is doubted
