"""Durations, periods, sizes and instants: what is understood, what is refused, and that both ways agree."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.config import (
    Period,
    format_duration,
    format_instant,
    format_size,
    parse_duration,
    parse_instant,
    parse_period,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("5s", timedelta(seconds=5)),
        ("15m", timedelta(minutes=15)),
        ("48h", timedelta(hours=48)),
        ("30d", timedelta(days=30)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7 years",
        "5",
        "-5s",
        "+5s",
        "1.5h",
        "5S",
        "5 s",
        "5s ",
        "1h30m",
        "s",
        "٥s",
        "5s\n",
        "1e3s",
        "inf",
        "nan",
        "5w",
        "0x5s",
    ],
)
def test_other_spellings_of_a_duration_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r'accepted is .* e\.g\. "15m"'):
        parse_duration(text)


def test_years_are_no_duration_and_the_message_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="hint: years are for keep only, write days here"):
        parse_duration("7y")


def test_a_duration_beyond_what_time_can_hold_is_refused_and_does_not_overflow() -> None:
    with pytest.raises(ValueError, match="longer than time itself"):
        parse_duration("999999999999999d")


def test_a_period_keeps_calendar_years_apart_from_days() -> None:
    assert parse_period("7y") == Period(years=7)
    assert parse_period("90d") == Period(days=90)
    assert parse_period("36h") == Period(days=1, seconds=12 * 3600)
    assert parse_period("36h").rest == timedelta(hours=36)
    assert str(Period(years=7)) == "7y"
    assert str(Period(days=90)) == "90d"


@pytest.mark.parametrize("text", ["7 years", "500ms", "-1y", "1.5y", "", "forever"])
def test_other_spellings_of_a_period_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match='"7y"'):
        parse_period(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16MiB", 16 << 20),
        ("32KiB", 32 << 10),
        ("5GiB", 5 << 30),
        ("2TiB", 2 << 40),
        ("1MB", 10**6),
        ("512B", 512),
        ("1024", 1024),
        ("0", 0),
    ],
)
def test_a_size_is_a_number_of_bytes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "16 MiB", "16mib", "-1", "1.5GiB", "MiB", "16MiB/s", "1e3", "१६MiB"])
def test_other_spellings_of_a_size_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match='"16MiB"'):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T08:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00.5Z", datetime(2026, 1, 31, 8, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T08:00:00+02:00", datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("2026-01-31T23:30:00-03:30", datetime(2026, 2, 1, 3, tzinfo=UTC)),
    ],
)
def test_an_instant_is_iso_8601_with_a_zone_or_a_bare_date(text: str, expected: datetime) -> None:
    found = parse_instant(text)
    assert found == expected
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-01-31T08:00:00", "add Z or an offset"),
        ("2021-02-30", "does not exist"),
        ("2021-02-30T00:00:00Z", "does not exist"),
        ("2016-12-31T23:59:60Z", "leap second"),
        ("2026-01-31T24:00:00Z", "does not exist"),
        ("2026-01-31T25:00:00Z", "does not exist"),
        ("20210416T094620Z", "accepted is ISO 8601"),
        ("2021-W01-1", "accepted is ISO 8601"),
        ("2026-1-31", "accepted is ISO 8601"),
        ("2026-01-31 08:00:00Z", "accepted is ISO 8601"),
        ("2026-01-31T08:00:00+0200", "accepted is ISO 8601"),
        ("2026-01-31T08:00:00+15:00", "no place on earth"),
        ("2026-01-31T08:00:00.1234567Z", "finer than a microsecond"),
        ("0001-01-01T00:00:00+14:00", "outside the years"),
        ("0000-01-01", "does not exist"),
        ("yesterday", "accepted is ISO 8601"),
        ("", "accepted is ISO 8601"),
        ("2026-01-31\n", "accepted is ISO 8601"),
        ("٢٠٢٦-01-31", "accepted is ISO 8601"),
    ],
)
def test_other_instants_are_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_instant(text)


@given(st.text(max_size=40))
def test_whatever_is_no_quantity_is_a_value_error_on_one_printable_line(text: str) -> None:
    for parse in (parse_duration, parse_period, parse_size, parse_instant):
        said = ""
        try:
            parse(text)
        except ValueError as error:
            said = str(error).replace("…", "")
        assert said.isascii()
        assert said.isprintable()


@given(st.integers(0, 10**12))
def test_a_duration_written_and_read_again_is_the_same(milliseconds: int) -> None:
    length = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(length)) == length


@given(st.integers(0, 10**17))
def test_a_size_written_and_read_again_is_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(hours=14))]),
        min_value=datetime(2, 1, 1),
        max_value=datetime(9998, 1, 1),
    )
)
def test_an_instant_written_and_read_again_is_the_same(instant: datetime) -> None:
    assert parse_instant(format_instant(instant)) == instant


def test_a_naive_instant_is_not_written() -> None:
    with pytest.raises(ValueError, match="needs a zone"):
        format_instant(datetime(2026, 1, 1))
