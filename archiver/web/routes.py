"""Which address answers what: one table, matched against the raw path, so that nothing is normalised behind our back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_to_bytes

from archiver.web.refusals import bad_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiohttp import web

READING = ("GET", "HEAD")
TELLING = ("POST",)
_LONGEST_PATH = 1024  # bytes
_LONGEST_QUERY = 2048
_MOST_PARAMETERS = 40
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f\\\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request whose address has been understood: `parts` are the named pieces of the path, `query` in the order given.

    `request` is for those who take a body and prove by its bytes who sent it.
    """

    path: str
    request: web.BaseRequest
    parts: Mapping[str, str] = field(default_factory=dict)
    query: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An address pattern and what answers it.

    `{name}` stands for one segment of the path, `{name...}` for the rest of it. `for_machines` answers to monitoring without
    signing in, and so tells no name of a recording, room or person. `signed`: the request proves itself by a signature, so
    nobody signs in, and the Host header, which a proxy may have changed, is nobody's business.
    """

    pattern: str
    answer: Callable[[Asked], Awaitable[web.Response]]
    for_machines: bool = False
    signed: bool = False
    methods: tuple[str, ...] = READING

    def match(self, segments: Sequence[str]) -> Mapping[str, str] | None:
        """The named pieces where the path fits, else None."""
        wanted = self.pattern.split("/")[1:]
        found: dict[str, str] = {}
        for at, piece in enumerate(wanted):
            if piece.endswith("...}"):
                found[piece[1:-4]] = "/".join(segments[at:])
                return found if len(segments) > at and all(segments[at:]) else None
            if at >= len(segments) or not (piece.startswith("{") or piece == segments[at]):
                return None
            if piece.startswith("{"):
                if not segments[at]:
                    return None
                found[piece[1:-1]] = segments[at]
        return found if len(segments) == len(wanted) else None


def segments_of(target: str) -> tuple[str, ...]:
    """The decoded segments of a request target's path; raises Refusal for one that no honest client sends."""
    path = target.partition("?")[0]
    if not path.startswith("/") or "#" in target:
        raise bad_request("The address is not a path on this server.")
    if len(path) > _LONGEST_PATH:
        raise bad_request(f"The address is longer than {_LONGEST_PATH} bytes.")
    segments = tuple(_decoded(piece) for piece in path[1:].split("/"))
    if any(piece in (".", "..") for piece in segments) or "" in segments[:-1]:
        raise bad_request("The address has an empty segment, `.` or `..` in it.")
    return segments


def query_of(target: str) -> tuple[tuple[str, str], ...]:
    """The parameters of a request target; raises Refusal where there are too many, or they are not UTF-8."""
    query = target.partition("?")[2]
    if len(query) > _LONGEST_QUERY:
        raise bad_request(f"The query is longer than {_LONGEST_QUERY} bytes.")
    if _BAD_PERCENT.search(query):
        raise bad_request("The query has a percent sign that encodes nothing.")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="strict")
    except ValueError:
        raise bad_request(f"The query is not UTF-8, or has more than {_MOST_PARAMETERS} parameters.") from None
    if any("\x00" in name or "\x00" in value for name, value in pairs):
        raise bad_request("The query has a NUL in it.")
    return tuple(pairs)


def _decoded(piece: str) -> str:
    if _BAD_PERCENT.search(piece):
        raise bad_request("The address has a percent sign that encodes nothing.")
    try:
        text = unquote_to_bytes(piece).decode()
    except UnicodeDecodeError:
        raise bad_request("The address is not UTF-8.") from None
    if _CONTROL.search(text):
        raise bad_request("The address has a control character or a backslash in it.")
    return text
