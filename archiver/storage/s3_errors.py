"""What an S3 endpoint's refusals mean for us: one table, used by both ways of talking to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from archiver.domain.errors import (
    ChecksumRefused,
    ObjectExists,
    ObjectMissing,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
)

_CODE = re.compile(r"<Code>([A-Za-z0-9_.:-]{1,64})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,600})</Message>")
_REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
# What could be a signature, a session token or a key id: messages are the endpoint's text and end up in logs.
_SECRETLIKE = re.compile(r"[A-Za-z0-9+/=_-]{40,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")

_CHECKSUM = {
    "BadDigest",
    "InvalidDigest",
    "InvalidPart",  # at completion: what the store has is not what it acknowledged
    "InvalidPartOrder",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
NOT_FOUND = "NotFound"  # our word for the 404 to a HEAD, which has no body that could hold a code
_MISSING = {"NoSuchKey", "NoSuchUpload", "NoSuchVersion", NOT_FOUND}
_FULL = {"InsufficientCapacity", "QuotaExceeded", "XMinioStorageFull", "StorageFull"}
_UNAVAILABLE = {
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_HINTS = {
    "AccessDenied": "does the policy allow this action on this bucket and prefix?",
    "AuthorizationHeaderMalformed": "is storage.region the bucket's region?",
    "ExpiredToken": "the session token has expired",
    "InvalidAccessKeyId": "are these credentials for this endpoint?",
    "NoSuchBucket": "create the bucket, or correct storage.url",
    "PermanentRedirect": "is storage.region the bucket's region?",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "is the secret key right, and does storage.endpoint_url name the server itself and not a proxy?",
}


class S3Refused(StorageRefused):
    """A refusal with S3's own code for it, where it gave one."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class S3Missing(ObjectMissing):
    """Something that S3 says it does not have, with its code."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An endpoint's answer that is not a success; `code` is "" where it gave none (a HEAD has no body)."""

    status: int
    code: str = ""
    message: str = ""
    region: str = ""


def parse(status: int, body: bytes, *, region: str = "") -> Refusal:
    """The refusal in an error document, which may be anything: a proxy's page has no code."""
    text = body[:8192].decode("utf-8", "replace")
    code, message, named = _CODE.search(text), _MESSAGE.search(text), _REGION.search(text)
    return Refusal(
        status=status,
        code=code[1] if code else "",
        message=message[1] if message else "",
        region=region or (named[1] if named else ""),
    )


def error(refusal: Refusal, what: str) -> StorageError:
    """The error to raise for a refusal of `what` (`put of s3://bucket/key`)."""
    text = f"{what}: {refusal.status} {_spoken(refusal)}".rstrip()
    hint = _HINTS.get(refusal.code)
    if refusal.region:
        hint = f"the bucket lies in {refusal.region}: set storage.region"
    elif refusal.status == 403 and hint is None:
        hint = _HINTS["AccessDenied"]
    kind = _kind(refusal.status, refusal.code)
    if kind in (S3Refused, S3Missing):
        return kind(text, hint=hint, code=refusal.code)
    return kind(text, hint=hint)


def _kind(status: int, code: str) -> type[StorageError]:
    """The class for a refusal: by its code where it has one, else by its status."""
    if code in _CHECKSUM:
        return ChecksumRefused
    if code in _FULL or status == 507:
        return StorageFull
    if code in _MISSING:
        return S3Missing
    if code in _UNAVAILABLE:
        return StorageUnavailable
    if status == 412:
        return ObjectExists
    # A 404 without a code is a proxy's page: nothing is known to be missing.
    if status in (408, 409, 429) or (status >= 500 and status != 501) or (status == 404 and not code):
        return StorageUnavailable
    return S3Refused if status >= 300 else StorageUnavailable


def _spoken(refusal: Refusal) -> str:
    message = "".join(c if c.isprintable() else " " for c in refusal.message[:600])
    message = _SECRETLIKE.sub("…", message).strip().rstrip(".")[:200]
    return f"{refusal.code} ({message})" if refusal.code and message else refusal.code or message
