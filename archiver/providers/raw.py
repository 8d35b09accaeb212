"""A provider's JSON as it may be kept: no query on any URL, and no character that a database refuses.

The catalog stores it as text, and PostgreSQL takes neither NUL nor lone surrogates (reliability.md, section 4).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEEPEST = 50
LONGEST_REJECTED = 64 * 1024
_ESCAPED = re.compile(r"[\x00\ud800-\udfff]|\\(?=u[0-9a-fA-F]{4})")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_TOKEN = re.compile(r"\S+")
_URL = re.compile(r"://|^//")
_WHOLE_URL = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]{0,20}:)?//")
_SIGNED = re.compile(r"[?&](?:X-Amz-|AWSAccessKeyId=|Signature=|Expires=|sig=|token=)", re.IGNORECASE)


class TooDeep(ValueError):
    """JSON nested deeper than any provider nests it."""


def storable(value: Any, depth: int = DEEPEST) -> Any:
    """A copy of parsed JSON in which every text, keys included, is escaped and has no queries; raises TooDeep.

    A number that JSON has no spelling for (1e999) becomes the text Python has for it.
    """
    if value is None or value is True or value is False or type(value) is int:
        return value
    if isinstance(value, str):
        return storable_text(value)
    if depth == 0:
        raise TooDeep(f"nested deeper than {DEEPEST}")
    if isinstance(value, dict):
        # An identifier holds nothing that would have to be escaped or cut, and nearly every key is one.
        return {
            name if name.isidentifier() else storable_text(name): storable_text(item)
            if type(item) is str
            else storable(item, depth - 1)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [storable(item, depth - 1) for item in value]
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def storable_text(text: str) -> str:
    """A text with NUL and lone surrogates escaped and with the query cut off every URL in it."""
    if not text.isprintable() or "\\" in text:
        text = escaped(text)
    return cut_queries(text) if "/" in text or "?" in text else text


def escaped(text: str) -> str:
    """NUL and lone surrogates as backslash, u and four hexadecimal digits.

    A backslash that would look like the beginning of such an escape is escaped itself, so that `unescaped` gives back every text.
    """
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def unescaped(text: str) -> str:
    """The text that `escaped` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def cut_queries(text: str) -> str:
    """A text in which every URL, and whatever carries a signature, ends before its query or fragment.

    Word by word, so that the work stays linear in the length of a hostile text; a text that begins as a URL is one word.
    """
    if "?" not in text and "#" not in text:
        return text
    return _cut(text) if _WHOLE_URL.match(text) else _TOKEN.sub(lambda found: _cut(found[0]), text)


def _cut(word: str) -> str:
    if not _URL.search(word):
        signed = _SIGNED.search(word)
        return word[: signed.start()] if signed else word
    ends = [end for end in (word.find("?"), word.find("#")) if end >= 0]
    return word[: min(ends)] if ends else word


def rejected_text(row: Any) -> str:
    """A row that could not be read, as JSON text of at most 64 KiB."""
    try:
        text = json.dumps(storable(row), ensure_ascii=True)
    except (TooDeep, RecursionError):
        text = f'"nested deeper than {DEEPEST}"'
    return text[:LONGEST_REJECTED]
