"""Large media: a multipart upload that the catalog knows of, so that whoever comes next can go on with it.

What is noted after every part (how many, how many bytes, the state of the digest, the body's strong ETag) lets another process
take the upload up where this one died: the store's own list of parts decides what is there, the download goes on with a Range
against the same ETag, and no byte is fetched, hashed or sent a second time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.domain import errors
from archiver.domain.ports import NewObject, Part
from archiver.pipeline.digest import Digest, new_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archiver.domain.ports import Lock, Storage, StoredObject
    from archiver.domain.recording import Entry
    from archiver.domain.work import Catalog
    from archiver.pipeline.body import Body


@dataclass(slots=True)
class Upload:
    """One upload under way. `entry` is the catalog's row as of the last note; `sha256` is set once all bytes are sent."""

    entry: Entry
    new: NewObject
    upload_id: str
    validator: str
    carried: dict[str, str]
    parts: list[Part] = field(default_factory=list)
    offset: int = 0
    head: bytes = b""
    digest: Digest | None = None
    sha256: str = ""

    def note(self) -> dict[str, Any]:
        """What the catalog keeps of it."""
        return {
            "key": self.new.key,
            "token": self.new.metadata["archiver-token"],
            "content_type": self.new.content_type,
            "metadata": dict(self.new.metadata),
            "carried": self.carried,
            "validator": self.validator,
            "parts": len(self.parts),
            "offset": self.offset,
            "head": self.head.hex(),
            # Before the first part is sent the digest has seen it already: a state that fits no offset must not be kept.
            "state": self.digest.state() if self.digest and self.parts and self.validator and not self.sha256 else "",
            "sha256": self.sha256,
        }


class Multipart:
    """Begins, continues and completes uploads; every step is in the catalog before it is relied on."""

    def __init__(self, *, storage: Storage, catalog: Catalog, lock_for: Callable[[Entry], Lock | None]) -> None:
        self._storage = storage
        self._catalog = catalog
        self._lock_for = lock_for
        self._noted: dict[int, Entry] = {}

    def as_noted(self, entry: Entry) -> Entry:
        """The row as an attempt on `entry` left it: every note moves its revision, and the outcome has to fit the last one."""
        noted = self._noted.pop(entry.id, entry)
        return noted if noted.revision > entry.revision else entry

    def forget(self, entry: Entry) -> None:
        """Drops what `as_noted` would say: the attempt succeeded and its outcome has the entry."""
        self._noted.pop(entry.id, None)

    async def begin(self, entry: Entry, new: NewObject, body: Body, digest: Digest) -> Upload:
        """A new upload, known to the catalog before its first part is sent (I18)."""
        upload_id = await self._storage.begin(new)
        upload = Upload(
            entry=entry,
            new=new,
            upload_id=upload_id,
            validator=body.media.validator,
            carried=dict(body.media.metadata),
            head=body.head,
            digest=digest,
        )
        try:
            await self._note(upload)
        except BaseException:
            await self._storage.abort(new.key, upload_id)  # nobody else has heard of it
            raise
        return upload

    async def send(self, upload: Upload, data: memoryview) -> None:
        """Uploads the next part and notes it, with the state of the digest over exactly the bytes sent so far."""
        upload.parts.append(await self._storage.put_part(upload.new.key, upload.upload_id, len(upload.parts) + 1, data))
        upload.offset += len(data)
        await self._note(upload)

    async def complete(self, upload: Upload, *, sha256: str) -> StoredObject:
        """The object; noted as fully sent before, so that a lost reply or a death in between costs one HEAD and no download.

        Raises ObjectExists when other bytes stand under the key, ObjectMissing when the upload is gone and none of ours there.
        """
        upload.sha256 = sha256
        await self._note(upload)
        return await self.finish(upload)

    async def finish(self, upload: Upload) -> StoredObject:
        """Completes a fully sent upload; an ambiguous answer is settled by what stands under the key (F10)."""
        try:
            return await self._storage.complete(upload.new, upload.upload_id, upload.parts)
        except (errors.StorageUnavailable, errors.ObjectMissing):
            found = await self.ours(upload.new, upload.offset)
            if found is None:
                raise
            return found

    async def ours(self, new: NewObject, size: int) -> StoredObject | None:
        """The object under the key if the attempt with this token wrote it; "it exists" proves nothing (I17)."""
        try:
            found = await self._storage.head(new.key)
        except errors.ObjectMissing:
            return None
        ours = found.metadata.get("archiver-token") == new.metadata["archiver-token"] and found.size == size
        return found if ours else None

    async def take_up(self, entry: Entry) -> Upload | None:
        """The upload an earlier attempt left, as far as the store has its parts; None where there is nothing to go on with.

        What cannot be taken up is aborted.
        """
        noted = entry.upload
        if not noted.get("key"):
            return None
        upload = Upload(
            entry=entry,
            new=NewObject(
                key=noted["key"],
                content_type=noted["content_type"],
                metadata=noted["metadata"],
                lock=self._lock_for(entry),
            ),
            upload_id=entry.upload_id,
            validator=noted["validator"],
            carried=noted["carried"],
            offset=noted["offset"],
            head=bytes.fromhex(noted["head"]),
            sha256=noted["sha256"],
        )
        if not upload.sha256 and not noted["state"]:
            await self.abort(upload)
            return None
        return await self._confirmed(upload, noted)

    async def _confirmed(self, upload: Upload, noted: Mapping[str, Any]) -> Upload | None:
        """The upload with the parts that the store lists, which alone decide."""
        try:
            listed = await self._storage.parts(upload.new.key, upload.upload_id)
        except errors.ObjectMissing:
            return upload if upload.sha256 else None  # completed perhaps: `finish` finds out by token and size
        upload.parts = list(listed[: noted["parts"]])
        there = [part.number for part in upload.parts] == list(range(1, noted["parts"] + 1))
        if not there or sum(part.size for part in upload.parts) != upload.offset:
            await self.abort(upload)
            return None
        try:
            upload.digest = new_digest(noted["state"]) if not upload.sha256 else None
        except ValueError:
            await self.abort(upload)
            return None
        return upload

    async def abort(self, upload: Upload) -> None:
        """Drops the upload and its parts."""
        await self._storage.abort(upload.new.key, upload.upload_id)

    async def _note(self, upload: Upload) -> None:
        facts = {"upload_id": upload.upload_id, "upload": upload.note()}
        upload.entry = await self._catalog.note_upload(upload.entry, facts=facts)
        self._noted[upload.entry.id] = upload.entry
