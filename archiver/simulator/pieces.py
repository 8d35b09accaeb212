"""Pieces that a media file is made of: each knows its length and reads any stretch of itself, so nothing is held whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

READ_SIZE = 256 * 1024
# Prime, so that no two equally long parts of a large file are alike: a test that swaps parts must see the difference.
NOISE_PERIOD = 65521


class Piece(Protocol):
    """A stretch of a file; `read` takes offsets within the piece, `0 <= start <= stop <= length`."""

    @property
    def length(self) -> int: ...

    def read(self, start: int, stop: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Bytes as they are."""

    content: bytes

    @property
    def length(self) -> int:
        return len(self.content)

    def read(self, start: int, stop: int) -> bytes:
        return self.content[start:stop]


@dataclass(frozen=True, slots=True)
class Zeros:
    """Padding of zeros."""

    length: int

    def read(self, start: int, stop: int) -> bytes:
        return bytes(stop - start)


@dataclass(frozen=True, slots=True)
class Repeat:
    """One block over and over, from `phase` on."""

    block: bytes
    length: int
    phase: int = 0

    def read(self, start: int, stop: int) -> bytes:
        first = (self.phase + start) % len(self.block)
        wanted = stop - start
        if wanted <= READ_SIZE:
            return _widened(self.block)[first : first + wanted]
        turns = -(-(first + wanted) // len(self.block))
        return (self.block * turns)[first : first + wanted]


@lru_cache(maxsize=64)
def _widened(block: bytes) -> bytes:
    """The block so often that every ordinary read is one slice."""
    return block * (READ_SIZE // len(block) + 2)


@lru_cache(maxsize=1)
def _noise_block() -> bytes:
    return hashlib.shake_256(b"archiver.simulator").digest(NOISE_PERIOD)


def noise(seed: str, length: int) -> Repeat:
    """Bytes that look random and differ from seed to seed, for places that a container skips."""
    return Repeat(_noise_block(), length, number_from(seed) % NOISE_PERIOD)


def number_from(seed: str, *, size: int = 8) -> int:
    """A number of `size` bytes that depends on the seed alone."""
    return int.from_bytes(hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=size).digest(), "big")
