"""Bodies as the sink takes them: unframed where they are framed, hashed, and refused where they are not what their checksums say."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awscrt import checksums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.http_threads import Request

KEPT = 4096  # bytes of a body that can be read back: canaries, not recordings
SHA, CRC = "x-amz-checksum-sha256", "x-amz-checksum-crc64nvme"
_HEX = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """An error answer: status line, S3's code."""

    def __init__(self, status: str, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass(slots=True)
class Blob:
    """A body or a part as it came in. `crc` is None where nobody asked for it."""

    size: int
    sha256: bytes
    crc: int | None
    kept: bytes = b""


def proofs(headers: Mapping[str, str]) -> set[str]:
    """How a client proves a body that it sends, in words for a table."""
    found = {
        name.removeprefix("x-amz-checksum-").upper()
        for name in headers
        if re.fullmatch("x-amz-checksum-(crc|sha|md5|xx).*", name)
    }
    found |= {
        f"{name.strip().removeprefix('x-amz-checksum-').upper()} in a trailer"
        for name in headers.get("x-amz-trailer", "").split(",")
        if name
    }
    if "content-md5" in headers:
        found.add("MD5")
    if _HEX.fullmatch(headers.get("x-amz-content-sha256", "")):
        found.add("SHA-256 in the signature")
    return found


def received(request: Request) -> Blob | None:
    """The body, refused where it is not what its checksums say."""
    headers = request.headers
    view = request.body()
    if "aws-chunked" in headers.get("content-encoding", ""):
        view = memoryview(_unframed(bytes(view)))
    request.connection.text = bytes(view).decode("latin-1") if request.method == "POST" else ""
    sha256 = hashlib.sha256(view).digest()
    given = headers.get("x-amz-content-sha256", "")
    if _HEX.fullmatch(given) and given != sha256.hex():
        raise Refused("400 Bad Request", "XAmzContentSHA256Mismatch")
    if request.method == "POST":
        return None
    crc = checksums.crc64nvme(view) if CRC in headers else None
    sums = {SHA: sha256, CRC: b"" if crc is None else crc.to_bytes(8, "big")}
    if "content-md5" in headers:
        sums["content-md5"] = hashlib.md5(view).digest()
    if any(name in headers and base64.b64decode(headers[name]) != value for name, value in sums.items()):
        raise Refused("400 Bad Request", "BadDigest")
    return Blob(len(view), sha256, crc, bytes(view) if len(view) <= KEPT else b"")


def _unframed(framed: bytes) -> bytes:
    """The bytes inside aws-chunked framing."""
    body, at = bytearray(), 0
    while True:
        line = framed.index(b"\r\n", at)
        size = int(framed[at:line].partition(b";")[0], 16)
        if not size:
            return bytes(body)
        body += framed[line + 2 : line + 2 + size]
        at = line + 4 + size
