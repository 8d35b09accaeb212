"""Ogg/Opus of any length: one second of sound over and over, each page with its own number and a correct CRC."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from archiver.simulator.pieces import Fixed, Piece, number_from

_POLYNOMIAL = 0x04C11DB7
_SAMPLES_PER_PACKET = 960  # 20 ms at Opus' 48 kHz (RFC 7845, section 4)
_SHORT_PAGE, _LONG_PAGE = 25, 250  # packets
_LONG_FROM = 64 * 1024
_END_OF_STREAM, _FIRST_OF_STREAM = 0x04, 0x02
_NUMBERED_PART = 22  # header bytes up to the page's number: all that differs between two audio pages
_MAX_PAGE_PACKET = 255 * 255 - 1


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        state = byte << 24
        for _ in range(8):
            state = (state << 1 ^ _POLYNOMIAL if state & 0x80000000 else state << 1) & 0xFFFFFFFF
        table.append(state)
    return tuple(table)


_TABLE = _crc_table()


def crc(data: bytes, state: int = 0) -> int:
    """Ogg's CRC-32: most significant bit first, starting at 0, nothing inverted (RFC 3533, section 6)."""
    for byte in data:
        state = (state << 8 & 0xFFFFFFFF) ^ _TABLE[state >> 24 ^ byte]
    return state


@lru_cache(maxsize=1024)
def _advance(length: int) -> tuple[int, ...]:
    """Where each bit of a CRC state is after `length` zeros: the CRC is linear, so this replaces hashing what is constant."""
    if length == 0:
        return tuple(1 << bit for bit in range(32))
    half = _advance(length // 2)
    doubled = tuple(_apply(half, state) for state in half)
    return tuple(crc(b"\0", state) for state in doubled) if length % 2 else doubled


def _apply(matrix: tuple[int, ...], state: int) -> int:
    result = 0
    while state:
        low = state & -state
        result ^= matrix[low.bit_length() - 1]
        state ^= low
    return result


def _over_zeros(state: int, count: int) -> int:
    """The state after `count` zeros, in steps whose matrices are few enough to be kept."""
    for bit in range(count.bit_length()):
        if count >> bit & 1:
            state = _apply(_advance(1 << bit), state)
    return state


def _head(flags: int, granule: int, serial: int, number: int) -> bytes:
    return struct.pack("<4sBBqII", b"OggS", 0, flags, granule, serial, number)


def _lacing(packet_lengths: list[int]) -> bytes:
    """The segment table: each packet as 255s and a rest."""
    values = b"".join(b"\xff" * (length // 255) + bytes([length % 255]) for length in packet_lengths)
    return bytes([len(values)]) + values


def page(flags: int, serial: int, number: int, packet: bytes, padding: int = 0) -> bytes:
    """A page before the sound: one whole packet, with so many zeros behind it."""
    head = _head(flags, 0, serial, number)
    rest = _lacing([len(packet) + padding]) + packet
    checksum = _over_zeros(crc(head + bytes(4) + rest), padding)
    return head + struct.pack("<I", checksum) + rest + bytes(padding)


@dataclass(frozen=True, slots=True)
class AudioPages:
    """Audio pages 2 … of a stream, all of one length, made when they are read."""

    rest: bytes
    rest_crc: int
    packets: int
    serial: int
    count: int

    @property
    def page_length(self) -> int:
        return _NUMBERED_PART + 4 + len(self.rest)

    @property
    def length(self) -> int:
        return self.page_length * self.count

    def read(self, start: int, stop: int) -> bytes:
        if start >= stop:
            return b""
        first, last = start // self.page_length, (stop - 1) // self.page_length
        pages = b"".join(self._page(index) for index in range(first, last + 1))
        return pages[start - first * self.page_length : stop - first * self.page_length]

    def _page(self, index: int) -> bytes:
        flags = _END_OF_STREAM if index == self.count - 1 else 0
        head = _head(flags, (index + 1) * self.packets * _SAMPLES_PER_PACKET, self.serial, index + 2)
        checksum = _apply(_advance(4 + len(self.rest)), crc(head)) ^ self.rest_crc
        return head + struct.pack("<I", checksum) + self.rest


@lru_cache(maxsize=1)
def _seed_packets(seed_file: bytes) -> tuple[bytes, ...]:
    return tuple(packets_of(seed_file))


@lru_cache(maxsize=4)
def _sound(seed_file: bytes, packets: int) -> tuple[bytes, int]:
    """The constant part of an audio page and its CRC, from the sound in the seed file."""
    steady = [packet for packet in _seed_packets(seed_file)[2:] if packet][2:-2]  # the encoder's first and last packets fade
    chosen = [steady[number % len(steady)] for number in range(packets)]
    rest = _lacing([len(packet) for packet in chosen]) + b"".join(chosen)
    return rest, crc(rest)


def packets_of(data: bytes) -> list[bytes]:
    """Every packet of a stream, in order; the CRC of each page is checked (raises ValueError)."""
    packets, pending, offset = [], b"", 0
    while offset < len(data):
        segments = data[offset + 26]
        table = data[offset + 27 : offset + 27 + segments]
        body = offset + 27 + segments
        end = body + sum(table)
        stored = int.from_bytes(data[offset + 22 : offset + 26], "little")
        if data[offset : offset + 4] != b"OggS" or stored != crc(data[offset : offset + 22] + bytes(4) + data[offset + 26 : end]):
            raise ValueError(f"no Ogg page with a correct CRC at byte {offset}")
        for lace in table:
            pending += data[body : body + lace]
            body += lace
            if lace < 255:
                packets.append(pending)
                pending = b""
        offset = end
    return packets


def layout(seed_file: bytes, label: str, size_hint: int) -> tuple[Piece, ...]:
    """A stream of `size_hint` bytes or one or two more, and of one page at least.

    The rest that no page fills is padding behind the comments (RFC 7845, 5.2).
    """
    serial = number_from(label, size=4)
    count_of_packets = _LONG_PAGE if size_hint >= _LONG_FROM else _SHORT_PAGE
    rest, rest_crc = _sound(seed_file, count_of_packets)
    first = page(_FIRST_OF_STREAM, serial, 0, _seed_packets(seed_file)[0])
    comment = b"TITLE=" + label.encode("utf-8", "surrogatepass")[:400]
    tags = b"OpusTags" + struct.pack("<I", 9) + b"simulator" + struct.pack("<II", 1, len(comment)) + comment
    page_length = _NUMBERED_PART + 4 + len(rest)
    room = size_hint - len(first) - _page_size(len(tags))
    audio = AudioPages(rest, rest_crc, count_of_packets, serial, max(1, room // page_length))
    padding = max(0, min(_MAX_PAGE_PACKET - len(tags), room - audio.length))
    while padding and _page_size(len(tags) + padding - 1) - _page_size(len(tags)) >= room - audio.length:
        padding -= 1  # each 255 bytes of padding cost a byte of lacing as well
    return Fixed(first), Fixed(page(0, serial, 1, tags, padding)), audio


def _page_size(packet_length: int) -> int:
    return 27 + packet_length // 255 + 1 + packet_length
