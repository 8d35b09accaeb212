"""One rendition from the provider into the store: streamed, hashed on the way, whole or not at all.

Long, because small and large media share what happens when something stands under their key.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING

from archiver.domain import errors, integrity, keys
from archiver.domain.lifecycle import Event
from archiver.domain.ports import Lock, NewObject, Resume
from archiver.domain.recording import RecordingRef
from archiver.domain.work import Outcome
from archiver.pipeline.body import Body
from archiver.pipeline.digest import new_digest
from archiver.pipeline.multipart import Multipart, Upload
from archiver.pipeline.parts import PartReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archiver.domain.ports import Clock, Provider, Storage, StoredObject
    from archiver.domain.recording import Entry
    from archiver.domain.work import Catalog
    from archiver.pipeline.budget import ByteBudget
    from archiver.pipeline.pace import Pace
    from archiver.pipeline.ranges import Ranges


READINGS = 3  # of stored bytes before they count as wrong: two flips in a row happened in a thousand simulated days


class _Crowded(Exception):
    """As many large transfers are under way as may be."""


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
        pace: Pace,
        lock_for: Callable[[Entry], Lock | None],
        version: str,
        ranges: Ranges | None = None,
    ) -> None:
        """With `ranges`, which shares `budget` and `pace`, a large body may come over several connections."""
        self._providers = providers
        self._storage = storage
        self._large = Multipart(storage=storage, catalog=catalog, lock_for=lock_for)
        self._clock = clock
        self._budget = budget
        self._pace = pace
        self._lock_for = lock_for
        self._version = version
        self._ranges = ranges
        self._seats = asyncio.Semaphore(max(2, 2 * budget.total // storage.part_size))

    async def archive(self, entry: Entry, *, beside: str = "") -> Outcome:
        """Transfers one entry and returns its STORED outcome.

        `beside` (hex digest) names a second object for other bytes than the ones archived before. Raises the errors of the
        ports; nothing half-made ever stands under the key. A large transfer that is cut short or cancelled leaves its upload
        to the next attempt, which goes on with it.

        Of large ones only as many are under way as soon find room for a part: the others wait without a connection, which would
        keep a megabyte each, and a link that expires.
        """
        try:
            return await self._attempt(entry, beside)
        except _Crowded:
            async with self._seats:
                return await self._attempt(entry, beside, seated=True)

    async def _attempt(self, entry: Entry, beside: str, *, seated: bool = False) -> Outcome:
        going = await self._large.take_up(entry) if entry.upload_id and not beside else None
        if going is not None and going.sha256:
            return await self._finished(going)
        provider = self._providers[entry.source]
        ref = RecordingRef(source=entry.source, recording_id=entry.recording_id, room_id=entry.room_id)
        resume = Resume(offset=going.offset, validator=going.validator) if going else None
        async with provider.open_media(ref, entry.rendition, resume=resume) as media, AsyncExitStack() as held:
            if going is not None and (media.offset, media.validator) != (going.offset, going.validator):
                await self._large.abort(going)
                going = None
            if going is None and media.offset:
                raise errors.MediaIncomplete(f"the provider sent bytes from {media.offset} on, all were asked for")
            problem = integrity.uncarriable(media.metadata)
            if problem is not None:
                raise errors.MediaImplausible(f"the headers it needs for decryption cannot be kept with it: {problem}")
            large = (media.announced or 0) - media.offset > self._storage.part_size
            if large and not seated and not beside:  # a second object is fetched from within an attempt, which has a seat
                if self._seats.locked():
                    raise _Crowded
                await held.enter_async_context(self._seats)
            body = Body(provider, ref, entry, media, self._pace, head=going.head if going else b"", ranges=self._ranges)
            chunks = await held.enter_async_context(aclosing(body.chunks()))
            digest = going.digest if going and going.digest else new_digest()
            reader = PartReader(chunks, digest)
            if going is not None:
                return await self._rest(going, body, reader)
            return await self._from_start(entry, body, reader, beside)

    def as_noted(self, entry: Entry) -> Entry:
        """The entry to give with the outcome of an attempt that failed; see `Multipart.as_noted`."""
        return self._large.as_noted(entry)

    async def _from_start(self, entry: Entry, body: Body, reader: PartReader, beside: str) -> Outcome:
        size, announced = self._storage.part_size, body.media.announced
        first = size if announced is None else min(announced, size)
        async with self._budget.buffer(first) as buffer:
            data = await reader.part(buffer, first)
            if len(body.head) < integrity.HEAD_BYTES:
                body.check_head()
            if reader.ended:
                body.check_length()
                return await self._store_small(entry, body, data, reader.digest.digest())
            if not entry.sha256 or beside:
                new = self._new(entry, body, token=self._clock.token(), beside=beside)
                upload = await self._large.begin(entry, new, body, reader.digest)
                await self._large.send(upload, data)
            del data, buffer  # what a frame names stays in memory for as long as the rest takes, and no budget knows of it
        if entry.sha256 and not beside:
            return await self._archive_changed(entry, body, reader)
        return await self._rest(upload, body, reader, beside=beside)

    async def _archive_changed(self, entry: Entry, body: Body, reader: PartReader) -> Outcome:
        """A large file that is archived already: hashed to its end first, since the name of a second object needs its digest."""
        while not reader.ended:
            async with self._budget.buffer(self._storage.part_size) as buffer:
                await reader.part(buffer, self._storage.part_size)
                del buffer
        body.check_length()
        digest = reader.digest.hexdigest()
        if digest == entry.sha256:
            return _unchanged(entry)
        return await self._earlier(entry, body, size=body.received, sha256=digest) or await self.archive(entry, beside=digest)

    async def _earlier(self, entry: Entry, body: Body, *, size: int, sha256: str) -> Outcome | None:
        """The object to go back to, where the provider has gone back to bytes that were archived before the present ones (I8).

        The first object of a rendition stands under its plain name, every later one under one that its digest makes.
        """
        for beside in ("", sha256):
            new = self._new(entry, body, token=self._clock.token(), sha256=sha256, beside=beside)
            try:
                found = await self._adopted(entry, new, size=size, sha256=sha256)
            except (errors.ObjectMissing, errors.ObjectExists):
                continue
            if found is not None:
                return _stored(entry, new, found, size=size, sha256=sha256, carried=body.media.metadata)
        return None

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
        content_type = integrity.content_type(media.content_type)
        return NewObject(key=key, content_type=content_type, metadata=metadata, lock=self._lock_for(entry))

    # -- small: one put ------------------------------------------------------------------------------------------

    async def _store_small(self, entry: Entry, body: Body, data: memoryview, digest: bytes) -> Outcome:
        if entry.sha256 == digest.hex() and entry.key:
            return _unchanged(entry)
        earlier = await self._earlier(entry, body, size=len(data), sha256=digest.hex()) if entry.sha256 else None
        if earlier is not None:
            return earlier
        token = self._clock.token()
        beside = digest.hex() if entry.sha256 else ""
        new = self._new(entry, body, token=token, sha256=digest.hex(), beside=beside)
        try:
            stored = await self._put(new, data, digest)
        except errors.ObjectExists:
            stored, new = await self._beside(entry, body, new, data, digest)
        return _stored(entry, new, stored, size=len(data), sha256=digest.hex(), carried=body.media.metadata)

    async def _put(self, new: NewObject, data: memoryview, digest: bytes) -> StoredObject:
        """One put; where its reply was lost, what stands under the key decides: our token and size, or nothing (I17)."""
        try:
            return await self._storage.put(new, data, sha256=digest)
        except errors.StorageUnavailable:
            found = await self._large.ours(new, len(data))
            if found is None:
                raise
            return found

    async def _beside(
        self, entry: Entry, body: Body, new: NewObject, data: memoryview, digest: bytes
    ) -> tuple[StoredObject, NewObject]:
        """Something stands under our key already: adopted when its bytes are ours, else ours go beside it (I8)."""
        adopted = await self._adopted(entry, new, size=len(data), sha256=digest.hex())
        if adopted is not None:
            return adopted, new
        other = self._new(entry, body, token=new.metadata["archiver-token"], sha256=digest.hex(), beside=digest.hex())
        try:
            return await self._put(other, data, digest), other
        except errors.ObjectExists:
            again = await self._adopted(entry, other, size=len(data), sha256=digest.hex())
            if again is None:
                raise errors.ObjectExists(f"key_conflict: {other.key} holds other bytes than its name says") from None
            return again, other

    async def _adopted(self, entry: Entry, new: NewObject, *, size: int, sha256: str) -> StoredObject | None:
        """The object that stands there, when its bytes, read back, are the ones just received; never assumed.

        Raises ObjectExists where it is not of our making at all: then an operator has to look.
        """
        found = await self._storage.head(new.key)
        if found.size == size and await read_sha256(self._storage, new.key, found.version_id, expected=sha256) == sha256:
            return found
        if found.metadata.get("archiver-recording") != keys.segment(entry.recording_id):
            raise errors.ObjectExists(
                f"key_conflict: {new.key} holds {found.size} bytes that are not this recording's",
                hint="move the foreign object away and run `archiver retry`",
            )
        return None

    # -- large: multipart ------------------------------------------------------------------------------------------

    async def _rest(self, upload: Upload, body: Body, reader: PartReader, *, beside: str = "") -> Outcome:
        """Sends what is left and completes. A length that cannot be believed drops the upload; a cut line leaves it."""
        while not reader.ended:
            async with self._budget.buffer(self._storage.part_size) as buffer:
                data = await reader.part(buffer, self._storage.part_size)
                if data:
                    await self._large.send(upload, data)
                del data, buffer  # before the room is given back: the next turn may be long in coming
        digest = reader.digest.hexdigest()
        try:
            body.check_length()
            if beside and digest != beside:
                raise errors.MediaIncomplete("the provider sent other bytes at the second look than at the first")
        except errors.MediaIncomplete:
            await self._large.abort(upload)
            raise
        try:
            stored = await self._large.complete(upload, sha256=digest)
        except errors.ObjectExists:
            return await self._taken(upload, beside=beside)
        return self._of(upload, stored)

    async def _finished(self, upload: Upload) -> Outcome:
        """An upload whose bytes were all sent before: completed now, or found to be completed already."""
        try:
            return self._of(upload, await self._large.finish(upload))
        except errors.ObjectExists:
            return await self._taken(upload, beside="")

    async def _taken(self, upload: Upload, *, beside: str) -> Outcome:
        """Another object stands under the key of a fully sent upload: adopted when its bytes are ours, else ours go beside it."""
        await self._large.abort(upload)
        adopted = await self._adopted(upload.entry, upload.new, size=upload.offset, sha256=upload.sha256)
        if adopted is not None:
            return self._of(upload, adopted)
        if beside:
            raise errors.ObjectExists(f"key_conflict: {upload.new.key} holds other bytes than its name says")
        return await self.archive(upload.entry, beside=upload.sha256)

    def _of(self, upload: Upload, stored: StoredObject) -> Outcome:
        self._large.forget(upload.entry)
        return _stored(upload.entry, upload.new, stored, size=upload.offset, sha256=upload.sha256, carried=upload.carried)


async def read_sha256(storage: Storage, key: str, version_id: str, *, expected: str) -> str:
    """SHA-256 (hex) of an object's bytes, read back; of a further reading where one was not as `expected`, so that flips on the
    way condemn nothing.
    """
    for _reading in range(READINGS):
        digest = hashlib.sha256()
        async for chunk in storage.read(key, version_id):
            digest.update(chunk)
        if digest.hexdigest() == expected:
            break
    return digest.hexdigest()


def _stored(entry: Entry, new: NewObject, stored: StoredObject, *, size: int, sha256: str, carried: Mapping[str, str]) -> Outcome:
    facts = {
        "key": stored.key,
        "version_id": stored.version_id,
        "size": size,
        "sha256": sha256,
        "token": stored.metadata.get("archiver-token", new.metadata["archiver-token"]),
        "content_type": new.content_type,
        "metadata": dict(carried),
        "proof": {"etag": stored.etag, "sha256": stored.sha256, "checksums": dict(stored.checksums)},
        "retain_until": new.lock.retain_until if new.lock else None,
        "lock_mode": new.lock.mode if new.lock else "",
    }
    return Outcome(entry=entry, event=Event.STORED, facts=facts)


def _unchanged(entry: Entry) -> Outcome:
    """The provider announced other content, but the bytes are the ones we have."""
    return Outcome(entry=entry, event=Event.STORED, reason="the same bytes as before")
