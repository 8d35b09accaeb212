"""The checksums that travel with a body, so that the store itself compares them with what it received."""

from __future__ import annotations

import functools
import hashlib
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from archiver.domain.ports import Part

CRC64NVME = "CRC64NVME"  # linear: the parts' values give the whole object's without reading a byte again
SHA256 = "SHA256"
MD5 = "MD5"
NONE = ""

HEADERS: Mapping[str, str] = {CRC64NVME: "x-amz-checksum-crc64nvme", SHA256: "x-amz-checksum-sha256", MD5: "content-md5"}
SLOW = frozenset({SHA256, MD5})  # a part takes milliseconds: compute it in a thread; CRC64NVME runs at 70 GB/s


@functools.cache
def _fast() -> Any:
    """The checksums of awscrt, loaded when the first part needs one: a twentieth of a start, which most runs never need."""
    from awscrt import checksums  # noqa: PLC0415

    return checksums


def digest(algorithm: str, body: bytes | bytearray | memoryview) -> str:
    """The checksum of a body as headers spell it (base64), "" for `NONE`."""
    if algorithm == CRC64NVME:
        return spelled(crc64nvme(body))
    if algorithm == SHA256:
        return b64encode(hashlib.sha256(body).digest()).decode()
    if algorithm == MD5:
        return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return ""


def crc64nvme(body: bytes | bytearray | memoryview, previous: int = 0) -> int:
    """The CRC64NVME of what gave `previous`, followed by `body`."""
    value: int = _fast().crc64nvme(body, previous)
    return value


def spelled(crc: int) -> str:
    """A CRC64NVME value as S3 writes it."""
    return b64encode(crc.to_bytes(8, "big")).decode()


def whole(parts: Sequence[Part]) -> str:
    """The CRC64NVME of all parts together, "" where one of them came without."""
    total = 0
    for part in parts:
        value = b64decode(part.checksum) if part.checksum else b""
        if len(value) != 8:
            return ""
        total = _fast().combine_crc64nvme(total, int.from_bytes(value, "big"), part.size)
    return spelled(total)


def header(algorithm: str, value: str) -> dict[str, str]:
    """The header that carries a checksum; none for `NONE`."""
    return {HEADERS[algorithm]: value} if algorithm and value else {}


def sha256_header(digest_: bytes) -> dict[str, str]:
    """The header that carries a SHA-256 known already."""
    return {HEADERS[SHA256]: b64encode(digest_).decode()}
