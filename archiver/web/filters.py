"""What a query asks for: the selectors of `archiver list`, checked, and a place to go on from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from archiver.catalog.selector import Selector
from archiver.config import parse_instant
from archiver.domain.recording import State
from archiver.web.refusals import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

SHOWN = 50  # rows of a page
DEFAULT, MOST = 100, 500  # items of an answer of the API
_LONGEST = 200  # characters of a value
_REPEATED = ("id", "source", "state")
_SELECTORS = (*_REPEATED, "since", "until", "room", "participant")
_OF_API = (*_SELECTORS, "limit", "after", "order")
_OF_PAGE = (*_SELECTORS, "ended", "after")
_NUMBER = re.compile(r"[0-9]{1,18}")
_SOURCE = re.compile(r"[a-z0-9-]{1,40}")
_STATES = tuple(state.value for state in State)
ENDED: Mapping[str, tuple[timedelta, str]] = {
    "24h": (timedelta(hours=24), "the last 24 hours"),
    "7d": (timedelta(days=7), "the last 7 days"),
    "30d": (timedelta(days=30), "the last 30 days"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """A checked query. `given` holds its parameters without the place to go on from, for links; `ended` names a period."""

    selector: Selector
    given: tuple[tuple[str, str], ...]
    limit: int = DEFAULT
    after: int = 0
    newest_first: bool = False
    ended: str = ""


def of_api(query: Sequence[tuple[str, str]]) -> Filters:
    """Reads a query of the API; raises Refusal (400) naming the parameter, what was found and what is accepted."""
    values = _values(query, _OF_API)
    order = _one(values, "order") or "oldest"
    if order not in ("oldest", "newest"):
        raise bad_request("order: found something else; accepted: oldest, newest.")
    return Filters(
        selector=_selector(values),
        given=_given(query),
        limit=_number(values, "limit", DEFAULT, 1, MOST),
        after=_number(values, "after", 0, 0, 2**62),
        newest_first=order == "newest",
    )


def of_page(query: Sequence[tuple[str, str]], now: datetime) -> Filters:
    """Reads a query of the page, where `ended` may name a period that ends now."""
    values = _values(query, _OF_PAGE)
    ended = _one(values, "ended")
    if ended and ended not in ENDED:
        raise bad_request(f"ended: found something else; accepted: {', '.join(ENDED)}.")
    if ended and ("since" in values or "until" in values):
        raise bad_request("ended: found beside since or until; accepted: one or the other.")
    since = now - ENDED[ended][0] if ended else None
    after = _number(values, "after", 0, 0, 2**62)
    return Filters(
        selector=_selector(values, since=since), given=_given(query), limit=SHOWN, after=after, newest_first=True, ended=ended
    )


def href(path: str, given: Sequence[tuple[str, str]] = ()) -> str:
    """A link with a query, without parameters that are empty."""
    query = urlencode([(name, value) for name, value in given if value])
    return f"{path}?{query}" if query else path


def _values(query: Sequence[tuple[str, str]], accepted: Sequence[str]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in query:
        if name not in accepted:
            raise bad_request(f"Unknown parameter {name[:40]!r}; accepted: {', '.join(accepted)}.")
        if len(value) > _LONGEST:
            raise bad_request(f"{name}: found {len(value)} characters; accepted: at most {_LONGEST}.")
        if value:
            values.setdefault(name, []).append(value)
    for name, found in values.items():
        if len(found) > 1 and name not in _REPEATED:
            raise bad_request(f"{name}: found {len(found)} times; accepted: once.")
    return values


def _given(query: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in query if value and name not in ("after", "limit"))


def _selector(values: Mapping[str, Sequence[str]], *, since: datetime | None = None) -> Selector:
    for state in values.get("state", ()):
        if state not in _STATES:
            raise bad_request(f"state: found {state[:40]!r}; accepted: {', '.join(_STATES)}.")
    for source in values.get("source", ()):
        if not _SOURCE.fullmatch(source):
            raise bad_request(f"source: found {source[:40]!r}; accepted: 1 to 40 of a-z 0-9 -.")
    start, end = since or _instant(values, "since"), _instant(values, "until")
    if start and end and start >= end:
        raise bad_request("since: found an instant that is not before until; accepted: one before it.")
    return Selector(
        ids=tuple(values.get("id", ())),
        sources=tuple(values.get("source", ())),
        states=tuple(values.get("state", ())),
        since=start,
        until=end,
        room=_one(values, "room"),
        participant=_one(values, "participant"),
    )


def _one(values: Mapping[str, Sequence[str]], name: str) -> str:
    return values.get(name, [""])[0]


def _instant(values: Mapping[str, Sequence[str]], name: str) -> datetime | None:
    text = _one(values, name)
    try:
        return parse_instant(text) if text else None
    except ValueError as error:
        hint = "in an address, + is written %2B" if " " in text else ""
        raise bad_request(f"{name}: {error}.", hint=hint) from None


def _number(values: Mapping[str, Sequence[str]], name: str, default: int, least: int, most: int) -> int:
    text = _one(values, name)
    if not text:
        return default
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise bad_request(f"{name}: found {text[:40]!r}; accepted: {least} to {most}.")
    return int(text)
