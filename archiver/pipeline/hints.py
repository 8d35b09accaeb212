"""What webhooks named and nobody has asked about yet: bounded, and gone with the process, because polls find the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from archiver.domain.ports import Clock

MOST = 1_000  # ids of one source that wait at once; with more, a poll is the cheaper question
AT_ONCE = 50  # ids asked for in one go, so that a poll of the source gets its turn in between
APART = 3600.0  # seconds between two absences of one recording that count as looks: a webhook sent ten times is one hint


class Hints:
    """The ids by source, with the bells of those who ask: `asks` for single recordings, `polls` for a whole source."""

    def __init__(self, sources: Iterable[str], clock: Clock) -> None:
        self._clock = clock
        self._ids: dict[str, dict[str, None]] = {source: {} for source in sources}
        self._absent: dict[tuple[str, str], float] = {}
        self.asks = {source: asyncio.Event() for source in self._ids}
        self.polls = {source: asyncio.Event() for source in self._ids}

    def note(self, source: str, recording_id: str = "") -> None:
        """Remembers an id and rings; without one, or where too many wait, a poll of the source is rung for instead."""
        waiting = self._ids.get(source)
        if waiting is None:
            return
        if not recording_id or (len(waiting) >= MOST and recording_id not in waiting):
            self.polls[source].set()
            return
        waiting[recording_id] = None
        self.asks[source].set()

    def take(self, source: str) -> list[str]:
        """The ids that have waited longest; rings again where some are left."""
        waiting = self._ids[source]
        taken = list(waiting)[:AT_ONCE]
        for recording_id in taken:
            del waiting[recording_id]
        if waiting:
            self.asks[source].set()
        return taken

    def spared(self, source: str) -> frozenset[str]:
        """The ids whose absence has counted as a look so lately that it does not count again."""
        since = self._clock.monotonic() - APART
        self._absent = {key: at for key, at in self._absent.items() if at > since}
        return frozenset(recording_id for of, recording_id in self._absent if of == source)

    def absent(self, source: str, ids: Iterable[str]) -> None:
        """Notes that the provider does not know these."""
        now = self._clock.monotonic()
        for recording_id in ids:
            self._absent.setdefault((source, recording_id), now)
