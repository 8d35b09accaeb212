"""`catalog rebuild`: a new catalog from the archive alone: its sealed history, its manifests, and its objects as they are there.

First the history, held to its own chain; then the facts of recordings; from both the catalog's rows are made. At last every
object is looked at: one that is missing makes its rendition damaged, one that no line tells of (its line was written after the
last seal, and went with the catalog) is read back and adopted as stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from archiver.domain.errors import CatalogHeld, HistoryForked
from archiver.domain.ledger import MANIFESTS, NO_SEGMENT, SEGMENTS, Header, Manifest, Sealed, number_of
from archiver.pipeline.adopt import Adoption, patiently
from archiver.pipeline.cycle import holding
from archiver.pipeline.manifests import read_whole
from archiver.pipeline.segments import opened

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from archiver.domain.ledger import Line
    from archiver.domain.ports import Clock, Storage, StoredObject
    from archiver.domain.rebuilding import Rebuilding
    from archiver.domain.work import Catalog
    from archiver.pipeline.segments import Opened

log = structlog.get_logger()

LEASE = "rebuild"
_SHOWN = 3  # problems in an error's text; all of them with --despite-damage


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found and made. `head` is the SHA-256 of the last segment; `problems` are sentences."""

    segments: int = 0
    events: int = 0
    head: str = NO_SEGMENT
    manifests: int = 0
    recordings: int = 0
    renditions: int = 0
    adopted: int = 0
    missing: int = 0
    problems: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """What the history says of it: the counts, and how many problems."""
        return {**asdict(self), "problems": len(self.problems)}


class Rebuild:
    """One rebuild. `locks` says whether objects are locked, so that each has to be asked how it is locked now.

    With `despite_damage` what can still be read of a damaged history is taken; otherwise damage ends the rebuild.
    """

    def __init__(
        self, *, target: Rebuilding, catalog: Catalog, storage: Storage, clock: Clock, locks: bool, despite_damage: bool = False
    ) -> None:
        self._target = target
        self._catalog = catalog
        self._storage = storage
        self._clock = clock
        self._locks = locks
        self._despite = despite_damage
        self._found = Rebuilt()

    async def run(self) -> Rebuilt:
        """Fills the catalog; a rebuild that was cut short leaves nothing that anybody would work with, and is begun anew.

        Raises UsageError (the catalog is not empty), CatalogHeld, HistoryForked (the archive's history is damaged), and the
        errors of both ports.
        """
        found = self._found
        async with holding(self._catalog, self._clock, LEASE, wait=False) as ours:
            if not ours:
                raise CatalogHeld("another rebuild of this catalog is under way")
            await self._target.begin()
            await self._history()
            self._damage()
            missing = await self._facts()
            self._damage()
            found.problems += missing
            made = await self._target.replay()
            found.recordings, found.renditions = made.recordings, made.renditions
            adoption = Adoption(target=self._target, storage=self._storage, clock=self._clock, locks=self._locks)
            await adoption.run()
            found.adopted, found.missing = adoption.adopted, adoption.missing
            found.problems += adoption.problems
            await self._target.finish(found.told())
        log.info("catalog_rebuilt", **found.told())
        return found

    def _damage(self) -> None:
        """Ends a rebuild that would hide what somebody did to the history."""
        problems = self._found.problems
        if problems and not self._despite:
            shown = "; ".join(problems[:_SHOWN]) + (f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else "")
            raise HistoryForked(
                f"the archive's history is damaged: {shown}",
                hint="nothing was rebuilt; `archiver catalog rebuild --despite-damage` takes what can still be read",
            )

    # -- the history

    async def _history(self) -> None:
        found, expected, last = self._found, 1, 0
        async with aclosing(self._objects(SEGMENTS)) as objects:
            async for number, stored in objects:
                if number != expected:
                    found.problems.append(f"segments {expected} to {number - 1} are missing")
                body = await self._read(stored)
                read = await asyncio.to_thread(opened, body)
                lines = self._believed(number, read, last)
                header = read.header or _no_header(number, last, lines)
                sealed = Sealed(
                    header=_numbered(header, number), sha256=_sha256(body), key=stored.key, version_id=stored.version_id
                )
                await self._target.segment(sealed, lines)
                found.segments, found.events, found.head = found.segments + 1, found.events + len(lines), sealed.sha256
                last = lines[-1].seq if lines else last
                expected = number + 1

    def _believed(self, number: int, read: Opened, last: int) -> list[Line]:
        """The lines of a segment that go on from those before; whatever speaks against any of them is noted."""
        told = [f"segment {number}{f', line {line}' if line else ''}: {what}" for line, what in read.problems]
        header = read.header
        if header is not None and header.segment != number:
            told.append(f"segment {number}: its header calls it {header.segment}")
        if header is not None and header.previous_sha256 != self._found.head:
            told.append(f"segment {number}, line 1: does not go on from the segment before it")
        if header is not None and header.first_seq != last + 1:
            told.append(f"segment {number}, line 1: begins with seq {header.first_seq}, {last + 1} is the next")
        self._found.problems += told
        lines = []
        for line in read.lines.values():
            if line.seq > last:
                lines.append(line)
                last = line.seq
        return lines

    # -- facts

    async def _facts(self) -> list[str]:
        """Takes every manifest; gives those that the history tells of and that are not there.

        They are no damage by themselves: an erasure deletes manifests, and its line may have come after the last seal.
        """
        found = self._found
        digests = dict(await self._target.digests())
        async with aclosing(self._objects(MANIFESTS)) as objects:
            async for number, stored in objects:
                body = await self._read(stored)
                expected = digests.pop(number, None)
                if expected not in (None, _sha256(body)):
                    found.problems.append(f"manifest {number}: its SHA-256 is not the one that the history names")
                documents, broken = _documents(body)
                if broken:
                    found.problems.append(f"manifest {number}: {broken} lines cannot be read")
                manifest = Manifest(
                    manifest=number,
                    key=stored.key,
                    version_id=stored.version_id,
                    sha256=_sha256(body),
                    count=len(documents),
                )
                await self._target.manifest(manifest, documents)
                found.manifests += 1
        return [f"manifest {number} is missing" for number in sorted(digests)]

    async def _read(self, stored: StoredObject) -> bytes:
        return await patiently(self._clock, lambda: read_whole(self._storage, stored.key, stored.version_id))

    async def _objects(self, folder: str) -> AsyncGenerator[tuple[int, StoredObject], None]:
        async for stored in self._storage.keys(folder):
            number = number_of(stored.key, folder)
            if number is not None:
                yield number, stored


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _no_header(number: int, last: int, lines: list[Line]) -> Header:
    """What a header that cannot be read must have said, as far as its lines tell."""
    first = lines[0].seq if lines else last + 1
    end = lines[-1].seq if lines else last
    return Header(segment=number, first_seq=first, last_seq=end, count=len(lines), previous_sha256="")


def _numbered(header: Header, number: int) -> Header:
    names = ("first_seq", "last_seq", "count", "previous_sha256")
    return Header(segment=number, **{name: getattr(header, name) for name in names})


def _documents(body: bytes) -> tuple[list[dict[str, Any]], int]:
    """The lines of a manifest that are facts of a recording, and how many are not."""
    documents, broken = [], 0
    for row in body.split(b"\n"):
        if not row:
            continue
        try:
            document = json.loads(row)
            named = isinstance(document["source"], str) and isinstance(document["recording_id"], str)
            if not named or not isinstance(document["manifest"], int) or not isinstance(document["renditions"], list):
                raise ValueError("not the facts of a recording")
        except (ValueError, KeyError, TypeError):
            broken += 1
            continue
        documents.append(document)
    return documents, broken
