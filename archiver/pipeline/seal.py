"""The sealer: what happened becomes segments in the archive, each chained to the one before by its digest.

The lines of a segment are numbered for good before its object is written, and its bytes follow from them alone. So whoever
comes after a crash, at whatever point, makes the same bytes: they are written, or found and recognised. Anything else that
stands there was not sealed by this catalog; nothing is overwritten then, and sealing stops until somebody has looked.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from archiver.domain.errors import HistoryForked, ObjectExists
from archiver.domain.ledger import LEASE, MOST_LINES, segment_key
from archiver.domain.ports import NewObject
from archiver.pipeline.cycle import holding
from archiver.pipeline.manifests import JSON_LINES, Manifests, read_whole
from archiver.pipeline.segments import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from archiver.domain.ledger import History, Piece, RecordingFacts
    from archiver.domain.ports import Clock, Lock, Storage, StoredObject
    from archiver.domain.work import Catalog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRun:
    """What one run sealed. `unlocked` names segments whose lock the store did not keep."""

    segments: int = 0
    lines: int = 0
    recordings: int = 0
    unlocked: tuple[str, ...] = ()


class Sealer:
    """Seals all that waits. `lock_for_ledger` gives the lock of a segment written now, None where none is configured."""

    def __init__(
        self,
        *,
        history: History,
        facts: RecordingFacts,
        catalog: Catalog,
        storage: Storage,
        clock: Clock,
        lock_for_ledger: Callable[[datetime], Lock | None],
        limit: int = MOST_LINES,
    ) -> None:
        self._history = history
        self._manifests = Manifests(facts=facts, storage=storage)
        self._catalog = catalog
        self._storage = storage
        self._clock = clock
        self._lock_for_ledger = lock_for_ledger
        self._limit = limit

    async def run(self, *, wait: bool) -> SealRun | None:
        """Writes manifests and segments until nothing waits; None where another process is at it and `wait` is off.

        Raises HistoryForked, CatalogUnavailable and what `Storage.put` raises; a later run goes on where this one stopped.
        """
        async with holding(self._catalog, self._clock, LEASE, wait=wait) as ours:
            return await self._seal() if ours else None

    async def rewrite_without(self, source: str, recording_id: str) -> int:
        """Takes a recording's facts out of the archive's manifests; see `Manifests.rewrite_without_all`."""
        async with holding(self._catalog, self._clock, LEASE, wait=True):
            return await self._manifests.rewrite_without(source, recording_id)

    async def _seal(self) -> SealRun:
        recordings = await self._manifests.write()  # first: a rebuilt line without its facts is worse than the other way round
        segments, lines, unlocked = 0, 0, []
        while (piece := await self._history.piece(self._limit)) is not None:
            if not await self._write(piece):
                unlocked.append(segment_key(piece.header.segment))
            segments, lines = segments + 1, lines + piece.header.count
        if segments:
            log.info("sealed", segments=segments, lines=lines, recordings=recordings)
        return SealRun(segments=segments, lines=lines, recordings=recordings, unlocked=tuple(unlocked))

    async def _write(self, piece: Piece) -> bool:
        """Puts one segment into the archive and notes it; says whether it is locked as it has to be."""
        body = await asyncio.to_thread(render, piece)
        digest = hashlib.sha256(body).digest()
        key, lock = segment_key(piece.header.segment), self._lock_for_ledger(self._clock.now())
        new = NewObject(key=key, content_type=JSON_LINES, metadata={"archiver-sha256": digest.hex()}, lock=lock)
        try:
            stored = await self._storage.put(new, body, sha256=digest)
        except ObjectExists:
            stored = await self._recognised(piece, key, body)
        until = await self._locked_until(stored) if lock is not None else None
        await self._history.sealed(piece, sha256=digest.hex(), key=key, version_id=stored.version_id, locked_until=until)
        return lock is None or until is not None

    async def _recognised(self, piece: Piece, key: str, body: bytes) -> StoredObject:
        """The object that stands there already, when it is the very segment; raises HistoryForked for any other."""
        found = await self._storage.head(key)
        if found.size == len(body) and await read_whole(self._storage, key, found.version_id) == body:
            return found
        raise HistoryForked(
            f"the archive holds a segment {piece.header.segment} of the history that this catalog does not know: "
            "the catalog is older than the archive (restored from a copy?), or somebody else wrote there",
            hint="stop this archiver, and make a new catalog by `archiver catalog rebuild`",
        )

    async def _locked_until(self, stored: StoredObject) -> datetime | None:
        """Until when the store says that the segment is locked, None where that is not into the future (I9)."""
        found = await self._storage.head(stored.key, stored.version_id)
        if found.lock_mode and found.retain_until is not None and found.retain_until > self._clock.now():
            return found.retain_until
        log.error("segment_not_locked", key=stored.key)
        return None
