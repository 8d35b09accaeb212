"""Pages of lists as they were read last, so that one that did not change is not read again.

Most polls find what the poll before found. Telling that costs one pass over the body; reading it costs fifty times as much.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.providers import bodies

if TYPE_CHECKING:
    from collections.abc import Hashable

    from archiver.domain.recording import Page

MOST_PAGES = 8  # a megabyte each: the lists that a poll walks again and again have one or two
_LINKS = (b"https://", b"http://")


@dataclass(frozen=True, slots=True)
class Kept:
    """A page and the link to the next one, "" where there is none or pages are numbered."""

    page: Page
    following: str = ""


def unsigned(body: bytes) -> bytes:
    """JSON without what follows the question mark of its links: they are signed anew for each answer, and nothing of that is ever
    kept (raw.py), so it makes no other page. A link with escapes or two question marks stays as it is.

    By hand, because a regular expression takes six times as long, half again as long as parsing.
    """
    before, *rest = body.split(b"?")
    kept = [before]
    escapes = b"\\" in body  # hardly ever: a look at the whole body is cheaper than two at every link
    for piece in rest:
        start, end = before.rfind(b'"') + 1, piece.find(b'"')
        plain = not escapes or (b"\\" not in before[start:] and b"\\" not in piece[:end])
        kept.append(piece[end:] if end >= 0 and plain and before.startswith(_LINKS, start) else b"?" + piece)
        before = piece
    return b"".join(kept)


class Reading:
    """Reads the body of one answer: `Kept` where it is the page known already, else its JSON."""

    def __init__(self, asked: Hashable, known: tuple[bytes, Kept] | None) -> None:
        self.asked = asked
        self.digest = b""
        self._known = known

    def __call__(self, body: bytes) -> Any:
        self.digest = hashlib.sha256(unsigned(body)).digest()
        if self._known is not None and self._known[0] == self.digest:
            return self._known[1]
        return bodies.decode(body)


class Pages:
    """The pages read last, each under what was asked for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[bytes, Kept]] = OrderedDict()

    def reading(self, asked: Hashable) -> Reading:
        """How to read the answer to `asked`."""
        if asked in self._kept:
            self._kept.move_to_end(asked)
        return Reading(asked, self._kept.get(asked))

    def keep(self, reading: Reading, kept: Kept) -> None:
        """Remembers the page that was made of what was just read.

        Not one with anything odd on it: what was wrong with a row may depend on the time at which it was read.
        """
        self._kept.pop(reading.asked, None)
        if kept.page.rejected or any(item.flags for item in kept.page.recordings):
            return
        self._kept[reading.asked] = (reading.digest, kept)
        while len(self._kept) > MOST_PAGES:
            self._kept.popitem(last=False)
