"""Under which key a rendition lies in the archive: made of ids and dates, never of a name that somebody typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archiver.domain.recording import Entry

_ALLOWED = re.compile(r"[^A-Za-z0-9._-]")


def segment(text: str) -> str:
    """A provider's id as one harmless segment of a key; `.` and `..` and the empty text become `_`."""
    clean = _ALLOWED.sub("_", text)[:128]
    return clean if clean.strip(".") else "_"


def object_key(entry: Entry, extension: str, *, sha256: str = "") -> str:
    """`<source>/<YYYY>/<MM>/<DD>/<recording_id>/<rendition>.<ext>`, the date being that of the end in UTC, else of the start.

    With `sha256` (hex) the name of a second object for other bytes of the same rendition: `<rendition>-<first 12>.<ext>`.
    """
    moment = entry.ended_at or entry.started_at or entry.first_seen_at
    if moment is None:
        raise ValueError(f"{entry.source}/{entry.recording_id} has no date at all")
    name = f"{entry.rendition}-{sha256[:12]}" if sha256 else entry.rendition
    folder = f"{entry.source}/{moment:%Y/%m/%d}/{segment(entry.recording_id)}"
    return f"{folder}/{segment(name)}.{segment(extension)}"


def object_metadata(entry: Entry, *, token: str, version: str, sha256: str, carried: dict[str, str]) -> dict[str, str]:
    """What an object says of itself; `carried` are a provider's decryption headers (wire names in lower case)."""
    own = {
        "archiver-recording": segment(entry.recording_id),
        "archiver-source": entry.source,
        "archiver-rendition": entry.rendition,
        "archiver-token": token,
        "archiver-version": version,
    }
    if sha256:
        own["archiver-sha256"] = sha256
    return own | {name.removeprefix("x-amz-meta-"): value for name, value in carried.items()}
