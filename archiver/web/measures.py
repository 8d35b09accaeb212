"""Numbers, sizes and times as people read them. All instants are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def number(value: int) -> str:
    """`1,234,567`."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """The two largest units: `45 s`, `3 min 20 s`, `2 days 4 h`. Negative counts as 0."""
    left = max(0, round(seconds))
    parts: list[tuple[int, str]] = []
    for unit, worth in _UNITS:
        count, left = divmod(left, worth)
        if count or parts:
            parts.append((count, unit))
    shown = [f"{count:,} {unit}{'s' if unit == 'day' and count != 1 else ''}" for count, unit in parts[:2] if count]
    return " ".join(shown) or "0 s"


def ago(moment: datetime, now: datetime) -> str:
    """`3 min 20 s ago`, `just now`, or `in 5 min` for the future."""
    past = (now - moment).total_seconds()
    if abs(past) < 1:
        return "just now"
    return f"{duration(past)} ago" if past > 0 else f"in {duration(-past)}"


def length(seconds: float) -> str:
    """A recording's length as players show it: `1:02:03`, `4:05`."""
    hours, rest = divmod(max(0, round(seconds)), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours:,}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def size(count: int) -> str:
    """Bytes in the largest binary unit that leaves a number from 1: `12.3 MiB`."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count:,} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"


def instant(moment: datetime) -> str:
    """`2 Mar 2026, 11:05 UTC`."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%b} {moment.year}, {moment:%H:%M} UTC"


def day(moment: datetime) -> str:
    """`2 Mar 2026` for a midnight, else with the time as `instant` says it."""
    shown = instant(moment)
    return shown.removesuffix(", 00:00 UTC")


def second(moment: datetime) -> str:
    """`2026-03-02 11:05:42` in UTC, for histories."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def exact(moment: datetime) -> str:
    """ISO 8601 with `Z`, to the second where there is nothing finer."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parsed(text: str | None) -> datetime | None:
    """An instant of a document; None for none."""
    return datetime.fromisoformat(text) if text else None


def share(part: int, whole: int) -> str:
    """A percentage that says 100 only for all and 0 only for none; `whole` is not 0."""
    percent = 100 * part / whole
    if part not in (0, whole):
        percent = min(99.9, max(0.1, percent))
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"
