"""Whether bytes are what they claim to be: length evidence, plausible media, stored against expected.

Each question answers with the reason why not, or None; nothing here changes anything.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.domain.recording import Entry

HEAD_BYTES = 64  # enough for every magic number and for a look at an error page
DECRYPTION_HEADERS = frozenset(
    {"x-amz-meta-x-amz-key", "x-amz-meta-x-amz-iv", "x-amz-meta-x-amz-matdesc", "x-amz-meta-x-amz-unencrypted-content-length"}
)  # providers.md 4.6: without them an encrypted recording can never be decrypted

_CARRIED_MOST = 1600  # bytes; S3 takes 2 KB of metadata with an object, and our own comes to at most 450
_CARRIED = re.compile(r"[!-~]([ -~]*[!-~])?|")
_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}(; ?[a-z0-9.+-]{1,30}=[a-z0-9.,+-]{1,60}){0,3}", re.IGNORECASE)

_MAGIC = (
    (b"\x1aE\xdf\xa3", "matroska"),  # also webm
    (b"OggS", "ogg"),
    (b"RIFF", "wav"),
    (b"RF64", "wav"),
    (b"ID3", "mp3"),
    (b"fLaC", "flac"),
)
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/problem+", "application/xhtml")
_EXTENSION = {"matroska": "mkv", "ogg": "ogg", "wav": "wav", "mp3": "mp3", "flac": "flac", "mp4": "mp4"}


def container(head: bytes) -> str:
    """Name of the container that the first bytes announce, "" where they announce none."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "mp4"
    return "mp3" if _mpeg_layer_three(head) else ""


def _mpeg_layer_three(head: bytes) -> bool:
    """Whether a frame of MPEG audio, layer III, begins here. FF FE, which begins a page in UTF-16, is no such frame."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return False
    reserved_version, bad_rate, reserved_frequency = head[1] & 0x18 == 0x08, head[2] & 0xF0 == 0xF0, head[2] & 0x0C == 0x0C
    return not (reserved_version or bad_rate or reserved_frequency)


def implausible(head: bytes, *, content_type: str, encrypted: bool) -> str | None:
    """Why the first bytes of a body cannot be a recording; None where they can.

    `encrypted` media has no magic number, so only its announced type can speak against it.
    """
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if not head:
        return "an empty body"
    if kind.startswith(_TEXT_TYPES):
        return f"content type {kind!r}, which is not a recording's"
    if encrypted:
        return None
    if container(head):
        return None
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    what = "what looks like an error page" if text in (b"<", b"{", b"[") else "no known container"
    return f"{what} in the first bytes (accepted: Matroska/WebM, Ogg, WAV, MP3, MP4, FLAC)"


def length_problem(*, received: int, announced: int | None, listed: int | None, head: bytes, encrypted: bool) -> str | None:
    """Why `received` bytes are not known to be all of a recording; None where something proves it (I4).

    Proof is a Content-Length (`announced`), the provider's exact size (`listed`) or the length a WAV file carries itself.
    Where several exist all must agree; the provider's size does not count for encrypted media, whose padding it leaves out.
    """
    if received == 0:
        return "0 bytes received"
    if announced is not None and received != announced:
        return f"{received} bytes received, {announced} announced"
    if listed and not encrypted and received != listed:
        return f"{received} bytes received, the provider lists {listed}"
    riff = riff_length(head)
    if riff is not None and not encrypted and received < riff:
        return f"{received} bytes received, the WAV header says {riff}"
    if announced is None and not (listed and not encrypted) and riff is None:
        return f"{received} bytes received, and nothing announced how many there are"
    return None


def riff_length(head: bytes) -> int | None:
    """Bytes that a RIFF header says its file has; None where there is none or where a live writer left it open."""
    if not head.startswith(b"RIFF") or len(head) < 8:
        return None
    length: int = struct.unpack("<I", head[4:8])[0]
    return None if length in (0, 0xFFFFFFFF) else length + 8


def extension(head: bytes, *, listed_container: str, codec: str, rendition: str, encrypted: bool) -> str:
    """File name extension for a rendition: what the bytes are; where they are encrypted, what the provider says.

    Telnyx names only a codec: opus lies in ogg, vp8/vp9 in webm, h264 in mp4 (providers.md 2.1).
    """
    said = listed_container.lower() if listed_container.lower() in ("mka", "mkv", "webm", "mp3", "wav", "ogg", "mp4") else ""
    if rendition in ("mp3", "wav"):
        return rendition
    found = "" if encrypted else container(head)
    if found == "matroska":
        return said if said in ("mka", "mkv", "webm") else ("webm" if b"webm" in head else "mkv")
    if found:
        return _EXTENSION[found]
    return said or {"opus": "ogg", "vp8": "webm", "vp9": "webm", "h264": "mp4"}.get(codec.lower(), "bin")


def content_type(said: str) -> str:
    """The content type to store: what the media host said where that is one, else that nothing is known."""
    return said if _CONTENT_TYPE.fullmatch(said) else "application/octet-stream"


def uncarriable(headers: Mapping[str, str]) -> str | None:
    """Why decryption headers cannot be kept with an object exactly as they came; None where they can."""
    for name, value in headers.items():
        if not _CARRIED.fullmatch(value):
            return f"{name} is not printable ASCII without spaces at its ends"
    size = sum(len(name.removeprefix("x-amz-meta-")) + len(value) for name, value in headers.items())
    if size > _CARRIED_MOST:
        return f"{', '.join(headers)} have {size} bytes together, an object takes {_CARRIED_MOST}"
    return None


def difference(entry: Entry, *, size: int, sha256: str | None, metadata: Mapping[str, str]) -> str | None:
    """How a stored object differs from what the catalog says of it; None where nothing does.

    `sha256` is the hex digest the store proves or that was read back, None where neither is known.
    """
    if size != entry.size:
        return f"{size} bytes stored, {entry.size} in the catalog"
    if sha256 is not None and sha256 != entry.sha256:
        return f"SHA-256 {sha256} stored, {entry.sha256} in the catalog"
    token = metadata.get("archiver-token", "")
    if entry.token and token and token != entry.token:
        return f"written by upload {token}, the catalog knows {entry.token}"
    return None
