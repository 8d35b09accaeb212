"""Each S3 operation once, with everything it sends given by the caller.

What to send is decided in `s3.py` and tried out by `canaries.py`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ChecksumRefused, ObjectMissing, StorageRefused, StorageUnavailable
from archiver.domain.ports import Part, StoredObject
from archiver.storage import s3_headers, s3_xml
from archiver.storage.checksums import CRC64NVME, NONE, SHA256, header
from archiver.storage.keys import check_key
from archiver.storage.s3_errors import S3Refused
from archiver.storage.s3_lists import Lists
from archiver.storage.s3_wire import Request
from archiver.storage.sigv4 import UNSIGNED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from archiver.domain.ports import NewObject
    from archiver.storage.s3_control import Control
    from archiver.storage.s3_wire import Reply, Wire
    from archiver.storage.settings import S3Settings

Body = bytes | bytearray | memoryview
_COMPLETION = 900.0  # seconds: S3 may take minutes over thousands of parts, and sends blanks meanwhile
_IN_PARTS = {CRC64NVME: "ChecksumCRC64NVME", SHA256: "ChecksumSHA256"}


class Requests(Lists):
    """The bucket and prefix, one method an operation. Keys are relative to the prefix."""

    def __init__(self, settings: S3Settings, control: Control, wire: Wire) -> None:
        super().__init__(settings, wire)
        self._control = control

    def full_key(self, key: str) -> str:
        """The key in the bucket; raises StorageRefused for one that may not be used."""
        check_key(key)
        return self._prefix + key

    async def put(
        self, new: NewObject, body: Body, *, sha256: str, checksum: Mapping[str, str], conditional: bool
    ) -> StoredObject:
        """One put, sent once; `sha256` is hex and signed as the body's."""
        headers = {**s3_headers.creation_headers(new, self.settings), **checksum, **self._owner}
        if conditional:
            headers["if-none-match"] = "*"
        what = self._what("put", new.key)
        reply = await self._wire.send(
            Request(method="PUT", what=what, key=self.full_key(new.key), headers=headers, body=body, payload=sha256)
        )
        _acknowledged(reply, checksum, what)
        return s3_headers.stored_object(new.key, reply.headers, size=memoryview(body).nbytes)

    async def begin(self, new: NewObject, *, algorithm: str) -> str:
        """A new multipart upload's id. One whose answer was lost is swept up with all that nobody knows of."""
        what = self._what("create_multipart_upload", new.key)
        headers = {**s3_headers.creation_headers(new, self.settings), **s3_headers.upload_headers(algorithm), **self._owner}
        request = Request(method="POST", what=what, key=self.full_key(new.key), query=(("uploads", ""),), headers=headers)
        upload_id = _texts(await self.insist(request), what).get("UploadId", "")
        if not upload_id:
            raise StorageUnavailable(f"{what}: the answer names no upload")
        return upload_id

    async def put_part(self, key: str, upload_id: str, number: int, body: Body, *, algorithm: str, checksum: str) -> Part:
        """One part, sent once. The body is not signed: its checksum is, and SHA-256 would cost thirty times as much."""
        sent = header(algorithm, checksum)
        what = f"{self._what('put', key)}, part {number}"
        reply = await self._wire.send(
            Request(
                method="PUT",
                what=what,
                key=self.full_key(key),
                query=(("partNumber", str(number)), ("uploadId", upload_id)),
                headers={**sent, **self._owner},
                body=body,
                payload=UNSIGNED,
            )
        )
        _acknowledged(reply, sent, what)
        kept = checksum if algorithm in _IN_PARTS else ""
        return Part(number=number, size=memoryview(body).nbytes, etag=reply.headers["etag"], checksum=kept)

    async def parts(self, key: str, upload_id: str) -> tuple[list[Part], str]:
        """The parts the store has, in order, and the checksum algorithm of the upload."""
        found: list[Part] = []
        algorithm = NONE
        more: dict[str, Any] = {}
        while True:
            answer = await self._call("list_parts", key, UploadId=upload_id, **more)
            algorithm = str(answer.get("ChecksumAlgorithm", NONE))
            found += [_part(item, algorithm) for item in answer.get("Parts", ())]
            if not answer.get("IsTruncated"):
                return sorted(found, key=lambda part: part.number), algorithm
            more = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    async def complete(
        self, key: str, upload_id: str, parts: Sequence[Part], *, algorithm: str, whole: str, conditional: bool
    ) -> StoredObject:
        """Makes the parts an object; `whole` is the CRC64NVME of all of it, "" where it is not known."""
        size = sum(part.size for part in parts)
        headers = {"content-type": "application/xml", "x-amz-mp-object-size": str(size), **self._owner}
        if whole:
            headers |= {**header(CRC64NVME, whole), "x-amz-checksum-type": "FULL_OBJECT"}
        if conditional:
            headers["if-none-match"] = "*"
        what = self._what("completion", key)
        body = s3_xml.completion(_named(part, algorithm) for part in parts)
        request = Request(
            method="POST",
            what=what,
            key=self.full_key(key),
            query=(("uploadId", upload_id),),
            headers=headers,
            body=body,
            payload=hashlib.sha256(body).hexdigest(),
            patience=_COMPLETION,
        )
        try:
            reply = await self._wire.send(request)
        except S3Refused as refused:
            if refused.code == "InvalidRequest":  # S3's word for a size that is not what it has
                raise ChecksumRefused(str(refused)) from refused
            raise
        answer = _texts(reply, what)
        if not answer.get("ETag"):
            raise StorageUnavailable(f"{what}: answered 200 without saying what was made")
        reported = answer.get("ChecksumCRC64NVME", "")
        if whole and reported not in ("", whole):
            raise ChecksumRefused(f"{what}: the store computed {CRC64NVME} {reported}, sent was {whole}")
        return StoredObject(
            key=key,
            version_id=s3_headers.version(reply.headers.get("x-amz-version-id")),
            size=size,
            etag=answer["ETag"],
            checksums={CRC64NVME: reported} if reported else {},
        )

    async def abort(self, key: str, upload_id: str) -> None:
        """Drops an upload; one that is gone already is no error."""
        try:
            await self._call("abort_multipart_upload", key, UploadId=upload_id)
        except ObjectMissing:
            return

    async def head(self, key: str, version_id: str = "") -> StoredObject:
        """What stands under a key (and version)."""
        reply = await self._wire.send(
            Request(
                method="HEAD",
                what=self._what("head", key),
                key=self.full_key(key),
                query=(("versionId", version_id),) if version_id else (),
                headers={"x-amz-checksum-mode": "ENABLED", **self._owner},
            )
        )
        if "content-length" not in reply.headers:
            raise StorageUnavailable(f"{self._what('head', key)}: the answer gives no size")
        return s3_headers.stored_object(key, reply.headers)

    def read(self, key: str, version_id: str = "") -> AsyncIterator[bytes]:
        """The bytes under a key (and version)."""
        return self._wire.stream(
            Request(
                method="GET",
                what=self._what("read", key),
                key=self.full_key(key),
                query=(("versionId", version_id),) if version_id else (),
                headers=self._owner,
            )
        )

    async def look(self) -> Reply:
        """Asks for at most one key under our prefix: whether the bucket is there and lets us in, and what time it is there."""
        return await self._wire.send(
            Request(
                method="GET",
                what=f"list of s3://{self.settings.bucket}/{self._prefix}",
                query=(("list-type", "2"), ("max-keys", "1"), ("prefix", self._prefix)),
                headers=self._owner,
            )
        )

    async def delete(self, key: str, version_id: str) -> None:
        """Deletes one version, on a bucket without versions the object; one that is gone already is no error.

        `null` names the version of an object written without versioning, so that S3 can never answer with a delete marker.
        Endpoints that do not know the word are asked without it, but only where they keep no versions.
        """
        try:
            await self._call("delete_object", key, VersionId=version_id or "null")
        except ObjectMissing:
            return
        except StorageRefused:
            if version_id or await self.versioned():
                raise
            await self._call("delete_object", key)

    async def versioned(self) -> bool:
        """Whether the bucket keeps versions, or kept them once."""
        answer = await self._control.call("get_bucket_versioning", f"versioning of s3://{self.settings.bucket}")
        return bool(answer.get("Status"))

    async def default_retention(self) -> bool:
        """Whether the bucket locks what is written without a lock; False also where it does not say."""
        try:
            what = f"lock configuration of s3://{self.settings.bucket}"
            answer = await self._control.call("get_object_lock_configuration", what)
        except (StorageRefused, ObjectMissing):
            return False
        return bool(answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention"))

    async def _call(self, operation: str, key: str, **arguments: Any) -> dict[str, Any]:
        return await self._control.call(operation, self._what(operation, key), Key=self.full_key(key), **arguments)


def _acknowledged(reply: Reply, sent: Mapping[str, str], what: str) -> None:
    """Believes a success only where it is S3's: it names the entity, and no other checksum than the one sent."""
    if not reply.headers.get("etag"):
        raise StorageUnavailable(f"{what}: answered 200 without an ETag, so not by an S3 server")
    for name, value in sent.items():
        if reply.headers.get(name, value) != value:
            raise ChecksumRefused(f"{what}: the store computed {name} {reply.headers[name]}, sent was {value}")


def _part(item: Mapping[str, Any], algorithm: str) -> Part:
    checksum = str(item.get(_IN_PARTS.get(algorithm, ""), ""))
    return Part(number=int(item["PartNumber"]), size=int(item["Size"]), etag=str(item["ETag"]), checksum=checksum)


def _named(part: Part, algorithm: str) -> dict[str, str]:
    name = _IN_PARTS.get(algorithm)
    checksum = {name: part.checksum} if name and part.checksum else {}
    return {"ETag": part.etag, **checksum, "PartNumber": str(part.number)}


def _texts(reply: Reply, what: str) -> dict[str, str]:
    try:
        return s3_xml.texts(reply.body)
    except ValueError as error:
        raise StorageUnavailable(f"{what}: the answer is {error}") from None
