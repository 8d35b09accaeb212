"""Jinja with everything escaped, and the filters by which templates show measures and strangers' texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jinja2

from archiver.domain.recording import State
from archiver.web import filters, measures, states, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATES = frozenset(state.value for state in State)


def environment() -> jinja2.Environment:
    """The templates of this package. A name that a template gets wrong is an error, not an empty place."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("archiver.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "ago": measures.ago,
        "block": visible.block,
        "css": _css,
        "day": measures.day,
        "duration": measures.duration,
        "exact": measures.exact,
        "instant": measures.instant,
        "length_of": measures.length,
        "line": _line,
        "listing": _listing,
        "number": measures.number,
        "second": measures.second,
        "size": measures.size,
        "word": states.word,
    }
    return made


def _line(text: str, most: int = visible.LINE) -> str:
    return visible.line(text, most=most)


def _css(state: str) -> str:
    """A state as a class name; what this program does not know must not choose one."""
    return state if state in _STATES else "unknown"


def _listing(given: Mapping[str, str]) -> str:
    return filters.href("/recordings", list(given.items()))
