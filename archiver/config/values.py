"""What a configured value is when nothing is known about it yet: said in words without giving a secret away, or refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from archiver.config.quantities import quoted
from archiver.config.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Callable

# What a control character, a line break or a lone surrogate does to headers, keys and logs is never what was meant.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LIKE_A_SECRET = re.compile(r"[A-Za-z0-9+_=-]{32,}|\b(?:KEY|AKIA|ASIA)[0-9A-Za-z]{8,}")


class Unacceptable(ValueError):
    """A value cannot be used. `found` describes it without giving a secret away; `accepted` overrides that of its kind."""

    def __init__(self, found: str, *, accepted: str = "", hint: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.accepted = accepted
        self.hint = hint


def shape(raw: object) -> str:
    """What kind of thing it is, without its content."""
    match raw:
        case bool():
            return "a boolean"
        case str():
            return f"text of {len(raw)} characters" if raw else "empty text"
        case int():
            return "a whole number"
        case float():
            return "a number with a point"
        case list():
            return f"an array of {len(raw)}"
        case Mapping():
            return "a table"
        case _:
            return "a date or time"


def described(raw: object) -> str:
    """The value itself where it is short and harmless, else its shape. Passwords in URLs and queries are masked."""
    match raw:
        case bool():
            return f"the boolean {str(raw).lower()}"
        case str() if raw and not _LIKE_A_SECRET.search(raw):
            return quoted(masked_url(raw))
        case int() if abs(raw) < 10**18:
            return f"the number {raw}"
        case float():
            return f"the number {raw}"
        case _:
            return shape(raw)


def masked_url(text: str) -> str:
    """The text without what stands before its last @ (beyond a scheme) and without query and fragment.

    The last @ is looked for first: a password that was not percent-encoded may hold `?`, `#`, `/` and `@` itself.
    """
    before, at, after = text.rpartition("@")
    shown = re.split(r"[?#]", after, maxsplit=1)[0]
    if not at:
        return shown
    scheme, slashes, _ = before.partition("//")
    return f"{scheme if slashes else ''}{slashes}{MASK}@{shown}"


def plain_text(raw: object) -> str:
    """Text on one line; raises Unacceptable for everything else."""
    if not isinstance(raw, str):
        raise Unacceptable(described(raw))
    if _UNPRINTABLE.search(raw):
        raise Unacceptable(f"{shape(raw)} with a line break, tab or other control character in it")
    return raw


def bounded(raw: object, value: Any, least: Any, most: Any) -> Any:
    """The value, when it lies within its limits; `raw` is what it was read from."""
    if not least <= value <= most:
        raise Unacceptable(described(raw))
    return value


def parsed(raw: object, parse: Callable[[str], Any]) -> Any:
    """What a parser of `quantities.py` makes of it."""
    text = plain_text(raw)
    try:
        return parse(text)
    except ValueError as error:
        raise Unacceptable(described(raw), hint=str(error).partition("hint: ")[2]) from None


def did_you_mean(name: str, possible: Iterable[str]) -> str:
    """`did you mean …?` for the nearest of the possible names, empty where none is near."""
    near = difflib.get_close_matches(name[:100], list(possible), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


def problem(place: str, key: str, found: str, accepted: str, hint: str = "") -> str:
    """One line about one setting; every one that is told looks like this."""
    return f"{place}: {key}: found {found}; accepted: {accepted}" + (f"; hint: {hint}" if hint else "")
