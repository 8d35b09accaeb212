"""Durations, periods, sizes and instants as people write them, and back.

Every parser raises ValueError whose text says what was found and what is accepted, fit to be shown as it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_DURATION = re.compile(r"([0-9]{1,15})(ms|s|m|h|d|y)")
_DURATION_ACCEPTED = 'a whole number with ms, s, m, h or d, e.g. "15m"'
_PERIOD_ACCEPTED = 'a whole number with y, d, h, m or s, e.g. "7y"'

_SIZE_UNITS = {
    "TiB": 1 << 40,
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "kB": 10**3,
    "KB": 10**3,
    "B": 1,
    "": 1,
}
_SIZE = re.compile(r"([0-9]{1,18})(TiB|GiB|MiB|KiB|TB|GB|MB|kB|KB|B)?")
_SIZE_ACCEPTED = 'a whole number of bytes or with KiB, MiB, GiB or TiB, e.g. "16MiB"'

_INSTANT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:T(?P<minutes>[0-9]{2}:[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_INSTANT_ACCEPTED = 'ISO 8601 with Z or an offset, e.g. "2026-01-31T08:00:00Z"; a bare date is midnight UTC'
_LONGEST_SHOWN = 60
_FURTHEST_ZONE = timedelta(hours=14)  # Pacific/Kiritimati; nothing on earth lies further from UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """How long something is kept: calendar years, then days, then seconds, to be added in this order.

    Years stay years because a law that says seven years means the calendar; how 29 February counts is decided where the
    period is added to a date.
    """

    years: int = 0
    days: int = 0
    seconds: int = 0

    @property
    def rest(self) -> timedelta:
        """What comes on top of the calendar years."""
        return timedelta(days=self.days, seconds=self.seconds)

    def __str__(self) -> str:
        parts = [f"{self.years}y"] if self.years else []
        if self.rest or not parts:
            parts.append(format_duration(self.rest))
        return " + ".join(parts)


def quoted(text: str) -> str:
    """The text between quotes on one line, every character beyond printable ASCII escaped, cut to 60."""
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return json.dumps(cut).replace("\\u2026", "…").replace("\x7f", "\\u007f")


def parse_duration(text: str) -> timedelta:
    """A duration such as `500ms`, `5s`, `15m`, `48h` or `30d`. Years are refused: their length depends on the calendar."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"found {quoted(text)}, accepted is {_DURATION_ACCEPTED}")
    number, unit = int(match[1]), match[2]
    if unit == "y":
        raise ValueError(
            f"found {quoted(text)}, accepted is {_DURATION_ACCEPTED}; hint: years are for keep only, write days here"
        )
    try:
        return number * _UNITS[unit]
    except OverflowError:
        raise ValueError(f"found {quoted(text)}, which is longer than time itself; accepted is {_DURATION_ACCEPTED}") from None


def parse_period(text: str) -> Period:
    """A period to keep something for: a duration as above in whole seconds, or calendar years such as `7y`."""
    match = _DURATION.fullmatch(text)
    if match is None or match[2] == "ms":
        raise ValueError(f"found {quoted(text)}, accepted is {_PERIOD_ACCEPTED}")
    if match[2] == "y":
        return Period(years=int(match[1]))
    length = parse_duration(text)
    return Period(days=length.days, seconds=length.seconds)


def parse_size(text: str) -> int:
    """A number of bytes: `16MiB` (binary), `16MB` (decimal) or a bare number."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"found {quoted(text)}, accepted is {_SIZE_ACCEPTED}")
    return int(match[1]) * _SIZE_UNITS[match[2] or ""]


def parse_instant(text: str) -> datetime:
    """An instant, aware and in UTC; a bare date is its midnight in UTC.

    Stricter than `datetime.fromisoformat`, which takes `20210416T094620Z` and other forms that are too easily a typing
    mistake. A time without an offset is refused: nobody can say which hour it is.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(f"found {quoted(text)}, accepted is {_INSTANT_ACCEPTED}")
    if match["minutes"] and not match["zone"]:
        raise ValueError(f"found {quoted(text)}, a time without a zone; hint: add Z or an offset, e.g. {quoted(text + 'Z')}")
    if match["second"] == "60":
        raise ValueError(
            f"found {quoted(text)}, a leap second, which computers do not have; hint: write second 59 or the next 00"
        )
    if len(match["fraction"] or "") > 6:
        raise ValueError(f"found {quoted(text)}, finer than a microsecond; hint: at most six digits after the second")
    try:
        zoned = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"found {quoted(text)}, a day or time that does not exist; accepted is {_INSTANT_ACCEPTED}") from None
    if abs(zoned.utcoffset() or timedelta()) > _FURTHEST_ZONE:
        raise ValueError(f"found {quoted(text)}, an offset beyond 14:00, which no place on earth has")
    try:
        return zoned.astimezone(UTC) if match["zone"] else zoned.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"found {quoted(text)}, which lies outside the years 1 to 9999 in UTC") from None


def format_duration(length: timedelta) -> str:
    """The duration in the largest unit that says it exactly; `parse_duration` gives it back. Finer than 1 ms is cut off."""
    for unit, worth in _UNITS.items():
        if length >= worth and not length % worth:
            return f"{length // worth}{unit}"
    return f"{length // _UNITS['ms']}ms" if length else "0s"


def format_size(size: int) -> str:
    """The size in the largest binary unit that says it exactly; `parse_size` gives it back."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def format_instant(instant: datetime) -> str:
    """The instant in ISO 8601 with `Z`, with microseconds only where there are some; refuses a naive one."""
    if instant.tzinfo is None:
        raise ValueError(f"an instant needs a zone, got {instant.isoformat()}")
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
