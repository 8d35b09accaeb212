"""A simulated media file: real bytes of a real container, the same for the same seed, of any size without being held whole."""

from __future__ import annotations

import base64
import enum
import hashlib
import importlib.resources
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from archiver.simulator import boxes, matroska, ogg
from archiver.simulator.pieces import READ_SIZE, Fixed, Piece, number_from

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST_ENCRYPTED = 16 * 2**20
_AES_BLOCK = 16


class Kind(enum.Enum):
    """Container and codec."""

    OGG_OPUS = "ogg-opus"
    WEBM_VP8 = "webm-vp8"
    WEBM_VP9 = "webm-vp9"
    MKA_OPUS = "mka-opus"
    MKA_PCMU = "mka-pcmu"
    MKV_VP8 = "mkv-vp8"
    MKV_H264 = "mkv-h264"
    MP4_H264 = "mp4-h264"
    MP3 = "mp3"
    WAV = "wav"


# kind: (seed file, extension, content type)
_FORMS = {
    Kind.OGG_OPUS: ("opus.ogg", "ogg", "audio/ogg"),
    Kind.WEBM_VP8: ("vp8.webm", "webm", "video/webm"),
    Kind.WEBM_VP9: ("vp9.webm", "webm", "video/webm"),
    Kind.MKA_OPUS: ("opus.mka", "mka", "audio/x-matroska"),
    Kind.MKA_PCMU: ("pcmu.mka", "mka", "audio/x-matroska"),
    Kind.MKV_VP8: ("vp8.mkv", "mkv", "video/x-matroska"),
    Kind.MKV_H264: ("h264.mkv", "mkv", "video/x-matroska"),
    Kind.MP4_H264: ("h264.mp4", "mp4", "video/mp4"),
    Kind.MP3: ("tone.mp3", "mp3", "audio/mpeg"),
    Kind.WAV: ("", "wav", "audio/x-wav"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """A rendition's bytes. `size` is `size_hint` or the nearest possible above; what no container can be is the least it can be.

    `encrypted` bytes are what Twilio stores for an account with a public key (providers.md 4.6): AES-256-CBC with PKCS #7
    padding, key and iv from the seed. They are built in memory, so a size hint above 16 MiB raises ValueError.
    """

    kind: Kind
    seed: str
    size_hint: int = 0
    encrypted: bool = False
    untyped: bool = False  # sent as binary/octet-stream: upstream types are not always audio/* or video/* (providers.md 2.6)

    @property
    def extension(self) -> str:
        return _FORMS[self.kind][1]

    @property
    def content_type(self) -> str:
        if self.encrypted:
            return "application/octet-stream"
        return "binary/octet-stream" if self.untyped else _FORMS[self.kind][2]

    @property
    def size(self) -> int:
        return sum(piece.length for piece in pieces(self))

    @property
    def clear_size(self) -> int:
        """Bytes before encryption; the same as `size` where nothing is encrypted."""
        return sum(piece.length for piece in _clear_pieces(self))

    @property
    def sha256(self) -> str:
        """Of all bytes, in hex; worked out when first asked for."""
        return _sha256(self)

    @property
    def etag(self) -> str:
        """Looks like the MD5 of a single put, as S3's does, and like there it proves nothing about the bytes."""
        return f'"{number_from(f"{self}", size=16):032x}"'

    @property
    def content_key(self) -> bytes:
        """The AES key of an encrypted file, 32 bytes."""
        return number_from(f"key {self.seed}", size=32).to_bytes(32, "big")

    @property
    def content_iv(self) -> bytes:
        """The AES-CBC initialisation vector of an encrypted file, 16 bytes."""
        return number_from(f"iv {self.seed}", size=_AES_BLOCK).to_bytes(_AES_BLOCK, "big")

    @property
    def iv_header(self) -> str:
        return base64.b64encode(self.content_iv).decode()

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to `stop`, at most 256 KiB at a time."""
        stop = self.size if stop is None else stop
        offset = 0
        for piece in pieces(self):
            first, last = max(start - offset, 0), min(stop - offset, piece.length)
            while first < last:
                until = min(first + READ_SIZE, last)
                yield piece.read(first, until)
                first = until
            offset += piece.length

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from `start` up to `stop`, at once."""
        return b"".join(self.chunks(start, stop))


@lru_cache(maxsize=16)
def _seed_file(name: str) -> bytes:
    return (importlib.resources.files("archiver.simulator") / "media" / name).read_bytes()


@lru_cache(maxsize=8192)
def pieces(media: MediaFile) -> tuple[Piece, ...]:
    """What the file is made of, in order."""
    clear = _clear_pieces(media)
    return (Fixed(_encrypt(media, clear)),) if media.encrypted else clear


@lru_cache(maxsize=8192)
def _clear_pieces(media: MediaFile) -> tuple[Piece, ...]:
    if media.kind is Kind.WAV:
        return boxes.wav(media.seed, media.size_hint)
    seed_file = _seed_file(_FORMS[media.kind][0])
    if media.kind is Kind.OGG_OPUS:
        return ogg.layout(seed_file, media.seed, media.size_hint)
    if media.kind is Kind.MP3:
        return boxes.mp3(seed_file, media.seed, media.size_hint)
    if media.kind is Kind.MP4_H264:
        return boxes.mp4(seed_file, media.seed, media.size_hint)
    return matroska.layout(seed_file, media.seed, media.size_hint)


def _encrypt(media: MediaFile, clear: tuple[Piece, ...]) -> bytes:
    if media.size_hint > _LARGEST_ENCRYPTED:
        raise ValueError(
            f"{media.seed}: encrypted media of {media.size_hint} bytes asked for; at most {_LARGEST_ENCRYPTED} are built"
        )
    plain = b"".join(piece.read(0, piece.length) for piece in clear)
    pad = _AES_BLOCK - len(plain) % _AES_BLOCK
    encryptor = Cipher(algorithms.AES256(media.content_key), modes.CBC(media.content_iv)).encryptor()
    return encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()


@lru_cache(maxsize=65536)
def _sha256(media: MediaFile) -> str:
    digest = hashlib.sha256()
    for chunk in media.chunks():
        digest.update(chunk)
    return digest.hexdigest()
