"""Makes a statement about a period public: signed, and laid down in the archive beside what it speaks of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import rfc8785

from archiver.domain import errors
from archiver.domain.ports import NewObject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from archiver.domain.ports import Clock, Lock, Storage


def rendered(statement: Mapping[str, Any]) -> bytes:
    """The statement as it is written everywhere: canonical JSON on one line."""
    return rfc8785.dumps(dict(statement)) + b"\n"


def statement_key(created_at: datetime, sha256: str) -> str:
    """`_attest/<YYYY>/<MM>/<DD>/<instant>-<first 12 of the SHA-256>.json`."""
    return f"_attest/{created_at:%Y/%m/%d}/{created_at:%H%M%S}-{sha256[:12]}.json"


async def lay_down(
    statement: Mapping[str, Any], *, storage: Storage, clock: Clock, created_at: datetime, lock: Lock | None, version: str
) -> tuple[str, str, str]:
    """Writes the statement into the archive; returns key, version id and SHA-256 (hex). Raises StorageError."""
    data = rendered(statement)
    digest = hashlib.sha256(data)
    key = statement_key(created_at, digest.hexdigest())
    metadata = {"archiver-token": clock.token(), "archiver-version": version, "archiver-sha256": digest.hexdigest()}
    new = NewObject(key=key, content_type="application/json", metadata=metadata, lock=lock)
    try:
        stored = await storage.put(new, data, sha256=digest.digest())
    except errors.ObjectExists:
        stored = await storage.head(key)  # its name says what is in it: an earlier try of ours whose answer was lost
    return stored.key, stored.version_id, digest.hexdigest()
