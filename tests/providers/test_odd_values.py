"""Instants, durations and sizes that cannot be: flagged, taken as unknown, and never in the way of the rest."""

from datetime import UTC, timedelta

import pytest

from tests.providers.stage import NOON
from tests.providers.test_parsing import at, call_row, read_call, read_room, read_track, room_row, track_row

STARTS = {"telnyx-rooms": "started_at", "telnyx-calls": "recording_started_at", "twilio-video": "date_created"}
INSTANTS = pytest.mark.parametrize(
    ("read", "row", "name"),
    [(read_room, room_row, "started_at"), (read_call, call_row, "recording_started_at"), (read_track, track_row, "date_created")],
    ids=STARTS,
)


@INSTANTS
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2015-07-30T20:00:00Z", "2015-07-30T20:00:00+00:00"), ("2015-07-30T20:00:00.5Z", "2015-07-30T20:00:00.500000+00:00"),
        ("2015-07-30T20:00:00.123456789Z", "2015-07-30T20:00:00.123456+00:00"), ("2015-07-30T22:00:00+02:00", "2015-07-30T20:00:00+00:00"),
        ("2015-07-30T15:00:00-0500", "2015-07-30T20:00:00+00:00"), ("20150730T200000Z", "2015-07-30T20:00:00+00:00"),
    ],
)  # fmt: skip
def test_instants_of_every_precision_and_offset_are_utc(read, row, name, value, expected):
    found = read(row(**{name: value}))
    assert found.started_at.isoformat() == expected
    assert found.started_at.tzinfo is UTC
    assert found.flags == ()


@INSTANTS
def test_an_instant_without_a_zone_is_taken_as_utc_and_flagged(read, row, name):
    found = read(row(**{name: "2015-07-30T20:00:00"}))
    assert found.started_at == at("2015-07-30T20:00:00Z")
    assert any("time zone" in flag for flag in found.flags)


@INSTANTS
@pytest.mark.parametrize(
    "value",
    [
        "2099-01-01T00:00:00Z",
        (NOON + timedelta(days=3)).isoformat(),
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "yesterday",
        "2021-02-30T00:00:00Z",
        "2016-12-31T23:59:60Z",
        1618568695,
        1.5,
        True,
        [],
        {},
        "\x00",
        "x" * 10_000,
    ],
)
def test_an_instant_that_cannot_be_is_flagged_and_unknown(read, row, name, value):
    found = read(row(**{name: value}))
    assert found.started_at is None
    assert found.flags
    assert all(len(flag) < 200 for flag in found.flags)


@INSTANTS
def test_a_providers_clock_may_be_a_day_ahead(read, row, name):
    tomorrow = (NOON + timedelta(hours=25)).isoformat()
    assert read({**row(), "ended_at": tomorrow, "recording_ended_at": tomorrow, name: tomorrow}).started_at == at(tomorrow)


@pytest.mark.parametrize(
    ("read", "row", "started", "ended"),
    [(read_room, room_row, "started_at", "ended_at"), (read_call, call_row, "recording_started_at", "recording_ended_at")],
)
def test_of_a_start_after_the_end_the_end_is_kept(read, row, started, ended):
    found = read(row(**{started: "2021-04-16T10:00:00Z", ended: "2021-04-16T09:00:00Z"}))
    assert (found.started_at, found.ended_at) == (None, at("2021-04-16T09:00:00Z"))
    assert "started after it ended" in found.flags


@pytest.mark.parametrize("value", [-1, 1e300, 2**70, "10", True, [], float("inf"), float("nan")])
def test_a_duration_that_cannot_be_is_flagged_and_unknown(value):
    for found in (
        read_room(room_row(duration_secs=value)),
        read_call(call_row(duration_millis=value)),
        read_track(track_row(duration=value)),
    ):
        assert found.duration is None
        assert found.flags
    assert found.ended_at is None


@pytest.mark.parametrize("value", [0, -1, 2**63, 1.5, 23.0, "23", True, []])
def test_a_size_that_cannot_be_is_flagged_and_unknown(value):
    found = read_track(track_row(size=value))
    assert found.size is None
    assert any(flag.startswith("size") for flag in found.flags)


def test_a_telnyx_size_in_megabytes_is_no_size():
    assert read_room(room_row(size_mb=5.0)).size is None


def test_the_end_of_a_track_that_would_lie_ahead_is_unknown():
    found = read_track(track_row(date_created=NOON.isoformat(), duration=300 * 86_400))
    assert found.ended_at is None
    assert any("future" in flag for flag in found.flags)
