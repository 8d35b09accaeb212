"""Which keys an archive may hold: none that leaves its folder, none that a server or file system could read another way."""

from __future__ import annotations

import re

from archiver.domain.errors import StorageRefused

_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_METADATA_NAME = re.compile(r"[a-z0-9-]+")
_METADATA_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?|")
_MAX_KEY = 1024  # S3's limit, in bytes


def key_problem(key: str) -> str | None:
    """Why a key is refused, None where it may be used."""
    if len(key) > _MAX_KEY:
        return f"{len(key)} characters, at most {_MAX_KEY}"
    for segment in key.split("/"):
        if not segment:
            return "an empty segment"
        if segment in (".", ".."):
            return f"the segment {segment!r}"
        if not _SEGMENT.fullmatch(segment):
            return "characters other than A-Z a-z 0-9 . _ - /"
    return None


def check_key(key: str) -> None:
    """Raises StorageRefused for a key that may not be used."""
    if problem := key_problem(key):
        raise StorageRefused(f"key {key[:80]!r} has {problem}")


def check_prefix(prefix: str) -> None:
    """Raises StorageRefused for a prefix of keys whose whole segments could not be a key's."""
    parents = prefix.rpartition("/")[0]
    if "/" in prefix:
        check_key(parents)


def check_metadata(key: str, name: str, value: str) -> None:
    """Raises StorageRefused for metadata that would not come back as it was given.

    S3 folds names to lower case and trims values; other characters travel in ways that differ between endpoints.
    """
    if not _METADATA_NAME.fullmatch(name):
        raise StorageRefused(f"{key}: metadata name {name[:80]!r} (accepted: a-z 0-9 -)")
    if not _METADATA_VALUE.fullmatch(value):
        raise StorageRefused(f"{key}: metadata {name} is not printable ASCII without spaces at its ends")
