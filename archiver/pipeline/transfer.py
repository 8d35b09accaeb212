"""One rendition from the provider into the store: streamed, hashed on the way, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING

from archiver.domain import errors, integrity, keys
from archiver.domain.lifecycle import Event
from archiver.domain.ports import Lock, NewObject
from archiver.domain.recording import RecordingRef
from archiver.domain.work import Outcome
from archiver.pipeline.body import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from archiver.domain.ports import Clock, Part, Provider, Storage, StoredObject
    from archiver.domain.recording import Entry
    from archiver.domain.work import Catalog
    from archiver.pipeline.budget import ByteBudget


class Transfer:
    """Archives one claimed entry at a time; holds nothing between entries."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        storage: Storage,
        catalog: Catalog,
        clock: Clock,
        budget: ByteBudget,
        lock_for: Callable[[Entry], Lock | None],
        version: str,
    ) -> None:
        self._providers = providers
        self._storage = storage
        self._catalog = catalog
        self._clock = clock
        self._budget = budget
        self._lock_for = lock_for
        self._version = version

    async def archive(self, entry: Entry, *, beside: str = "") -> Outcome:
        """Transfers one entry and returns its STORED outcome.

        `beside` (hex digest) names a second object for other bytes than the ones archived before. Raises the errors of the
        ports; on any of them, and on cancellation, nothing half-made is left under the key and no multipart upload of this
        attempt stays open.
        """
        if entry.upload_id:
            await self._storage.abort(entry.upload["key"], entry.upload_id)
        provider = self._providers[entry.source]
        ref = RecordingRef(source=entry.source, recording_id=entry.recording_id, room_id=entry.room_id)
        async with provider.open_media(ref, entry.rendition) as media, AsyncExitStack() as held:
            body = Body(provider, ref, entry, media)
            chunks = await held.enter_async_context(aclosing(body.chunks()))
            size = self._storage.part_size
            turn = AsyncExitStack()
            held.push_async_exit(turn)
            await turn.enter_async_context(self._budget.hold(size if media.announced is None else min(media.announced, size)))
            reader = PartReader(chunks, size)
            data = await reader.part()
            if len(body.head) < integrity.HEAD_BYTES:
                body.check_head()
            if reader.ended:
                body.check_length()
                return await self._store_small(entry, body, data)
            if entry.sha256 and not beside:
                return await self._archive_changed(entry, body, reader)
            return await self._store_large(entry, body, reader, data, turn, beside)

    async def _archive_changed(self, entry: Entry, body: Body, reader: PartReader) -> Outcome:
        """A large file that is archived already: hashed to its end first, since the name of a second object needs its digest."""
        while not reader.ended:
            await reader.part()
        body.check_length()
        digest = body.sha256.hexdigest()
        return _unchanged(entry) if digest == entry.sha256 else await self.archive(entry, beside=digest)

    def _new(self, entry: Entry, body: Body, *, token: str, sha256: str = "", beside: str = "") -> NewObject:
        """The object to create; `beside` (hex digest) names a second one for other bytes of the same rendition."""
        media = body.media
        extension = integrity.extension(
            body.head,
            listed_container=entry.container,
            codec=entry.codec,
            rendition=entry.rendition,
            encrypted=media.encrypted,
        )
        metadata = keys.object_metadata(entry, token=token, version=self._version, sha256=sha256, carried=dict(media.metadata))
        key = keys.object_key(entry, extension, sha256=beside)
        content_type = media.content_type or "application/octet-stream"
        return NewObject(key=key, content_type=content_type, metadata=metadata, lock=self._lock_for(entry))

    # -- small: one put ------------------------------------------------------------------------------------------

    async def _store_small(self, entry: Entry, body: Body, data: bytearray) -> Outcome:
        digest = body.sha256.digest()
        if entry.sha256 == digest.hex() and entry.key:
            return _unchanged(entry)
        token = self._clock.token()
        beside = digest.hex() if entry.sha256 else ""
        new = self._new(entry, body, token=token, sha256=digest.hex(), beside=beside)
        try:
            stored = await self._put(new, data, digest)
        except errors.ObjectExists:
            stored, new = await self._beside(entry, body, new, data)
        return _stored(entry, body, new, stored)

    async def _put(self, new: NewObject, data: bytearray, digest: bytes) -> StoredObject:
        """One put; where its reply was lost, what stands under the key decides: our token and size, or nothing (I17)."""
        try:
            return await self._storage.put(new, data, sha256=digest)
        except errors.StorageUnavailable:
            found = await self._ours(new, len(data))
            if found is None:
                raise
            return found

    async def _ours(self, new: NewObject, size: int) -> StoredObject | None:
        """The object under the key if this very attempt wrote it."""
        try:
            found = await self._storage.head(new.key)
        except errors.ObjectMissing:
            return None
        ours = found.metadata.get("archiver-token") == new.metadata["archiver-token"] and found.size == size
        return found if ours else None

    async def _beside(self, entry: Entry, body: Body, new: NewObject, data: bytearray) -> tuple[StoredObject, NewObject]:
        """Something stands under our key already: adopted when its bytes are ours, else ours go beside it (I8)."""
        adopted = await self._adopted(entry, new, body)
        if adopted is not None:
            return adopted, new
        digest = body.sha256.digest()
        other = self._new(entry, body, token=new.metadata["archiver-token"], sha256=digest.hex(), beside=digest.hex())
        try:
            return await self._put(other, data, digest), other
        except errors.ObjectExists:
            again = await self._adopted(entry, other, body)
            if again is None:
                raise errors.ObjectExists(f"key_conflict: {other.key} holds other bytes than its name says") from None
            return again, other

    async def _adopted(self, entry: Entry, new: NewObject, body: Body) -> StoredObject | None:
        """The object that stands there, when its bytes, read back, are the ones just received; never assumed.

        Raises ObjectExists where it is not of our making at all: then an operator has to look.
        """
        found = await self._storage.head(new.key)
        if found.size == body.received and await read_sha256(self._storage, new.key, found.version_id) == body.sha256.hexdigest():
            return found
        if found.metadata.get("archiver-recording") != keys.segment(entry.recording_id):
            raise errors.ObjectExists(
                f"key_conflict: {new.key} holds {found.size} bytes that are not this recording's",
                hint="move the foreign object away and run `archiver retry`",
            )
        return None

    # -- large: multipart ------------------------------------------------------------------------------------------

    async def _store_large(
        self, entry: Entry, body: Body, reader: PartReader, first: bytearray, turn: AsyncExitStack, beside: str
    ) -> Outcome:
        new = self._new(entry, body, token=self._clock.token(), beside=beside)
        upload_id = await self._storage.begin(new)
        try:
            now = await self._note(entry, new, upload_id)
            parts = [await self._storage.put_part(new.key, upload_id, 1, first)]
            first.clear()
            await turn.aclose()
            await self._send_rest(new, upload_id, reader, parts)
            body.check_length()
            if beside and body.sha256.hexdigest() != beside:
                raise errors.MediaIncomplete("the provider sent other bytes at the second look than at the first")
            try:
                stored = await self._complete(new, upload_id, parts, body)
            except errors.ObjectExists:
                await self._storage.abort(new.key, upload_id)
                adopted = await self._adopted(entry, new, body)
                if adopted is not None:
                    return _stored(now, body, new, adopted)
                if beside:
                    raise
                return await self.archive(now, beside=body.sha256.hexdigest())
            return _stored(now, body, new, stored)
        except BaseException:
            await asyncio.shield(self._storage.abort(new.key, upload_id))
            raise

    async def _note(self, entry: Entry, new: NewObject, upload_id: str) -> Entry:
        """Tells the catalog of the upload before its first part, so that a later worker can go on with it or drop it (I18)."""
        facts = {"upload_id": upload_id, "upload": {"key": new.key, "token": new.metadata["archiver-token"]}}
        return await self._catalog.note_upload(entry, facts=facts)

    async def _send_rest(self, new: NewObject, upload_id: str, reader: PartReader, parts: list[Part]) -> None:
        while not reader.ended:
            async with self._budget.hold(self._storage.part_size):
                data = await reader.part()
                parts.append(await self._storage.put_part(new.key, upload_id, len(parts) + 1, data))

    async def _complete(self, new: NewObject, upload_id: str, parts: list[Part], body: Body) -> StoredObject:
        """Completes; an answer that was lost, or that the upload is unknown, is settled by what stands under the key (F10)."""
        try:
            return await self._storage.complete(new, upload_id, parts)
        except (errors.StorageUnavailable, errors.ObjectMissing):
            found = await self._ours(new, body.received)
            if found is None:
                raise
            return found


class PartReader:
    """Cuts a stream into parts of exactly `size` bytes, the last one shorter; knows at once which one is the last."""

    def __init__(self, chunks: AsyncIterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size
        self._left = b""
        self.ended = False

    async def part(self) -> bytearray:
        """The next part; `ended` is set when nothing follows it."""
        data = bytearray(self._left)
        self._left = b""
        while len(data) <= self._size:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self.ended = True
                return data
            data += chunk
        self._left = bytes(data[self._size :])
        del data[self._size :]
        return data


async def read_sha256(storage: Storage, key: str, version_id: str) -> str:
    """SHA-256 (hex) of an object's bytes, read back."""
    digest = hashlib.sha256()
    async for chunk in storage.read(key, version_id):
        digest.update(chunk)
    return digest.hexdigest()


def _stored(entry: Entry, body: Body, new: NewObject, stored: StoredObject) -> Outcome:
    facts = {
        "key": stored.key,
        "version_id": stored.version_id,
        "size": body.received,
        "sha256": body.sha256.hexdigest(),
        "token": stored.metadata.get("archiver-token", new.metadata["archiver-token"]),
        "content_type": new.content_type,
        "metadata": dict(body.media.metadata),
        "proof": {"etag": stored.etag, "sha256": stored.sha256, "checksums": dict(stored.checksums)},
        "retain_until": new.lock.retain_until if new.lock else None,
        "lock_mode": new.lock.mode if new.lock else "",
    }
    return Outcome(entry=entry, event=Event.STORED, facts=facts)


def _unchanged(entry: Entry) -> Outcome:
    """The provider announced other content, but the bytes are the ones we have."""
    return Outcome(
        entry=entry,
        event=Event.STORED,
        reason="the same bytes as before",
    )
