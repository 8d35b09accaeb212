"""Matroska and WebM of any length: a small real file, with Void elements for its name and for its size."""

from __future__ import annotations

from functools import lru_cache

from archiver.simulator.pieces import Fixed, Piece, noise

# Element ids, RFC 9559 section 5.
_SEGMENT, _SEEK_HEAD, _CUES, _VOID = 0x18538067, 0x114D9B74, 0x1C53BB6B, 0xEC
_VOID_OVERHEAD = 9


def elements(data: bytes) -> list[tuple[int, int, int, int]]:
    """(id, start, start of the content, end) of each element at the top of `data`; sizes must be known (raises ValueError)."""
    found, offset = [], 0
    while offset < len(data):
        identity, after = _number(data, offset, keep_marker=True)
        size, content = _number(data, after, keep_marker=False)
        if size == (1 << 7 * (content - after)) - 1:
            raise ValueError(f"element {identity:#x} at byte {offset} has no known size")
        if content + size > len(data):
            raise ValueError(f"element {identity:#x} at byte {offset} wants {size} bytes, {len(data) - content} are there")
        found.append((identity, offset, content, content + size))
        offset = content + size
    return found


def _number(data: bytes, offset: int, *, keep_marker: bool) -> tuple[int, int]:
    """A variable-length number and the offset after it (RFC 8794, section 4)."""
    length = 9 - data[offset].bit_length()
    value = int.from_bytes(data[offset : offset + length], "big")
    return (value if keep_marker else value & (1 << 7 * length) - 1), offset + length


def _eight_bytes(size: int) -> bytes:
    return (1 << 56 | size).to_bytes(8, "big")


def _void(content_length: int) -> bytes:
    return bytes([_VOID]) + _eight_bytes(content_length)


@lru_cache(maxsize=16)
def _parts(seed_file: bytes) -> tuple[bytes, bytes]:
    """The EBML header, and of the segment what does not hold byte positions (SeekHead and Cues would be wrong after a Void)."""
    header, segment = elements(seed_file)[:2]
    inner = seed_file[segment[2] : segment[3]]
    kept = [inner[start:end] for identity, start, _, end in elements(inner) if identity not in {_SEEK_HEAD, _CUES, _VOID}]
    return seed_file[header[1] : header[3]], b"".join(kept)


def layout(seed_file: bytes, label: str, size_hint: int) -> tuple[Piece, ...]:
    """A file of `size_hint` bytes, or of the least that holds the recording."""
    header, kept = _parts(seed_file)
    name = label.encode("utf-8", "surrogatepass")[:400]
    start = header + _SEGMENT.to_bytes(4, "big")
    inside = _void(len(name)) + name + kept
    filler = max(0, size_hint - len(start) - 8 - len(inside) - _VOID_OVERHEAD)
    size = _eight_bytes(len(inside) + _VOID_OVERHEAD + filler)
    return Fixed(start + size + inside + _void(filler)), noise(label, filler)
