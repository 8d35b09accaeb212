"""Secrets show as *** wherever they turn up, and come out of files."""

import copy
import dataclasses
import json
import pickle
from pathlib import Path

import pytest

from archiver.config import Secret, Settings, SourceSettings
from archiver.config.secret import read_secret_file

CANARY = "canary-5f3a9c"


def test_a_secret_shows_as_stars_however_it_is_printed() -> None:
    secret = Secret(CANARY)
    settings = Settings(sources=(SourceSettings(name="a", provider="telnyx-rooms", api_key=secret),))
    for shown in (
        str(secret),
        repr(secret),
        f"{secret}",
        repr([secret]),
        repr(settings),
        str(dataclasses.asdict(settings.sources[0])),
    ):
        assert CANARY not in shown
        assert "***" in shown


def test_a_secret_is_neither_pickled_nor_turned_into_json() -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))


def test_equal_secrets_are_equal_and_copies_are_the_same() -> None:
    secret = Secret(CANARY)
    assert secret == Secret(CANARY)
    assert hash(secret) == hash(Secret(CANARY))
    assert secret != Secret("other")
    assert secret != CANARY
    assert copy.deepcopy(secret) is secret
    assert copy.copy(secret) is secret


@pytest.mark.parametrize(
    ("content", "expected"), [(b"abc", "abc"), (b"abc\n", "abc"), (b"abc\r\n", "abc"), (b"abc\n\n", "abc\n"), (b" abc ", " abc ")]
)
def test_exactly_one_newline_at_the_end_of_a_secret_file_is_cut(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    assert read_secret_file(file).reveal() == expected


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "an empty file"), (b"\n", "an empty file"), (b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "more than 64 KiB")],
)
def test_an_unusable_secret_file_is_refused_with_the_reason(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=why):
        read_secret_file(file)


def test_a_missing_secret_file_a_directory_and_one_that_cannot_be_read_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        read_secret_file(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="a directory"):
        read_secret_file(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"cannot be read \(Not a directory\)"):
        read_secret_file(tmp_path / "file" / "below")
    with pytest.raises(ValueError, match=r"cannot be read \(Input/output error\)"):
        read_secret_file(Path("/proc/self/mem"))  # opens and fails on reading, also for root


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_secret_file_that_everybody_may_read_is_noticed(tmp_path: Path, mode: int, *, exposed: bool) -> None:
    file = tmp_path / "secret"
    file.write_text(CANARY)
    file.chmod(mode)
    assert read_secret_file(file).exposed is exposed


def test_a_rotated_secret_is_picked_up_and_a_half_done_rotation_is_not(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first")
    secret = read_secret_file(file)
    assert secret.reread() is secret
    file.write_text("")
    assert secret.reread() is secret
    file.unlink()
    assert secret.reread() is secret
    file.write_text("second\n")
    assert secret.reread().reveal() == "second"
    assert secret.reread().file == file
    assert Secret("given").reread().reveal() == "given"
