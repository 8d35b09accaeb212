"""The image, as far as its text shows: no root, no moving or foreign base, no secret, a health check without a shell."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def instructions():
    """(instruction, rest) for each, with continued lines joined and comments dropped."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def final_stage():
    stages = instructions()
    last = max(number for number, (word, _) in enumerate(stages) if word == "FROM")
    return stages[last:]


def only(word):
    found = [rest for name, rest in final_stage() if name == word]
    assert len(found) == 1, f"{word} stands {len(found)} times in the final stage"
    return found[0]


def test_the_image_runs_as_a_number_that_is_not_root():
    assert only("USER") == "10001:10001"


def test_nothing_runs_as_root_after_the_user_is_set():
    words = [word for word, _ in final_stage()]
    assert "RUN" not in words[words.index("USER") :]


def test_every_stage_stands_on_one_base_that_the_builder_can_pin_by_digest():
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert set(bases) == {"${PYTHON_IMAGE}"}
    default = next(rest for word, rest in instructions() if word == "ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+-slim(@sha256:[0-9a-f]{64})?", default)


def test_nothing_is_called_latest():
    assert "latest" not in (ROOT / "Dockerfile").read_text()


def test_the_entry_is_the_program_itself_which_gets_the_signal():
    assert json.loads(only("ENTRYPOINT")) == ["archiver"]
    assert json.loads(only("CMD")) == ["run"]
    assert only("STOPSIGNAL") == "SIGTERM"


def test_the_health_check_needs_neither_shell_nor_curl_and_asks_livez():
    options, command = only("HEALTHCHECK").split("CMD ")
    python, flag, program = json.loads(command)
    assert (python, flag) == ("python", "-c")
    assert "--timeout=" in options
    assert "/livez" in program
    imported = {
        name.name.split(".")[0] for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Import) for name in node.names
    }
    assert imported == {"os", "urllib"}


def test_what_is_installed_is_locked_by_hash():
    installs = [
        part
        for word, rest in instructions()
        if word == "RUN"
        for part in rest.split("&&")
        if " install " in part and "pip" in part
    ]
    assert len(installs) == 3
    for install in installs:
        assert ("--require-hashes" in install and "--only-binary=:all:" in install) or (
            "--no-deps" in install and "--no-index" in install
        )


def test_the_final_stage_takes_nothing_but_the_venv():
    assert [rest for word, rest in final_stage() if word in {"COPY", "ADD"}] == ["--from=build /opt/archiver /opt/archiver"]


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore", ".ci/run"])
def test_no_secret_and_no_registry_stands_in_the_text(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"(?i)(secret|token|passw(or)?d|api_?key|access_key)\S*\s*[=:]\s*\S", text)
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)
    assert not re.search(r"index-url|trusted-host|find-links", text)


def test_what_enters_the_build_is_named_and_not_excepted():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = {path for word, rest in instructions() if word == "COPY" and "--from" not in rest for path in rest.split()[:-1]}
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied


def test_the_ci_run_is_executable_and_stops_at_errors():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111 == 0o111
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in script.read_text()
