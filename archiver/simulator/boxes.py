"""WAV, MP3 and MP4 of any length: a tone, repeated frames behind an ID3 tag, and a `free` box."""

from __future__ import annotations

import math
import struct
from functools import lru_cache

from archiver.simulator.pieces import Fixed, Piece, Repeat, Zeros, noise, number_from

_WAV_RATE = 8000
_TONES = (220, 262, 330, 392, 440, 523)  # Hz
_MP3_FRAME = 144  # MPEG-2 Layer III, 32 kbit/s at 16 kHz: 72 * 32000 / 16000, no padding slot
_MP3_FRAMES = 12
_FREE_OVERHEAD = 8
_LARGEST_BOX = 2**32 - 1


def _name(label: str) -> bytes:
    return label.encode("ascii", "backslashreplace")[:400]


@lru_cache(maxsize=len(_TONES))
def _tone(frequency: int) -> bytes:
    """A second of sine as mono 16-bit samples."""
    samples = (int(8000 * math.sin(2 * math.pi * frequency * number / _WAV_RATE)) for number in range(_WAV_RATE))
    return struct.pack(f"<{_WAV_RATE}h", *samples)


def wav(label: str, size_hint: int) -> tuple[Piece, ...]:
    """PCM, 16 bit, 8 kHz, mono; the size is even, because RIFF pads every chunk to two bytes."""
    name = _name(label)
    name += bytes(2 - len(name) % 2)
    notes = b"LIST" + struct.pack("<I", 12 + len(name)) + b"INFOICMT" + struct.pack("<I", len(name)) + name
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, _WAV_RATE, 2 * _WAV_RATE, 2, 16)
    samples = max(2 * _WAV_RATE // 10, size_hint - 20 - len(form) - len(notes))
    samples += samples % 2
    head = b"RIFF" + struct.pack("<I", 4 + len(form) + len(notes) + 8 + samples) + b"WAVE"
    tone = _TONES[number_from(label) % len(_TONES)]
    return Fixed(head + form + notes + b"data" + struct.pack("<I", samples)), Repeat(_tone(tone), samples)


def _syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def mp3(seed_file: bytes, label: str, size_hint: int) -> tuple[Piece, ...]:
    """Constant-bit-rate frames behind an ID3v2.3 tag that names the recording; the rest that no frame fills is tag padding."""
    text = b"\0recording\0" + _name(label)
    frame = b"TXXX" + struct.pack(">IH", len(text), 0) + text
    room = size_hint - 10 - len(frame)
    frames = max(_MP3_FRAMES, room // _MP3_FRAME)
    padding = max(0, room - frames * _MP3_FRAME)
    tag = b"ID3\x03\0\0" + _syncsafe(len(frame) + padding) + frame
    sound = seed_file[4 * _MP3_FRAME : (4 + 2 * _MP3_FRAMES) * _MP3_FRAME]  # the encoder's first frames fade in
    return Fixed(tag), Zeros(padding), Repeat(sound, frames * _MP3_FRAME)


def mp4(seed_file: bytes, label: str, size_hint: int) -> tuple[Piece, ...]:
    """A small real file with two `free` boxes behind it: its name, and its size. At most 4 GiB."""
    name = _name(label)
    start = seed_file + struct.pack(">I", _FREE_OVERHEAD + len(name)) + b"free" + name
    filler = min(max(0, size_hint - len(start) - _FREE_OVERHEAD), _LARGEST_BOX - _FREE_OVERHEAD)
    return Fixed(start + struct.pack(">I", _FREE_OVERHEAD + filler) + b"free"), noise(label, filler)
