"""Whether a walk over pages gets anywhere; a list that never ends or never moves must not be walked for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archiver.domain.errors import ContractBroken

if TYPE_CHECKING:
    from archiver.domain.recording import Page

MOST_PAGES = 10_000
MOST_IDLE = 20


class Progress:
    """Counts the pages of one walk; `pages` is the number of the one checked last."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: set[str] = set()
        self._before: tuple[str, ...] = ()
        self._idle = 0
        self.pages = 0

    def check(self, page: Page) -> None:
        """Raises ContractBroken for a page equal to the one before, a twentieth one in a row that brings nothing new, and the
        10,001st.

        A single row may come twice when others are inserted before it; two or more in the same order do not. Pages may bring
        nothing new for a while under churn, or be empty behind a filter, but not twenty times.
        """
        self.pages += 1
        # A rejected row has no id; what is left of it tells two of them apart.
        ids = (*(listed.recording_id for listed in page.recordings), *(f"\0{hash(row.raw)}" for row in page.rejected))
        self._idle = 0 if any(each not in self._seen for each in ids) else self._idle + 1
        repeated = len(ids) > 1 and ids == self._before
        self._seen.update(ids)
        self._before = ids
        if repeated:
            raise ContractBroken(f"{self._source}: page {self.pages} is page {self.pages - 1} again: the list does not advance")
        if self._idle >= MOST_IDLE and not page.last:
            raise ContractBroken(f"{self._source}: {self._idle} pages in a row brought nothing new: the list does not advance")
        if self.pages > MOST_PAGES:
            raise ContractBroken(f"{self._source}: more than {MOST_PAGES} pages in one list", hint="list fewer days at a time")
