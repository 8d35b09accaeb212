"""Twilio's list parameters and pages: opaque tokens, absolute page URLs, and refusals in Twilio's shape."""

from __future__ import annotations

import base64
import hmac
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from archiver.simulator.messages import Reply, Request, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"\d{1,9}")
_DEFAULT_SIZE = 50
_SEAL = 9  # bytes of the token that prove its origin
_MESSAGES = {20003: "Authenticate", 20429: "Too Many Requests", 21481: "Invalid PageToken"}


def error(status: int, code: int, message: str = "") -> Reply:
    """An error in Twilio's legacy shape, which its SDK reads first."""
    text = message or _MESSAGES[code]
    return json_reply(
        status, {"code": code, "message": text, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    )


class Refused(Exception):
    """A parameter that the API does not take. 20001 for a bad value is our choice: the codes of validation are NOT FOUND."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.reply = error(400, code, message)


def one_of(request: Request, name: str, accepted: Collection[str]) -> str | None:
    """The value of an enumerated parameter; raises Refused for a value that is not accepted."""
    value = request.parameter(name)
    if value is not None and value not in accepted:
        raise Refused(20001, f"{name} {value!r} is none of {', '.join(accepted)}")
    return value


def instant(request: Request, name: str, *, days: bool = False) -> datetime | None:
    """A date-time with its zone, as the specification asks, or for lists of rooms a date; raises Refused for anything else."""
    value = request.parameter(name)
    if value is None:
        return None
    if days and _DATE.fullmatch(value):
        value += "T00:00:00Z"
    try:
        read = datetime.fromisoformat(value) if _INSTANT.fullmatch(value) else None
    except ValueError:
        read = None
    if read is None:
        raise Refused(20001, f"{name} {value!r} is not an ISO 8601 date-time with time zone")
    return read.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a list has to page through: items in order, each with its place in that order and its JSON."""

    key: str
    items: Sequence[Any]
    place: Callable[[Any], tuple[datetime, str]]
    show: Callable[[Any], dict[str, Any]]
    largest: int  # page size


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages whose token names the last item given out, so that nothing shifts; `Page` is no more than the client's own note."""

    secret: bytes
    newest_first: bool

    def answer(self, request: Request, listing: Listing) -> Reply:
        """One page; raises Refused for a size above the largest and for a token that these pages did not make."""
        size, number = _sizes(request, listing.largest)
        token = request.parameter("PageToken")
        first = 0 if token is None else self._after(token, listing)
        at = 0 if token is None else number
        items = listing.items[first : first + size]
        more = first + len(items) < len(listing.items)
        before = self._token(listing, first - size - 1) if first > size else None
        meta = {
            "page": at,
            "page_size": size,
            "first_page_url": _url(request, size, 0, None),
            "previous_page_url": _url(request, size, at - 1, before) if first and at else None,
            "url": _url(request, size, at, token),
            "next_page_url": _url(request, size, at + 1, self._token(listing, first + size - 1)) if more else None,
            "key": listing.key,
        }
        return json_reply(200, {listing.key: [listing.show(item) for item in items], "meta": meta})

    def _token(self, listing: Listing, index: int) -> str:
        instant_, sid = listing.place(listing.items[index])
        plain = f"{instant_.isoformat()} {sid}".encode()
        return "PT" + base64.urlsafe_b64encode(self._seal(plain) + plain).decode().rstrip("=")

    def _seal(self, plain: bytes) -> bytes:
        return hmac.digest(self.secret, plain, "sha256")[:_SEAL]

    def _after(self, token: str, listing: Listing) -> int:
        """Where the items behind a token begin."""
        try:
            content = base64.urlsafe_b64decode(token.removeprefix("PT") + "=" * (-(len(token) - 2) % 4))
        except ValueError as wrong:
            raise Refused(21481) from wrong
        plain = content[_SEAL:]
        if not token.startswith("PT") or not hmac.compare_digest(content[:_SEAL], self._seal(plain)):
            raise Refused(21481)
        at, _, sid = plain.decode().partition(" ")
        last = (datetime.fromisoformat(at), sid)
        if self.newest_first:
            return bisect_left(listing.items, True, key=lambda item: listing.place(item) < last)
        return bisect_left(listing.items, True, key=lambda item: listing.place(item) > last)


def _sizes(request: Request, largest: int) -> tuple[int, int]:
    size, number = request.parameter("PageSize") or str(_DEFAULT_SIZE), request.parameter("Page") or "0"
    if not _NUMBER.fullmatch(size) or int(size) < 1 or not _NUMBER.fullmatch(number):
        raise Refused(20001, f"PageSize {size} or Page {number} is no number that can be")
    if int(size) > largest:
        raise Refused(20007, f"Page size too large, maximum is {largest}")
    return int(size), int(number)


def _url(request: Request, size: int, page: int, token: str | None) -> str:
    kept = [(name, value) for name, value in request.query if name not in {"Page", "PageSize", "PageToken"}]
    own = [("PageSize", str(size)), ("Page", str(page)), *([("PageToken", token)] if token else [])]
    return f"{request.base_url}{request.path}?{urlencode([*kept, *own])}"
