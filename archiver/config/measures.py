"""Kinds of values that measure: durations, periods, sizes."""

from __future__ import annotations

from datetime import timedelta

from archiver.config.kinds import Kind
from archiver.config.quantities import Period, format_duration, format_size, parse_duration, parse_period, parse_size
from archiver.config.values import Unacceptable, bounded, described, parsed


def duration(least: timedelta, most: timedelta, example: str) -> Kind:
    """A length of time."""
    return Kind(
        word="duration",
        accepted=f"a duration from {format_duration(least)} to {format_duration(most)} in ms, s, m, h or d",
        example=f'"{example}"',
        json={"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"},
        read=lambda raw: bounded(raw, parsed(raw, parse_duration), least, most),
        show=format_duration,
    )


def period(most_years: int) -> Kind:
    """How long to keep: whole calendar years, or a duration."""

    def read(raw: object) -> Period:
        value: Period = parsed(raw, parse_period)
        within = value.years <= most_years and value.rest <= timedelta(days=most_years * 365)
        if not within or value == Period():
            raise Unacceptable(described(raw))
        return value

    return Kind(
        word="period",
        accepted=f"a period longer than 0 and at most {most_years}y, in y, d, h, m or s",
        example='"7y"',
        json={"type": "string", "pattern": "^[0-9]+(y|d|h|m|s)$"},
        read=read,
    )


def provider_deletion(least: timedelta, most: timedelta) -> Kind:
    """`never`, or `after:` and a duration."""

    def read(raw: object) -> timedelta | None:
        if raw == "never":
            return None
        if not isinstance(raw, str) or not raw.startswith("after:"):
            raise Unacceptable(described(raw))
        try:
            length: timedelta = parsed(raw.removeprefix("after:"), parse_duration)
        except Unacceptable as error:
            raise Unacceptable(described(raw), hint=error.hint) from None
        bounded(raw, length, least, most)
        return length

    return Kind(
        word="deletion",
        accepted=f"never, or after: and a duration from {format_duration(least)} to {format_duration(most)}",
        example='"after:30d"',
        json={"type": "string", "pattern": "^(never|after:[0-9]+(ms|s|m|h|d))$"},
        read=read,
        show=lambda value: "never" if value is None else f"after:{format_duration(value)}",
    )


def size(least: int, most: int, example: str, *, optional: bool = False) -> Kind:
    """A number of bytes; a TOML integer is taken as bytes. `optional`: empty text is None."""

    def read(raw: object) -> int | None:
        if optional and raw == "":
            return None
        value = raw if isinstance(raw, int) and not isinstance(raw, bool) else parsed(raw, parse_size)
        return int(bounded(raw, value, least, most))

    return Kind(
        word="size",
        accepted=f"a size from {format_size(least)} to {format_size(most)}" + (', or "" for no limit' if optional else ""),
        example=f'"{example}"',
        json={"type": ["string", "integer"]},
        read=read,
        show=lambda value: "" if value is None else format_size(value),
    )
