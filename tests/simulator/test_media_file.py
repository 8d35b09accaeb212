"""The simulated media: real containers, deterministic, of any size and readable from anywhere. (Decoders: scripts/make_media.py check.)"""

import hashlib
import struct
import time
import tracemalloc

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from archiver.simulator import encryption, matroska, ogg
from archiver.simulator.media_file import Kind, MediaFile

KINDS = list(Kind)
SIZES = [1, 2_000, 4_096, 65_535, 65_536, 100_001]


def made(kind, size=30_000, seed="a recording"):
    return MediaFile(kind=kind, seed=seed, size_hint=size)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_bytes_and_another_seed_others(kind):
    assert made(kind).read() == made(kind).read()
    assert made(kind).sha256 != made(kind, seed="b recording").sha256
    assert made(kind).etag != made(kind, seed="b recording").etag


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_has_the_size_asked_for_or_a_little_more(kind, size):
    media = made(kind, size)

    assert len(media.read()) == media.size >= size
    assert media.size <= max(size + 10, 2_400)


@pytest.mark.parametrize("kind", KINDS)
def test_any_stretch_is_that_of_the_whole(kind):
    media = made(kind, 300_000)
    content = media.read()

    for start, stop in (
        (0, 1),
        (0, 44),
        (100, 1_900),
        (262_143, 262_145),
        (media.size - 1, media.size),
        (1_000, 299_999),
        (50, 50),
    ):
        assert media.read(start, stop) == content[start:stop]
    assert hashlib.sha256(content).hexdigest() == media.sha256


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.value.startswith(("webm", "mka", "mkv"))])
@pytest.mark.parametrize("size", [1, 50_000])
def test_matroska_elements_nest_exactly_and_hold_tracks_and_clusters(kind, size):
    content = made(kind, size).read()
    header, segment = matroska.elements(content)
    inside = [identity for identity, *_ in matroska.elements(content[segment[2] : segment[3]])]

    assert (header[0], segment[0]) == (0x1A45DFA3, 0x18538067)
    assert inside[0] == inside[-1] == 0xEC
    assert {0x1549A966, 0x1654AE6B, 0x1F43B675} <= set(inside)
    document_type = b"webm" if kind.value.startswith("webm") else b"matroska"
    assert document_type in content[header[2] : header[3]]


@pytest.mark.parametrize("size", [1, 5_000, 70_000, 200_000])
def test_every_ogg_page_has_its_crc_its_number_and_the_stream_an_end(size):
    content = made(Kind.OGG_OPUS, size).read()
    packets = ogg.packets_of(content)
    pages = [
        offset for offset in range(len(content) - 4) if content[offset : offset + 6] in {b"OggS\0\0", b"OggS\0\2", b"OggS\0\4"}
    ]
    heads = [struct.unpack_from("<4sBBqII", content, offset) for offset in pages]

    assert packets[0].startswith(b"OpusHead")
    assert packets[1].startswith(b"OpusTags")
    assert [head[5] for head in heads] == list(range(len(heads)))
    assert [head[2] for head in heads] == [2] + [0] * (len(heads) - 2) + [4]
    assert heads[-1][3] == (len(packets) - 2) * 960
    assert len({head[4] for head in heads}) == 1


def test_a_wrong_byte_in_an_ogg_page_is_noticed():
    content = bytearray(made(Kind.OGG_OPUS).read())
    content[5_000] ^= 1

    with pytest.raises(ValueError, match="no Ogg page with a correct CRC"):
        ogg.packets_of(bytes(content))


def test_riff_sizes_agree_with_the_file():
    content = made(Kind.WAV, 50_000).read()

    assert struct.unpack_from("<4sI4s4s", content) == (b"RIFF", len(content) - 8, b"WAVE", b"fmt ")
    at = content.index(b"data")
    assert struct.unpack_from("<I", content, at + 4)[0] == len(content) - at - 8


def test_an_mp3_is_a_tag_and_whole_frames():
    content = made(Kind.MP3, 50_000).read()
    tag = 10 + (content[6] << 21 | content[7] << 14 | content[8] << 7 | content[9])
    frames = content[tag:]

    assert content[:3] == b"ID3"
    assert len(frames) % 144 == 0
    assert {frames[at : at + 2] for at in range(0, len(frames), 144)} == {b"\xff\xf3"}


def test_mp4_boxes_fill_the_file():
    content = made(Kind.MP4_H264, 50_000).read()
    boxes, at = [], 0
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        boxes.append(name)
        at += size

    assert at == len(content)
    assert boxes[0] == b"ftyp"
    assert {b"moov", b"mdat", b"free"} <= set(boxes)


def test_an_encrypted_file_decrypts_with_what_its_headers_say_and_the_private_key():
    clear = made(Kind.MKA_OPUS, 9_999)
    media = MediaFile(kind=clear.kind, seed=clear.seed, size_hint=clear.size_hint, encrypted=True)
    headers = encryption.headers(media)
    key = encryption.private_key().decrypt(encryption.base64.b64decode(headers["x-amz-meta-x-amz-key"]), padding.PKCS1v15())
    iv = encryption.base64.b64decode(headers["x-amz-meta-x-amz-iv"])
    decryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(media.read()) + decryptor.finalize()

    assert padded[: -padded[-1]] == clear.read()
    assert int(headers["x-amz-meta-x-amz-unencrypted-content-length"]) == clear.size == media.clear_size != media.size
    assert media.content_type == "application/octet-stream"
    assert encryption.headers(clear) == {}


def test_encrypted_media_too_large_for_memory_is_refused():
    media = MediaFile(kind=Kind.MKA_OPUS, seed="x", size_hint=2**30, encrypted=True)

    with pytest.raises(ValueError, match="at most 16777216 are built"):
        media.read(0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gibibyte_is_read_in_the_middle_without_being_held(kind):
    media = made(kind, 2**30)
    tracemalloc.start()
    started = time.monotonic()
    middle = b"".join(media.chunks(2**29, 2**29 + 2**20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(middle) == 2**20
    assert peak < 16 * 2**20
    assert time.monotonic() - started < 5
    assert media.size >= 2**30


@pytest.mark.parametrize("kind", KINDS)
def test_equal_parts_of_a_large_file_differ(kind):
    media = made(kind, 2**26)
    parts = {hashlib.sha256(media.read(start, start + 2**16)).digest() for start in range(2**20, media.size - 2**16, 2**23)}

    assert len(parts) == 8
