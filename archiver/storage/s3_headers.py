"""Objects as S3 spells them: in headers, in boto3's arguments and back."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from archiver.domain.ports import StoredObject
from archiver.storage.checksums import CRC64NVME, MD5
from archiver.storage.keys import check_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.domain.ports import NewObject
    from archiver.storage.settings import S3Settings

_CHECKSUM = "x-amz-checksum-"
_METADATA = "x-amz-meta-"


def creation_headers(new: NewObject, settings: S3Settings) -> dict[str, str]:
    """What a put says of its object besides the checksum."""
    headers = {"content-type": new.content_type}
    for name, value in new.metadata.items():
        check_metadata(new.key, name, value)
        headers[_METADATA + name] = value
    if settings.storage_class not in ("", "STANDARD"):
        headers["x-amz-storage-class"] = settings.storage_class
    if settings.sse:
        headers["x-amz-server-side-encryption"] = settings.sse
    if settings.kms_key_id:
        headers["x-amz-server-side-encryption-aws-kms-key-id"] = settings.kms_key_id
    if new.lock is not None:
        headers["x-amz-object-lock-mode"] = new.lock.mode.upper()
        headers["x-amz-object-lock-retain-until-date"] = f"{whole_second(new.lock.retain_until):%Y-%m-%dT%H:%M:%SZ}"
    return headers


def upload_headers(algorithm: str) -> dict[str, str]:
    """What the beginning of a multipart upload says besides: how its parts will prove themselves."""
    if algorithm in ("", MD5):
        return {}
    return {"x-amz-checksum-algorithm": algorithm} | ({"x-amz-checksum-type": "FULL_OBJECT"} if algorithm == CRC64NVME else {})


def stored_object(key: str, headers: Mapping[str, str], *, size: int | None = None) -> StoredObject:
    """An object as response headers describe it; `size` where they do not (the answer to a put)."""
    named: dict[str, str] = {}
    checksums: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for given, value in headers.items():
        name = given.lower()
        if name.startswith(_METADATA):
            metadata[name[len(_METADATA) :]] = value
        elif name.startswith(_CHECKSUM):
            checksums[name[len(_CHECKSUM) :].upper()] = value
        else:
            named[name] = value
    composite = checksums.pop("TYPE", "") == "COMPOSITE"
    until = named.get("x-amz-object-lock-retain-until-date", "")
    return StoredObject(
        key=key,
        version_id=version(named.get("x-amz-version-id")),
        size=int(named["content-length"]) if size is None else size,
        etag=named.get("etag", ""),
        sha256="" if composite else _hex(checksums.get("SHA256", "")),
        checksums=checksums,
        metadata=metadata,
        lock_mode=named.get("x-amz-object-lock-mode", "").lower(),
        retain_until=datetime.fromisoformat(until).astimezone(UTC) if until else None,
        legal_hold=named.get("x-amz-object-lock-legal-hold", "") == "ON",
    )


def version(value: str | None) -> str:
    """A version as we name it: "" where the bucket keeps none, which S3 calls `null`."""
    return "" if value in (None, "null") else str(value)


def _hex(value: str) -> str:
    """A base64 SHA-256 in hex; "" where it is none, such as the composite `…-3` of a multipart upload."""
    try:
        raw = b64decode(value, validate=True)
    except ValueError:
        return ""
    return raw.hex() if len(raw) == 32 else ""


def whole_second(at: datetime) -> datetime:
    """Rounded up: a lock may only ever be longer than asked for (invariant I10)."""
    at = at.astimezone(UTC)
    return at if at.microsecond == 0 else at.replace(microsecond=0) + timedelta(seconds=1)
