"""The trials of a probe: each asks an endpoint for something that a good one has to refuse, or to keep, and looks what it did."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from archiver.domain.errors import ChecksumRefused, ObjectExists, StorageError, StorageRefused
from archiver.domain.ports import NewObject
from archiver.storage import checksums
from archiver.storage.checksums import CRC64NVME, MD5, NONE, SHA256
from archiver.storage.s3_errors import S3Refused

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from archiver.domain.ports import Lock, Part, StoredObject
    from archiver.storage.s3_requests import Requests

FOLDER = "_probe"
BEHIND = f"canaries under {FOLDER}/ stay behind"  # said by the run that left them, and by no later one
# Bytes that show the damage seen in the wild: chunk framing inside the object (finding F14), line ends changed, text decoded.
BODY = b"8\r\ncanary\x00\xff\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" + bytes(range(256))
OTHER = b"other bytes than those the checksum was made of"
_SHA256 = hashlib.sha256(BODY)
METADATA = {"archiver-token": "canary", "x-amz-matdesc": "{}"}
# Words for "that header or parameter means nothing to me".
_UNKNOWN = frozenset(
    {"InvalidArgument", "InvalidRequest", "MalformedXML", "MethodNotAllowed", "NotImplemented", "XNotImplemented"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What an endpoint is spoken to with. The default is AWS's; the probe takes away what is refused or not checked."""

    if_none_match: bool = True
    put_checksum: str = SHA256
    part_checksum: str = CRC64NVME


@dataclass(slots=True, kw_only=True)
class Canaries:
    """One probe under way: what it writes with, what it wrote and what it learned."""

    requests: Requests
    token: str
    lock: Lock | None
    lock_all: bool = False  # the bucket would lock the others too, and for much longer
    dialect: Dialect = field(default_factory=Dialect)
    made: list[StoredObject] = field(default_factory=list)
    begun: list[tuple[str, str]] = field(default_factory=list)
    lock_refused: str = ""  # the endpoint's word for not taking a lock at all
    refuses_wrong_checksum: bool = False
    refuses_wrong_part: bool = False
    refuses_wrong_whole: bool = False
    reports_whole: bool = False
    conditional_put: bool = False
    conditional_complete: bool = False
    put_seen: StoredObject | None = None  # by HEAD, after the put
    multipart_seen: StoredObject | None = None

    def new(self, name: str) -> NewObject:
        """What a canary is created with."""
        key = f"{FOLDER}/{self.token}/{name}"
        lock = self.lock if self.lock_all or name in ("put", "multipart") else None
        return NewObject(key=key, content_type="application/octet-stream", metadata=METADATA, lock=lock)

    async def put(self, name: str, *, body: bytes = BODY, algorithm: str = "", conditional: bool = False) -> StoredObject:
        """A put that claims to carry BODY, whatever `body` is."""
        used = algorithm or self.dialect.put_checksum
        checksum = checksums.header(used, checksums.digest(used, BODY))
        payload = hashlib.sha256(body).hexdigest() if used == MD5 else _SHA256.hexdigest()
        made = await self.requests.put(self.new(name), body, sha256=payload, checksum=checksum, conditional=conditional)
        self.made.append(made)
        return made

    async def begin(self, name: str) -> str:
        """A multipart upload under a name."""
        new = self.new(name)
        upload_id = await self.requests.begin(new, algorithm=self.dialect.part_checksum)
        self.begun.append((new.key, upload_id))
        return upload_id

    async def part(self, name: str, upload_id: str, *, number: int = 1, body: bytes = BODY) -> Part:
        """A part that claims to carry BODY, whatever `body` is."""
        used = self.dialect.part_checksum
        checksum = checksums.digest(used, BODY)
        return await self.requests.put_part(self.new(name).key, upload_id, number, body, algorithm=used, checksum=checksum)

    async def complete(self, name: str, upload_id: str, part: Part, *, whole: str, conditional: bool = False) -> StoredObject:
        """Makes a canary of its only part."""
        made = await self.requests.complete(
            self.new(name).key,
            upload_id,
            [part],
            algorithm=self.dialect.part_checksum,
            whole=whole,
            conditional=conditional,
        )
        self.made.append(made)
        return made


async def run(canaries: Canaries) -> None:
    """All trials: one put to find the words the endpoint understands, then the others at the same time."""
    first = await first_put(canaries)
    await together(
        look_at(canaries, first),
        second_put(canaries),
        wrong_put(canaries),
        multipart(canaries),
    )


async def together(*trials: Coroutine[Any, Any, None]) -> None:
    """Runs them all to their ends, so that none writes any more when the first error is raised and the cleaning starts."""
    for ended in await asyncio.gather(*trials, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended


async def first_put(canaries: Canaries) -> StoredObject:
    """Finds the richest way of putting that the endpoint accepts: first all of it, then without what it may not know."""
    ways = product((canaries.lock, None) if canaries.lock else (None,), (True, False), (SHA256, MD5))
    refused: S3Refused | None = None
    for lock, conditional, algorithm in ways:
        canaries.lock = lock
        canaries.dialect = Dialect(if_none_match=conditional, put_checksum=algorithm)
        try:
            return await canaries.put("put", conditional=conditional)
        except S3Refused as error:
            if error.code not in _UNKNOWN:
                raise
            refused = refused or error
            canaries.lock_refused = canaries.lock_refused or (error.code if lock else "")
    raise refused or AssertionError("no way was tried")


async def look_at(canaries: Canaries, stored: StoredObject) -> None:
    """Whether they are the same bytes, and what the endpoint says of them."""
    canaries.put_seen = await canaries.requests.head(stored.key, stored.version_id)
    found = b"".join([chunk async for chunk in canaries.requests.read(stored.key, stored.version_id)])
    if found != BODY:
        what = "with chunk framing among them" if BODY in found else f"{len(found)} of them, {len(BODY)} were sent"
        raise StorageRefused(
            f"s3://{canaries.requests.settings.bucket}: the endpoint stores other bytes than it is sent ({what})",
            hint="nothing may be archived there; is a proxy between us that rewrites bodies?",
        )


async def second_put(canaries: Canaries) -> None:
    """Whether If-None-Match keeps the first object."""
    if canaries.dialect.if_none_match:
        await canaries.put("twice")
        canaries.conditional_put = await _refused(canaries.put("twice", conditional=True), ObjectExists)


async def wrong_put(canaries: Canaries) -> None:
    """Whether a body is refused that is not what its SHA-256 says, and if not, one that is not what its MD5 says."""
    if canaries.dialect.put_checksum == SHA256:
        canaries.refuses_wrong_checksum = await _refused(canaries.put("wrong", body=OTHER), ChecksumRefused, S3Refused)
    if not canaries.refuses_wrong_checksum:
        by_md5 = await _refused(canaries.put("wrong-md5", body=OTHER, algorithm=MD5), ChecksumRefused)
        canaries.dialect = replace(canaries.dialect, put_checksum=MD5 if by_md5 else canaries.dialect.put_checksum)


async def multipart(canaries: Canaries) -> None:
    """The best checksum that is checked on parts; then what completion checks and keeps."""
    for algorithm in (CRC64NVME, SHA256, MD5, NONE):
        canaries.dialect = replace(canaries.dialect, part_checksum=algorithm)
        if algorithm == NONE or await _refuses_wrong_part(canaries):
            break
    canaries.refuses_wrong_part = canaries.dialect.part_checksum != NONE
    await together(whole_checksum(canaries), completion(canaries))


async def _refuses_wrong_part(canaries: Canaries) -> bool:
    """Whether the algorithm in use is known and checked. The upload is spent: some endpoints drop it with the refused part."""
    name = f"part-{canaries.dialect.part_checksum.lower()}"
    try:
        upload_id = await canaries.begin(name)
        await canaries.part(name, upload_id)  # a right one first: otherwise the header may be what is refused
    except S3Refused as error:
        if error.code not in _UNKNOWN:
            raise
        return False
    return await _refused(canaries.part(name, upload_id, number=2, body=OTHER), ChecksumRefused, S3Refused)


async def whole_checksum(canaries: Canaries) -> None:
    """Whether a wrong checksum of the whole object is refused."""
    if canaries.dialect.part_checksum == CRC64NVME:
        upload_id = await canaries.begin("whole")
        part = await canaries.part("whole", upload_id)
        wrong = canaries.complete("whole", upload_id, part, whole=checksums.digest(CRC64NVME, OTHER))
        canaries.refuses_wrong_whole = await _refused(wrong, ChecksumRefused, S3Refused)


async def completion(canaries: Canaries) -> None:
    """What a multipart object looks like, and whether a second one can take its place."""
    upload_id = await canaries.begin("multipart")
    part = await canaries.part("multipart", upload_id)
    whole = checksums.whole([part]) if canaries.dialect.part_checksum == CRC64NVME else ""
    made = await canaries.complete("multipart", upload_id, part, whole=whole)
    canaries.multipart_seen = await canaries.requests.head(made.key, made.version_id)
    canaries.reports_whole = bool(whole) and canaries.multipart_seen.checksums.get(CRC64NVME) == whole
    if canaries.dialect.if_none_match:
        upload_id = await canaries.begin("multipart")
        part = await canaries.part("multipart", upload_id)
        again = canaries.complete("multipart", upload_id, part, whole=whole, conditional=True)
        canaries.conditional_complete = await _refused(again, ObjectExists)


async def clean(canaries: Canaries) -> list[StoredObject]:
    """Removes what was written; returns what the endpoint refused to let go.

    What could not be asked for, or was written by a put whose answer was lost, is swept by a later probe.
    """
    aborts = [canaries.requests.abort(key, upload_id) for key, upload_id in canaries.begun]
    deletes = [canaries.requests.delete(stored.key, stored.version_id) for stored in canaries.made]
    await asyncio.gather(*aborts, return_exceptions=True)
    ends = await asyncio.gather(*deletes, return_exceptions=True)
    return [stored for stored, ended in zip(canaries.made, ends, strict=True) if isinstance(ended, StorageRefused)]


async def _refused(trial: Coroutine[Any, Any, object], *refusals: type[StorageError]) -> bool:
    """Whether a trial was refused in one of the ways that count."""
    try:
        await trial
    except refusals:
        return True
    return False
