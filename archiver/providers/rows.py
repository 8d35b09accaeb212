"""One row of a provider's list, read field by field: what cannot be right is taken as unknown and flagged, never fatal.

Only a row without a usable id is refused, and even that one is kept raw.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from archiver.domain.recording import Listed, ProviderStatus, Rejected
from archiver.providers.bodies import Repeated
from archiver.providers.raw import TooDeep, rejected_text, storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")
LONGEST_TEXT = 1_024  # of a field of its own; the raw JSON keeps the rest
AHEAD = timedelta(days=2)  # a provider's clock may be a day wrong in either direction (reliability.md 3a)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # zero dates such as 0001-01-01 and 1970-01-01 are no instants
LONGEST_DURATION = 366 * 86_400.0
MOST_BYTES = 1 << 63
_STATUS = {status.value: status for status in ProviderStatus if status is not ProviderStatus.UNKNOWN}
UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


class RowRefused(ValueError):
    """A row that cannot be catalogued; its text says why."""


class Row:
    """Reads fields of one row; `raw` is the row as it may be stored, `flags` what looked wrong so far.

    Raises RowRefused for what is no JSON object, names a key twice or is nested beyond reason.
    """

    __slots__ = ("_latest", "flags", "raw")

    def __init__(self, row: Any, *, now: datetime) -> None:
        if not isinstance(row, dict):
            raise RowRefused(f"the row is {_shape(row)}, accepted: an object")
        if isinstance(row, Repeated):
            raise RowRefused("the row names a key twice")
        try:
            self.raw: dict[str, Any] = storable(row)
        except TooDeep as error:
            raise RowRefused(str(error)) from None
        self.flags: list[str] = []
        self._latest = now + AHEAD

    def ident(self, name: str, pattern: re.Pattern[str], accepted: str) -> str:
        """The id of the row; raises RowRefused for one that does not match."""
        value = self.raw.get(name)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        raise RowRefused(f"{name} is {_shape(value)}, accepted: {accepted}")

    def text(self, name: str, *, of: Any = None) -> str:
        """A text, "" where it is missing or something else; `of` is another object than the row to look in."""
        value = (self.raw if of is None else of).get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            return self._unknown(f"{name} is {_shape(value)}, accepted: a text", "")
        if len(value) > LONGEST_TEXT:
            return self._unknown(f"{name} has {len(value)} characters, cut at {LONGEST_TEXT}", value[:LONGEST_TEXT])
        return value

    def object(self, name: str) -> Mapping[str, Any]:
        """An object inside the row, empty where it is missing or something else."""
        value = self.raw.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        return self._unknown(f"{name} is {_shape(value)}, accepted: an object", {})

    def status(self) -> tuple[ProviderStatus, str]:
        """The status in our words and in the provider's; a word we do not know is UNKNOWN."""
        said = self.text("status")
        return _STATUS.get(said.lower(), ProviderStatus.UNKNOWN), said

    def instant(self, name: str) -> datetime | None:
        """An ISO 8601 instant in UTC; None where it is missing, no instant, before 2000 or over two days ahead of our clock."""
        value = self.raw.get(name)
        if value is None or value == "":
            return None
        try:
            found = datetime.fromisoformat(value)
            if found.tzinfo is None:
                self.flags.append(f"{name} names no time zone, taken as UTC")
                found = found.replace(tzinfo=UTC)
            elif found.tzinfo is not UTC:
                found = found.astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            return self._unknown(f"{name} is {_shape(value)}, accepted: an ISO 8601 instant", None)
        if found > self._latest:
            return self._unknown(f"{name} {found.isoformat()} lies in the future", None)
        if found < EARLIEST:
            return self._unknown(f"{name} {found.isoformat()} lies before any recording", None)
        return found

    def span(self, started: datetime | None, ended: datetime | None) -> tuple[datetime | None, datetime | None]:
        """Start and end in order. Where they are not, the end stays: it is what the provider's own filter files the row under."""
        if started is not None and ended is not None and started > ended:
            return self._unknown("started after it ended", None), ended
        return started, ended

    def end(self, name: str, started: datetime | None, duration: float | None) -> datetime | None:
        """The end as start and duration make it; None where either is unknown or the end would lie ahead of our clock."""
        if started is None or duration is None:
            return None
        found = started + timedelta(seconds=duration)
        return self._unknown(f"{name} {found.isoformat()} lies in the future", None) if found > self._latest else found

    def seconds(self, name: str, *, per_second: int = 1) -> float | None:
        """A duration in seconds from a number of 1/`per_second`; None where it is missing, negative or longer than a year."""
        value = self.raw.get(name)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_DURATION * per_second:
            return value / per_second
        return self._unknown(f"{name} is {_shape(value)}, accepted: 0 to {LONGEST_DURATION * per_second:.0f}", None)

    def size(self, name: str) -> int | None:
        """A number of bytes from 1 to 2^63 - 1; None for anything else."""
        value = self.raw.get(name)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST_BYTES:
            return value
        return self._unknown(f"{name} is {_shape(value)}, accepted: a whole number of bytes", None)

    def _unknown(self, flag: str, value: T) -> T:
        self.flags.append(flag)
        return value


def read_rows(rows: Sequence[Any], read: Callable[[Any], Listed]) -> tuple[tuple[Listed, ...], tuple[Rejected, ...]]:
    """Every row as a recording or as a rejected one; a recording that is listed twice on a page counts once, as listed last."""
    found: dict[str, Listed] = {}
    rejected: list[Rejected] = []
    for row in rows:
        try:
            listed = read(row)
            found[listed.recording_id] = listed
        except RowRefused as error:
            rejected.append(Rejected(reason=str(error), raw=rejected_text(row)))
    return tuple(found.values()), tuple(rejected)


def _shape(value: Any) -> str:
    """A found value in a message: short, and never a whole text of somebody else's."""
    if isinstance(value, str):
        return f"a text of {len(value)} characters" if len(value) > 40 else ascii(value)
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 64 else "an enormous number"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "no finite number"
    return "an object" if isinstance(value, dict) else "a list"
