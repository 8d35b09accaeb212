"""Telnyx' list parameters: deepObject filters and numbered pages, refused as strictly as the specification words them."""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archiver.simulator.messages import Request

T = TypeVar("T")
_DEEP = re.compile(r"(filter|page)((?:\[[^\[\]]*\])*)")
_SIZES = range(1, 251)
_DEFAULT_SIZE = 20


class Refused(Exception):
    """A list parameter that the API does not take; the API gives it its shape."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Filter:
    """How one filter is read and what of an item it is compared with (None never matches)."""

    read: Callable[[str], Any]
    value: Callable[[Any, datetime], Any]
    operators: frozenset[str] = frozenset()  # none: the plain form, by equality
    plain: Callable[[Any, Any], bool] = lambda found, wanted: bool(found == wanted)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda found, wanted: bool(found == wanted),
    "gte": lambda found, wanted: bool(found >= wanted),
    "lte": lambda found, wanted: bool(found <= wanted),
}


def on_date(value: Callable[[Any, datetime], datetime | None]) -> Filter:
    """Whole days, inclusive; the days are UTC's (the specification does not say whose)."""

    def day(item: Any, now: datetime) -> date | None:
        instant = value(item, now)
        return None if instant is None else instant.astimezone(UTC).date()

    return Filter(_read_date, day, frozenset({"eq", "gte", "lte"}))


def at_instant(value: Callable[[Any, datetime], datetime | None]) -> Filter:
    """Date-times, inclusive, compared at the milliseconds that the API shows."""

    def shown(item: Any, now: datetime) -> datetime | None:
        instant = value(item, now)
        return None if instant is None else instant.replace(microsecond=instant.microsecond // 1000 * 1000)

    return Filter(_read_instant, shown, frozenset({"gte", "lte"}))


def text(value: Callable[[Any, datetime], Any]) -> Filter:
    """A string, by equality and case."""
    return Filter(str, value)


def identity(value: Callable[[Any, datetime], Any]) -> Filter:
    """A UUID."""
    return Filter(_read_uuid, value)


def flag(value: Callable[[Any, datetime], bool]) -> Filter:
    """`true` or `false`."""
    return Filter(read_flag, value)


def at_least(value: Callable[[Any, datetime], Any]) -> Filter:
    """An integer: the plain form means "greater or equal", and the older form with operators still works (sources disagree)."""
    return Filter(_read_integer, value, frozenset({"eq", "gte", "lte"}), _OPERATORS["gte"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A parsed list request."""

    conditions: tuple[tuple[str, str, str], ...]
    filters: Mapping[str, Filter]
    number: int
    size: int

    def matches(self, item: Any, now: datetime) -> bool:
        """Whether an item passes every filter."""
        return all(self._holds(item, now, *condition) for condition in self.conditions)

    def _holds(self, item: Any, now: datetime, name: str, operator: str, wanted: str) -> bool:
        known = self.filters[name]
        found = known.value(item, now)
        compare = _OPERATORS[operator] if operator else known.plain
        return found is not None and compare(found, known.read(wanted))


def parse(request: Request, filters: Mapping[str, Filter]) -> Query:
    """Reads filters and page; raises Refused for an unknown filter, a value of the wrong form or a page out of range."""
    conditions, page = [], {"number": "1", "size": str(_DEFAULT_SIZE)}
    for name, value in request.query:
        deep = _DEEP.fullmatch(name)
        if deep is None:
            continue
        keys = re.findall(r"\[([^\[\]]*)\]", deep[2])
        if deep[1] == "page" and len(keys) == 1 and keys[0] in page:
            page[keys[0]] = value
        elif deep[1] == "filter":
            conditions.append(_condition(name, keys, value, filters))
        else:
            raise Refused("10015", f"{name} is not a parameter of this list")
    number, size = _read_integer(page["number"]), _read_integer(page["size"])
    if number < 1 or size not in _SIZES:
        raise Refused("10033", f"page[number]={number}, page[size]={size}: number is at least 1, size from 1 to 250")
    return Query(conditions=tuple(sorted(conditions)), filters=filters, number=number, size=size)


def _condition(name: str, keys: list[str], value: str, filters: Mapping[str, Filter]) -> tuple[str, str, str]:
    known = filters.get(keys[0]) if keys else None
    operator = keys[1] if len(keys) == 2 else ""
    plain_form = known is not None and (not known.operators or known.plain is _OPERATORS["gte"])
    if known is None or len(keys) > 2 or (operator not in known.operators if operator else not plain_form):
        raise Refused("10031", f"{name} is not a filter of this list")
    known.read(value)
    return keys[0], operator, value


def page_of(query: Query, found: list[T]) -> tuple[list[T], dict[str, int]]:
    """The page asked for, empty beyond the last, and its meta."""
    first = (query.number - 1) * query.size
    pages = math.ceil(len(found) / query.size)
    meta = {"page_number": query.number, "page_size": query.size, "total_pages": pages, "total_results": len(found)}
    return found[first : first + query.size], meta


def read_flag(value: str) -> bool:
    """`true` or `false`; raises Refused."""
    if value not in {"true", "false"}:
        raise Refused("10015", f"{value!r} is neither true nor false")
    return value == "true"


def _read_date(value: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise Refused("10031", f"{value!r} is not a date (YYYY-MM-DD)")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise Refused("10031", f"{value!r} is not a date (YYYY-MM-DD)") from error


def _read_instant(value: str) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except ValueError as error:
        raise Refused("10031", f"{value!r} is not an ISO 8601 date-time") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _read_integer(value: str) -> int:
    if not re.fullmatch(r"-?\d{1,9}", value):
        raise Refused("10015", f"{value!r} is not an integer")
    return int(value)


def _read_uuid(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError as error:
        raise Refused("10006", f"{value!r} is not a valid id") from error
