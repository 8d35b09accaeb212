"""The recordings' facts in the archive: written whenever they changed, and rewritten when somebody has to be forgotten.

A manifest is an object of canonical JSON lines, one recording each, with every column of the catalog. Of several lines about one
recording the one with the highest `manifest` counts, which is the number under which it was first written: it stays with the
line when the object is rewritten. Manifests are never locked, names and raw JSON lie nowhere else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from archiver.domain.errors import ObjectExists, ObjectMissing
from archiver.domain.ledger import MOST_RECORDINGS, Manifest, manifest_key
from archiver.domain.ports import NewObject
from archiver.pipeline.canonical import canonical
from archiver.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from archiver.domain.ledger import Facts, RecordingFacts
    from archiver.domain.ports import Storage

log = structlog.get_logger()

JSON_LINES = "application/jsonl"


class Manifests:
    """Writes manifests; one process at a time (the sealer's lease)."""

    def __init__(self, *, facts: RecordingFacts, storage: Storage) -> None:
        self._facts = facts
        self._storage = storage

    async def write(self) -> int:
        """Writes every recording that no manifest holds as it is now; returns how many. Raises the errors of both ports."""
        count = 0
        while batch := await self._facts.unwritten(MOST_RECORDINGS):
            number = await self._facts.next_manifest()
            body = await asyncio.to_thread(render, number, batch)
            manifest, ours = await self._put(number, body)
            await self._facts.written(replace(manifest, count=len(batch)) if ours else manifest, batch if ours else ())
            count += len(batch) if ours else 0
        return count

    async def rewrite_without(self, source: str, recording_id: str) -> int:
        """Takes a recording out of every manifest; see `rewrite_without_all`."""
        return await self.rewrite_without_all([(source, recording_id)])

    async def rewrite_without_all(self, recordings: Collection[tuple[str, str]]) -> int:
        """Takes (source, recording_id) out of every manifest and deletes the old ones, exactly their versions.

        To be called after the catalog's own rows were cleared: what is left of them is written anew by the next `write`.
        Reads every manifest since the first of them was first seen. Returns how many it replaced; may be repeated after a
        failure at any point. Raises StorageRefused where a manifest cannot be deleted, and the other errors of both ports.
        """
        affected: list[Manifest] = []
        needles = [canonical(recording_id) for _source, recording_id in recordings]

        async def look(manifest: Manifest) -> None:
            try:
                body = await read_whole(self._storage, manifest.key, manifest.version_id)
            except ObjectMissing:
                affected.append(manifest)  # deleted before, and the note of it was lost
                return
            if any(needle in body for needle in needles):
                affected.append(manifest)

        await side_by_side(await self._facts.manifests_holding(recordings), look)
        await self._facts.forget(recordings)
        ordered = sorted(affected, key=lambda item: item.manifest)
        return sum([await self._replace(manifest, frozenset(recordings)) for manifest in ordered])

    async def _replace(self, old: Manifest, without: Collection[tuple[str, str]]) -> bool:
        try:
            body = await read_whole(self._storage, old.key, old.version_id)
        except ObjectMissing:
            await self._facts.removed(old)
            return True
        rows = [row for row in body.split(b"\n") if row]
        kept = [row for row in rows if named(row) not in without]
        if len(kept) == len(rows):
            return False
        if kept:
            await self._facts.rewritten(old, await self._put_anew(b"".join(row + b"\n" for row in kept), len(kept)))
        await self._storage.delete(old.key, old.version_id)
        await self._facts.removed(old)
        return True

    async def _put_anew(self, body: bytes, count: int) -> Manifest:
        """Puts a rewritten manifest under the next free number; what a crash left under one is noted first."""
        while True:
            manifest, ours = await self._put(await self._facts.next_manifest(), body)
            if ours:
                return replace(manifest, count=count)
            await self._facts.written(manifest, ())

    async def _put(self, number: int, body: bytes) -> tuple[Manifest, bool]:
        """The manifest that now stands under a number, and whether its bytes are these.

        Others are those of an attempt that ended before it was noted: they are kept and noted, because a manifest that nobody
        knows of could never be cleared of a recording.
        """
        key = manifest_key(number)
        digest = hashlib.sha256(body).digest()
        new = NewObject(key=key, content_type=JSON_LINES, metadata={"archiver-sha256": digest.hex()})
        try:
            stored = await self._storage.put(new, body, sha256=digest)
        except ObjectExists:
            found = await self._storage.head(key)
            there = await read_whole(self._storage, key, found.version_id)
            sha256 = hashlib.sha256(there).hexdigest()
            known = Manifest(manifest=number, key=key, version_id=found.version_id, sha256=sha256, count=there.count(b"\n"))
            log.info("manifest_found", manifest=number, same=there == body)
            return known, there == body
        return Manifest(manifest=number, key=key, version_id=stored.version_id, sha256=digest.hex(), count=0), True


def render(number: int, facts: Sequence[Facts]) -> bytes:
    """The bytes of a manifest."""
    lines = ({"manifest": number, "renditions": list(item.renditions), **item.columns} for item in facts)
    return b"".join(canonical(document) + b"\n" for document in lines)


def named(row: bytes) -> tuple[str, str]:
    """(source, recording_id) of a manifest's line; ("", "") where it is none."""
    try:
        document: Any = json.loads(row)
        return str(document["source"]), str(document["recording_id"])
    except (ValueError, KeyError, TypeError):
        return "", ""


async def read_whole(storage: Storage, key: str, version_id: str) -> bytes:
    """The bytes of a small object."""
    return b"".join([chunk async for chunk in storage.read(key, version_id)])
