"""What needs attention, in one list: what the catalog shows, and what only the running program knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STALLED = ": no complete pass "  # both sides notice a stalled source, in words of their own


def attention(status: Mapping[str, Any], live: Sequence[str]) -> list[str]:
    """The problems of a status document and of the running program, each once, what is urgent first."""
    known: list[str] = list(status["problems"])
    stalled = {text.partition(_STALLED)[0] for text in known if _STALLED in text}
    fresh = [text for text in live if text.partition(_STALLED)[0] not in stalled or _STALLED not in text]
    return list(dict.fromkeys([*fresh, *known]))
