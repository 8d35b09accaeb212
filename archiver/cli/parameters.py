"""Command-line values in the configuration's own notation: instants, durations, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from archiver.config import parse_duration, parse_instant, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable


class Parsed(click.ParamType[Any]):
    """A value that one of the configuration's parsers reads; what it refuses is a usage error with its own words."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


INSTANT = Parsed("instant", parse_instant)
DURATION = Parsed("duration", parse_duration)
SIZE = Parsed("size", parse_size)
