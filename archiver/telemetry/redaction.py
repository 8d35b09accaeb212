"""What may leave the program as text: credentials, presigned queries and media bytes are taken out of whatever is said.

Two nets, because each has holes. Literal secrets are known once they are registered; patterns catch what nobody registered,
such as the signature in a link that a provider made up a second ago.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
_SHORTEST_LITERAL = 6  # characters; a shorter one would tear holes into every other word
_LONGEST_TEXT = 32_768  # characters of one value; patterns run in linear time, but not for nothing
_DEEPEST = 6
_MOST_MEMBERS = 200
_MOST_NAMES = 1000

_NAMES = (
    r"password|passwd|passphrase|pgpassword|pwd|secret|token|signature|sig|api[_-]?key|apikey|private[_-]?key|credentials?|cookie"
    r"|x-amz-[a-z0-9-]{1,40}"
)
_SENSITIVE_KEY = re.compile(
    r"passw|passphrase|secret|token|signature|api[_-]?key|private[_-]?key|credential|cookie|authorization|x-amz-"
    r"|(?:^|[^a-z])(?:pwd|sig)(?:$|[^a-z])",
    re.IGNORECASE,
)
_VALUE = r"""(?:\\{1,7}['"][^'"]*|"(?:[^"\\]|\\.)*(?:"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z)|[^\s,;&'"<>()\[\]{}]+)"""

_URL = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^\s'\"<>]+", re.IGNORECASE)
_WEB = re.compile(r"https?|wss?|s3|file", re.IGNORECASE)

# Every repetition is bounded or cannot give back what it took: a hostile text costs time linear in its length.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A private key, also one cut off before its end.
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # Header lines and reprs of header mappings: everything up to the end of the quote or line.
    (
        re.compile(r"(authorization\\{0,7}['\"]?\s{0,8}[:=,]\s{0,8}(?:b(?=['\"]))?\\{0,7}['\"]?)[^'\"\r\n]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer|basic)\s+(?!auth\b|authentication\b|token\b)[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\bAWS4-HMAC-SHA256\b[^'\"\r\n]*"), MASK),
    # name=value, "name": "value", ('name', 'value'), also percent-encoded or as JSON inside JSON.
    (
        re.compile(
            rf"((?:{_NAMES})(?:[_-][a-z0-9_-]{{1,40}})?\\{{0,7}}['\"]?\s{{0,8}}(?:[=:]|%3d|,(?=\s{{0,8}}b?['\"]))\s{{0,8}}(?:b(?=['\"]))?){_VALUE}",
            re.IGNORECASE | re.DOTALL,
        ),
        rf"\1{MASK}",
    ),
    # What looks like a credential by itself: Telnyx keys, AWS access keys, JSON Web Tokens.
    (re.compile(r"\bKEY[0-9A-Za-z_-]{16,}"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*)?"), MASK),
)
# Most texts are names and ids: without one of these characters or words no pattern can match.
_TRIGGER = re.compile(r"[:=,?@]|%3d|bearer|basic|KEY|AKIA|ASIA|AWS4|eyJ|-----BEGIN", re.IGNORECASE)


class Redactor:
    """Takes secrets out of texts and values. One is enough for a program; tests make their own."""

    def __init__(self) -> None:
        self._literals: tuple[str, ...] = ()
        self._names: dict[str, tuple[str, bool]] = {}  # names of fields come again and again: cleaned once

    def register(self, value: str) -> None:
        """Remembers a literal secret, in every spelling in which libraries repeat it. Shorter than 6 characters is ignored."""
        if len(value) < _SHORTEST_LITERAL:
            return
        spellings = {value, quote(value, safe="", errors="replace"), quote_plus(value, errors="replace"), repr(value)[1:-1]}
        spellings |= {json.dumps(value)[1:-1], value.strip()}
        known = {*self._literals, *spellings}
        # The longest first: one secret may contain another.
        self._literals = tuple(sorted((text for text in known if len(text) >= _SHORTEST_LITERAL), key=len, reverse=True))
        self._names.clear()

    def text(self, text: str) -> str:
        """The text without secrets. Literal ones go before it is cut to 32,768 characters, so that no half of one remains."""
        for literal in self._literals:
            if literal in text:
                text = text.replace(literal, MASK)
        if len(text) > _LONGEST_TEXT:
            text = f"{text[:_LONGEST_TEXT]}… ({len(text) - _LONGEST_TEXT} more)"
        if _TRIGGER.search(text):
            text = _URL.sub(lambda found: _public_part(found[0]), text)
            for pattern, replacement in _PATTERNS:
                text = pattern.sub(replacement, text)
        return text

    def value(self, value: Any, depth: int = 0) -> Any:
        """The value as plain JSON without secrets; bytes become their number, foreign objects their text."""
        match value:
            case None | bool():
                return value
            case Enum():
                return self.value(value.value, depth + 1)
            case str():
                return self.text(str(value))
            case int():
                return int(value) if abs(value) < 1 << 63 else f"a number of {value.bit_length()} bits"
            case float():
                return float(value) if abs(value) < float("inf") else str(value)
            case bytes() | bytearray() | memoryview():
                return f"<{len(value)} bytes>"
            case datetime() | date():
                return value.isoformat().replace("+00:00", "Z")
            case timedelta():
                return value.total_seconds()
        return self._members(value, depth)

    def _members(self, value: Any, depth: int) -> Any:
        match value:
            case _ if depth >= _DEEPEST:
                return f"<{type(value).__name__}>"
            case Mapping():
                return self.mapping(value, depth + 1)
            case list() | tuple() | set() | frozenset():
                members = [self.value(member, depth + 1) for member, _ in zip(value, range(_MOST_MEMBERS), strict=False)]
                return members if len(value) <= _MOST_MEMBERS else [*members, f"… ({len(value) - _MOST_MEMBERS} more)"]
            case BaseException():
                return self.text(f"{type(value).__name__}: {_said(value)}")
            case _:
                return self.text(_said(value))

    def mapping(self, mapping: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """A mapping without secrets; what stands under a telling name (password, token, signature, …) goes whole."""
        clean: dict[str, Any] = {}
        for key, value in mapping.items():
            name, sensitive = self._name(key if isinstance(key, str) else _said(key))
            clean[name] = MASK if sensitive and value else self.value(value, depth)
        return clean

    def _name(self, key: str) -> tuple[str, bool]:
        """A field's name without secrets, and whether what stands under it has to go whole."""
        known = self._names.get(key)
        if known is None:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            known = self._names[key] = self.text(key), _SENSITIVE_KEY.search(key) is not None
        return known


def _public_part(url: str) -> str:
    """A URL without user, password, query and fragment.

    In a web URL a slash ends the authority. A database URL may hold any character in its password, so there the last @ counts.
    """
    scheme, _, rest = url.partition("://")
    whole = rest if not _WEB.fullmatch(scheme) else re.split(r"[/?#]", rest, maxsplit=1)[0]
    _, at, authority = whole.rpartition("@")
    tail = authority + rest[len(whole) :]
    shown = re.split(r"[?#]|(?=://)", tail, maxsplit=1)[0]
    return f"{scheme}://{MASK if at else ''}{at}{shown}" + ("" if len(shown) == len(tail) else f"?{MASK}")


def _said(value: object) -> str:
    """What an object says of itself; a log line must not fail on one that cannot."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the object is foreign, its errors are of any kind
        return f"<{type(value).__name__}>"


_redactor = Redactor()


def register_secret(value: str) -> None:
    """Has a literal secret taken out of everything that is logged or passed through `redact` from now on."""
    _redactor.register(value)


def redact(text: str) -> str:
    """The text as it may be shown to anybody."""
    return _redactor.text(text)


def program_redactor() -> Redactor:
    """The redactor that `register_secret` feeds."""
    return _redactor
