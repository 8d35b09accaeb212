"""A store in memory that enforces everything S3 could, and fails on demand: before an operation is done, or after it.

It passes the contract suite of all storages (test_memory_store.py), so that what the pipeline does with it counts.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from archiver.domain.errors import ChecksumRefused, ObjectExists, ObjectMissing, StorageRefused
from archiver.domain.ports import Abilities, OpenUpload, Part, StoredObject
from archiver.storage import checksums
from archiver.storage.keys import check_key, check_metadata, check_prefix

STRICT = Abilities(
    refuses_wrong_checksum=True,
    refuses_wrong_part=True,
    proves_whole=True,
    conditional_put=True,
    conditional_complete=True,
    versioning=True,
    lock=True,
    keeps_metadata=True,
)
POOR = replace(STRICT, refuses_wrong_checksum=False, refuses_wrong_part=False, proves_whole=False, notes=("bytes are read back",))


@dataclass
class Kept:
    """An object: what was said at its creation, and its bytes, which a test may spoil."""

    stored: StoredObject
    body: bytearray
    content_type: str


@dataclass
class Begun:
    """A multipart upload under way."""

    new: object
    begun_at: datetime
    parts: dict[int, tuple[Part, bytes]] = field(default_factory=dict)


class MemoryStore:
    """The Storage port. `objects` and `begun` are its whole state; several stores may share them, as processes share a bucket.

    `log` is every operation as it was asked for. `before[op]` and `after[op]` hold exceptions: the next call of `op` raises the
    first of them, without or after having done what it was asked. `on[op]` are called with the key before that. `held` counts
    the bytes of bodies that are in the store's hands at this moment, `most_held` the most there ever were.
    """

    def __init__(self, part_size=1000, *, abilities=STRICT, clock=None, shared=None, latency=0.0):
        self.part_size = part_size
        self.abilities = abilities
        self._clock = clock
        self._latency = latency
        self.objects, self.begun = shared or ({}, {})
        self._numbers = itertools.count(1)
        self.log = []
        self.before, self.after, self.on = defaultdict(list), defaultdict(list), {}
        self.counts = Counter()
        self.held = self.most_held = 0
        self.flips = []  # the next reads give one wrong bit each: offsets

    # -- for tests

    def content(self, key):
        return bytes(self.objects[key].body)

    def keys_now(self):
        return sorted(self.objects)

    def plant(self, key, body, **metadata):
        """Another one's object."""
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        self._keep(key, bytes(body), named, "application/octet-stream", sha256="", checksum="")

    # -- the port

    def full_key(self, key):
        check_key(key)
        return f"an/archive/{key}"

    async def probe(self):
        return self.abilities

    async def put(self, new, body, *, sha256):
        self._check_new(new)
        async with self._asked("put", new.key, len(body)):
            if self.abilities.refuses_wrong_checksum and hashlib.sha256(body).digest() != sha256:
                raise ChecksumRefused(f"{new.key}: not the digest that was announced")
            attested = sha256.hex() if self.abilities.refuses_wrong_checksum else ""
            return self._keep(new.key, bytes(body), dict(new.metadata), new.content_type, sha256=attested, checksum="")

    async def begin(self, new):
        self._check_new(new)
        async with self._asked("begin", new.key):
            upload_id = f"upload-{next(self._numbers)}-{id(self):x}"
            self.begun[upload_id] = Begun(new=new, begun_at=self._clock.now() if self._clock else datetime.now(UTC))
            return upload_id

    async def put_part(self, key, upload_id, number, body):
        check_key(key)
        async with self._asked("put_part", key, len(body)):
            checksum = checksums.digest(checksums.CRC64NVME, bytes(body)) if self.abilities.proves_whole else ""
            part = Part(number=number, size=len(body), etag=hashlib.md5(body).hexdigest(), checksum=checksum)
            self._upload(key, upload_id).parts[number] = (part, bytes(body))
            return part

    async def parts(self, key, upload_id):
        check_key(key)
        async with self._asked("parts", key):
            return [part for _number, (part, _body) in sorted(self._upload(key, upload_id).parts.items())]

    async def complete(self, new, upload_id, parts):
        self._check_new(new)
        async with self._asked("complete", new.key):
            upload = self._upload(new.key, upload_id)
            have = [part for _number, (part, _body) in sorted(upload.parts.items())]
            if not parts or [(p.number, p.size, p.etag) for p in parts] != [(p.number, p.size, p.etag) for p in have]:
                raise ChecksumRefused(f"{new.key}: the upload has {len(have)} parts, not these {len(parts)}")
            body = b"".join(body for _number, (_part, body) in sorted(upload.parts.items()))
            whole = checksums.whole(have) if self.abilities.proves_whole else ""
            metadata, content_type = dict(upload.new.metadata), upload.new.content_type
            stored = self._keep(new.key, body, metadata, content_type, sha256="", checksum=whole)
            del self.begun[upload_id]
            return stored

    async def abort(self, key, upload_id):
        check_key(key)
        async with self._asked("abort", key):
            if upload_id in self.begun and self.begun[upload_id].new.key == key:
                del self.begun[upload_id]

    async def uploads(self):
        async with self._asked("uploads", ""):
            listed = [
                OpenUpload(key=upload.new.key, upload_id=upload_id, begun_at=upload.begun_at)
                for upload_id, upload in self.begun.items()
            ]
        for item in listed:
            yield item

    async def head(self, key, version_id=""):
        check_key(key)
        async with self._asked("head", key):
            return self._kept(key, version_id).stored

    async def read(self, key, version_id=""):
        check_key(key)
        async with self._asked("read", key):
            body = bytearray(self._kept(key, version_id).body)
        if self.flips:
            body[self.flips.pop(0)] ^= 1
        for start in range(0, len(body), 1024 * 1024):
            yield bytes(body[start : start + 1024 * 1024])

    async def keys(self, prefix):
        check_prefix(prefix)
        if prefix == "/" or "//" in prefix:
            raise StorageRefused(f"key prefix {prefix!r}")
        for key in sorted(self.objects):
            if key.startswith(prefix):
                stored = self.objects[key].stored
                yield StoredObject(key=key, version_id=stored.version_id, size=stored.size)

    async def delete(self, key, version_id):
        check_key(key)
        async with self._asked("delete", key):
            kept = self.objects.get(key)
            if kept is None or (version_id and kept.stored.version_id != version_id):
                return
            if kept.stored.version_id and not version_id:
                raise StorageRefused(f"{key}: a version has to be named, else a delete marker would be made")
            del self.objects[key]

    async def aclose(self):
        """Nothing to close."""

    # --

    def _asked(self, operation, key, size=0):
        return _Asked(self, operation, key, size)

    def _check_new(self, new):
        check_key(new.key)
        for name, value in new.metadata.items():
            check_metadata(new.key, name, value)

    def _upload(self, key, upload_id):
        upload = self.begun.get(upload_id)
        if upload is None or upload.new.key != key:
            raise ObjectMissing(f"{key}: no upload {upload_id}")
        return upload

    def _kept(self, key, version_id):
        kept = self.objects.get(key)
        if kept is None or version_id not in ("", kept.stored.version_id):
            raise ObjectMissing(f"{key} is not there")
        return kept

    def _keep(self, key, body, metadata, content_type, *, sha256, checksum):
        if key in self.objects:
            raise ObjectExists(f"{key} is there already")
        version_id = f"v{next(self._numbers)}-{id(self):x}" if self.abilities.versioning else ""
        attested = {"CRC64NVME": checksum} if checksum else {}
        stored = StoredObject(
            key=key, version_id=version_id, size=len(body), etag="e", sha256=sha256, checksums=attested, metadata=metadata
        )
        self.objects[key] = Kept(stored=stored, body=bytearray(body), content_type=content_type)
        return stored


class _Asked:
    """One operation under way: noted, delayed, failed as the script says."""

    def __init__(self, store, operation, key, size):
        self._store, self._operation, self._key, self._size = store, operation, key, size

    async def __aenter__(self):
        store = self._store
        store.log.append(f"{self._operation} {self._key}".strip())
        store.counts[self._operation] += 1
        if self._operation in store.on:
            store.on[self._operation](self._key)
        if store.before[self._operation]:
            raise store.before[self._operation].pop(0)
        store.held += self._size
        store.most_held = max(store.most_held, store.held)
        try:
            if store._latency:
                await store._clock.sleep(store._latency)
        except BaseException:
            store.held -= self._size
            raise

    async def __aexit__(self, kind, *_exc):
        self._store.held -= self._size
        if kind is None and self._store.after[self._operation]:
            raise self._store.after[self._operation].pop(0)
