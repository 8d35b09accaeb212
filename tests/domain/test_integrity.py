"""Whether bytes are a recording, all of it, and the same as before; one reason each (I4, F1, F2)."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain import integrity
from archiver.domain.recording import Entry, State

EBML, OGG, ID3, FLAC = b"\x1aE\xdf\xa3" + b"\0" * 20, b"OggS" + b"\0" * 20, b"ID3\x04" + b"\0" * 20, b"fLaC" + b"\0" * 20
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 12


def wav(length, form=b"RIFF"):
    return form + struct.pack("<I", length) + b"WAVEfmt "


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (EBML, "matroska"),
        (OGG, "ogg"),
        (wav(100), "wav"),
        (wav(0, b"RF64"), "wav"),
        (ID3, "mp3"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"\xff\xf3\x18\xc4", "mp3"),
        (b"\xff\xe3\x18\xc4", "mp3"),
        (FLAC, "flac"),
        (MP4, "mp4"),
        (b"", ""),
        (b"\xff", ""),
        (b"\xff\xff\xff\xff", ""),
        (b"\xff\xd8\xff\xe0JFIF", ""),
        (b"\x00\x00\x00\x18xxxx", ""),
        (b"<html>", ""),
        (b"\x1aE\xdf", ""),
        (b"PK\x03\x04", ""),
        (b"\x1f\x8b\x08", ""),
    ],
)
def test_first_bytes_name_their_container(head, name):
    assert integrity.container(head) == name


PAGES = [
    b"<!DOCTYPE html><html>502 Bad Gateway</html>",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    b'{"errors": [{"code": "10009"}]}',
    b"[]",
    b"\xef\xbb\xbf<html>",
    b"  \r\n\t<html>",
]


@pytest.mark.parametrize("page", PAGES)
def test_an_error_page_is_no_recording_whatever_its_type_says(page):
    for kind in ("audio/ogg", "application/octet-stream", "", "video/x-matroska"):
        assert "error page" in integrity.implausible(page, content_type=kind, encrypted=False)


@pytest.mark.parametrize(
    "kind",
    ["text/html; charset=utf-8", "TEXT/HTML", "application/json", "application/xml", "application/problem+json", "text/plain"],
)
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_type_that_is_text_is_no_recording_even_with_the_right_bytes(kind, encrypted):
    assert "content type" in integrity.implausible(OGG, content_type=kind, encrypted=encrypted)


@pytest.mark.parametrize("head", [EBML, OGG, wav(9), ID3, FLAC, MP4, b"\xff\xfb\x90\x00"])
@pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream", "binary/octet-stream", "", "video/webm"])
def test_a_known_container_is_believed_over_a_type_that_is_only_vague(head, kind):
    assert integrity.implausible(head, content_type=kind, encrypted=False) is None


def test_random_bytes_are_a_recording_only_when_they_are_encrypted():
    noise = bytes(range(7, 71))
    assert "no known container" in integrity.implausible(noise, content_type="audio/ogg", encrypted=False)
    assert integrity.implausible(noise, content_type="application/octet-stream", encrypted=True) is None


@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_is_never_a_recording(encrypted):
    assert integrity.implausible(b"", content_type="audio/ogg", encrypted=encrypted) == "an empty body"


# -- length


def problem(*, received=1000, announced=None, listed=None, head=OGG, encrypted=False):
    return integrity.length_problem(received=received, announced=announced, listed=listed, head=head, encrypted=encrypted)


@pytest.mark.parametrize(
    "evidence",
    [
        {"announced": 1000},
        {"listed": 1000},
        {"announced": 1000, "listed": 1000},
        {"head": wav(992)},
        {"announced": 1000, "listed": 0},
    ],
)
def test_any_one_evidence_of_the_length_is_enough(evidence):
    assert problem(**evidence) is None


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        ({}, "1000 bytes received, and nothing announced how many there are"),
        ({"announced": 1001}, "1000 bytes received, 1001 announced"),
        ({"announced": 999}, "1000 bytes received, 999 announced"),
        ({"listed": 1001}, "1000 bytes received, the provider lists 1001"),
        ({"announced": 1000, "listed": 900}, "1000 bytes received, the provider lists 900"),
        ({"head": wav(2000), "announced": 1000}, "1000 bytes received, the WAV header says 2008"),
        ({"received": 0, "announced": 0}, "0 bytes received"),
        ({"listed": 1000, "encrypted": True}, "nothing announced"),
        ({"head": wav(0xFFFFFFFF)}, "nothing announced"),
        ({"head": wav(0)}, "nothing announced"),
    ],
)
def test_where_evidence_is_missing_or_disagrees_the_reason_says_how(evidence, says):
    assert says in problem(**evidence)


def test_what_encryption_pads_is_not_held_against_the_providers_size():
    assert problem(announced=1000, listed=990, encrypted=True) is None
    assert problem(announced=1000, head=wav(5000), encrypted=True) is None


def test_a_wav_may_be_followed_by_more_than_its_header_says():
    assert problem(received=1200, announced=1200, head=wav(992)) is None


@given(st.integers(min_value=1, max_value=10**12), st.integers(min_value=0, max_value=10**12))
def test_a_body_of_another_length_than_announced_is_never_whole(received, announced):
    assert (problem(received=received, announced=announced) is None) == (received == announced)


@given(st.binary(max_size=64))
def test_no_head_breaks_the_questions(head):
    assert integrity.riff_length(head) is None or head.startswith(b"RIFF")
    integrity.implausible(head, content_type="", encrypted=False)
    integrity.extension(head, listed_container="", codec="", rendition="media", encrypted=False)


# -- names


@pytest.mark.parametrize(
    ("head", "facts", "extension"),
    [
        (ID3, {"rendition": "mp3"}, "mp3"),
        (b"junk", {"rendition": "wav"}, "wav"),
        (OGG, {"codec": "opus"}, "ogg"),
        (EBML + b"webm", {"codec": "vp8"}, "webm"),
        (EBML, {}, "mkv"),
        (EBML, {"listed_container": "mka"}, "mka"),
        (EBML, {"listed_container": "MKV"}, "mkv"),
        (EBML + b"webm", {"listed_container": "mp4"}, "webm"),
        (MP4, {"listed_container": "webm"}, "mp4"),
        (wav(9), {}, "wav"),
        (FLAC, {}, "flac"),
        (b"\0" * 64, {"encrypted": True, "listed_container": "mka"}, "mka"),
        (b"\0" * 64, {"encrypted": True, "codec": "vp9"}, "webm"),
        (b"\0" * 64, {"encrypted": True, "codec": "h264"}, "mp4"),
        (b"\0" * 64, {"encrypted": True, "codec": "opus"}, "ogg"),
        (OGG, {"encrypted": True}, "bin"),
        (b"\0" * 64, {"listed_container": "../../x"}, "bin"),
    ],
)
def test_a_file_is_named_for_what_its_bytes_are_or_else_for_what_the_provider_says(head, facts, extension):
    given_facts = {"listed_container": "", "codec": "", "rendition": "media", "encrypted": False, **facts}
    assert integrity.extension(head, **given_facts) == extension


# -- stored against expected


ENTRY = Entry(
    id=1,
    recording_pk=1,
    source="s",
    recording_id="r",
    rendition="media",
    state=State.STORED,
    revision=3,
    size=10,
    sha256="ab" * 32,
    token="t1",
)


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({}, None),
        ({"sha256": None}, None),
        ({"metadata": {}}, None),
        ({"size": 9}, "9 bytes stored, 10 in the catalog"),
        ({"sha256": "cd" * 32}, f"SHA-256 {'cd' * 32} stored, {'ab' * 32} in the catalog"),
        ({"metadata": {"archiver-token": "t2"}}, "written by upload t2, the catalog knows t1"),
    ],
)
def test_a_stored_object_differs_in_size_digest_or_upload(stored, says):
    facts = {"size": 10, "sha256": "ab" * 32, "metadata": {"archiver-token": "t1"}, **stored}
    assert integrity.difference(ENTRY, **facts) == says


def test_an_entry_without_a_token_is_compared_by_its_bytes_alone():
    assert integrity.difference(replace(ENTRY, token=""), size=10, sha256=None, metadata={"archiver-token": "x"}) is None
