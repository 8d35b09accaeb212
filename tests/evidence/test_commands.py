"""From an archive to a proof in somebody else's hands, with the commands a compliance officer would type."""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import bagit
import pytest

from archiver.cli.root import main

ARCHIVER = Path(sys.executable).with_name("archiver")
TODAY = datetime.now(UTC).date()
PERIOD = ("--since", str(TODAY - timedelta(days=6)), "--until", str(TODAY - timedelta(days=1)))


class Office:
    """A folder with a demonstration archive in it, and its commands. They run in this process: to start another takes a second."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["--config", "demo-data/archiver.toml", *words])
        return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())

    def said(self, *words):
        """The JSON document of a command, and its exit code."""
        done = self.run(*words, "--json")
        assert done.stdout.startswith("{"), done.stderr
        return json.loads(done.stdout), done.returncode


def typed(folder, *words):
    """A command in a process of its own, as somebody types it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ARCHIVER_")}
    return subprocess.run([ARCHIVER, *words], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith("ARCHIVER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def archived(tmp_path_factory):
    """An archive of sixty simulated recordings, made once; tests work on copies."""
    folder = tmp_path_factory.mktemp("office")
    done = typed(folder, "demo", "--once", "--recordings", "60")
    assert done.returncode == 0, done.stderr
    assert typed(folder, "--config", "demo-data/archiver.toml", "attest", "key", "-o", "key.pem").returncode == 0
    return folder


@pytest.fixture
def office(archived, tmp_path):
    folder = tmp_path / "office"
    shutil.copytree(archived, folder)
    path = folder / "demo-data" / "archiver.toml"
    text = path.read_text().replace(str(archived), str(folder))
    path.write_text(f'{text}\n[attest]\nkey_file = "{folder}/key.pem"\n')
    return Office(folder)


def test_a_signed_statement_a_bag_and_three_tools_that_are_not_ours(office):
    statement, code = office.said("attest", *PERIOD, "--no-questions", "-o", "statement.json")
    assert code == 0, statement
    assert all(source["complete"] and source["verified"] == source["listed"] for source in statement["sources"])
    assert json.loads((office.folder / "statement.json").read_text()) == statement
    assert office.run("attest", "verify", "statement.json", "--key", "key.pem.pub").returncode == 0
    changed = (
        (office.folder / "statement.json").read_text().replace('"listed":', '"listed" :', 1).replace('"lost":0', '"lost":1', 1)
    )
    (office.folder / "changed.json").write_text(changed)
    assert office.run("attest", "verify", "changed.json").returncode == 4

    bag, code = office.said("evidence", "export", "--source", "telnyx-calls", "-o", "bag")
    assert (code, bag["problems"], bag["attestation"]) == (0, [], True)
    folder = office.folder / "bag"
    bare = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py"], cwd=folder, env={}, capture_output=True, text=True, check=False
    )
    assert bare.returncode == 0, bare.stdout
    assert "attestation signed by" in bare.stdout
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "manifest-sha256.txt"], cwd=folder, check=True)
    bagit.Bag(str(folder)).validate()
    assert office.run("evidence", "verify", "bag").returncode == 0
    victim = next((folder / "data" / "media").rglob("*.mp3"))
    victim.write_bytes(victim.read_bytes() + b"x")
    assert office.run("evidence", "verify", "bag").returncode == 4


def test_a_period_that_was_not_fully_polled_is_not_signed(office):
    statement, code = office.said("attest", "--since", "2020-01-01", "--until", "2020-01-03", "--no-questions")
    assert code == 11
    assert [source["complete"] for source in statement["sources"]] == [False] * 3
    assert statement["signature"] == ""
    assert statement["sources"][0]["uncovered_days"] == ["2020-01-01", "2020-01-02"]
    assert office.run("attest", "--since", str(TODAY), "--until", "2999-01-01").returncode == 2


def test_a_line_of_history_changed_in_the_catalog_is_found(office):
    assert office.said("ledger", "verify")[1] == 0
    with sqlite3.connect(office.folder / "demo-data" / "catalog.db") as connection:
        connection.execute("UPDATE ledger SET actor = 'somebody else' WHERE seq = 7")
    found, code = office.said("ledger", "verify")
    assert (code, found["ok"]) == (4, False)
    assert found["problems"]


def test_a_catalog_that_was_destroyed_comes_back_from_the_archive_alone(office):
    def listed():
        rows = [json.loads(line) for line in office.run("list", "--json").stdout.splitlines()]
        kept = [row for row in rows if row["state"] in ("verified", "stored")]
        return {(row["source"], row["recording_id"], row["rendition"]): (row["key"], row["sha256"], row["size"]) for row in kept}

    before = listed()
    for path in (office.folder / "demo-data").glob("catalog.db*"):
        path.unlink()
    done = office.run("catalog", "rebuild")
    assert done.returncode == 0, done.stderr
    assert listed() == before
    assert office.said("ledger", "verify")[1] == 0
    assert office.said("verify")[0]["problems"] == []


def test_a_held_recording_makes_a_plan_stale_and_explain_says_why_it_is_kept(office):
    assert office.run("retention", "plan", "-o", "plan.json").returncode == 0
    assert office.run("hold", "place", "--case", "C1", "--reason", "litigation", "--source", "telnyx-calls").returncode == 0
    assert office.run("retention", "apply", "plan.json").returncode == 7
    one = json.loads(office.run("list", "--source", "telnyx-calls", "--json").stdout.splitlines()[0])
    told, code = office.said("explain", f"{one['source']}/{one['recording_id']}")
    assert code == 0
    assert [part["earliest_lawful_deletion"] for part in told["renditions"]] == [None] * len(told["renditions"])
    assert all("C1" in part["because"] for part in told["renditions"])
