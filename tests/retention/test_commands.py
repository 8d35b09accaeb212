"""`retention`, `hold` and `erase` as people and scripts call them, on a folder: documents, words and exit codes."""

import asyncio
import csv
import io
import json
import os
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from archiver.cli.root import main
from archiver.storage.filesystem import Filesystem
from tests.retention.archive import Clock, archive, policy

CONFIG = """
[catalog]
url = "{url}"
[storage]
url = "file://{folder}/archive"
[retention]
max_share = {share}
[[source]]
name = "rooms"
provider = "telnyx-rooms"
api_key = "KEYs3cr3t"
base_url = "http://127.0.0.1:9"
[[policy]]
name = "year"
keep = "1y"
"""
LONG_AGO = timedelta(days=800)


class Program:
    """`code, stdout, stderr = archiver("hold", "list")`; `archived` brings recordings in, long ago where that is wanted."""

    def __init__(self, url, folder, capsys):
        self.url, self.folder, self._capsys = url, folder, capsys
        self.config(share=1.0)

    def config(self, *, share):
        path = self.folder / "archiver.toml"
        path.write_text(CONFIG.format(url=self.url, folder=self.folder, share=share))
        path.chmod(0o600)

    def __call__(self, *words):
        self._capsys.readouterr()
        code = main(["--config", str(self.folder / "archiver.toml"), "--log-format", "json", *words])
        return (code, *self._capsys.readouterr())

    def json(self, *words):
        code, out, err = self(*words, "--json")
        assert "Traceback" not in err
        lines = [json.loads(line) for line in out.splitlines()]
        return code, lines[0] if len(lines) == 1 else lines

    def archived(self, *ids, ago=LONG_AGO, **facts):
        store = Filesystem(self.folder / "archive", 5 * 1024**2, lambda: uuid.uuid4().hex)
        clock = Clock(datetime.now(UTC) - ago)

        async def fill():
            async with archive(self.url, clock=clock, store=store, policies=[policy("year", "1y")]) as it:
                await it.archived(*ids, **facts)

        asyncio.run(fill())

    def files(self):
        return sorted(
            name for _folder, _names, names in os.walk(self.folder / "archive" / "rooms") for name in names if "meta" not in name
        )


@pytest.fixture
def archiver(sqlite_url, tmp_path, capsys):
    return Program(sqlite_url, tmp_path, capsys)


@pytest.fixture
def two(archiver):
    """One that is over and one that is not."""
    archiver.archived("old")
    archiver.archived("young", ago=timedelta(days=2))
    return archiver


def test_a_plan_says_for_everything_what_and_why_and_changes_nothing(two):
    code, plan = two.json("retention", "plan")
    assert (code, plan["schema"], plan["counts"]) == (0, "archiver.plan/1", {"expire": 1, "release": 0, "keep": 1})
    assert [(item["recording_id"], item["action"]) for item in plan["items"]] == [("old", "expire"), ("young", "keep")]
    assert two.json("retention", "plan")[1]["fingerprint"] == plan["fingerprint"]
    code, out, _err = two("retention", "plan")
    assert code == 0
    assert "expire\trooms/old/media" in out
    assert "1 to expire, 0 to release, 1 to keep" in out
    assert len(two.files()) == 2


def test_apply_does_exactly_the_plan_and_a_second_time_nothing(two, tmp_path):
    path = str(tmp_path / "plan.json")
    assert two("retention", "plan", "-o", path)[0] == 0
    code, done = two.json("retention", "apply", path)
    assert (code, done["schema"], done["expired"], done["refused"]) == (0, "archiver.apply/1", 1, [])
    assert len(two.files()) == 1
    code, out, _err = two("retention", "apply", path)
    assert (code, out) == (0, "0 deleted from the archive, 0 deleted at the provider, 0 recordings erased\n")
    assert two("catalog", "check")[0] == 0


def test_apply_refuses_with_7_what_is_stale_edited_or_over_the_caps(two, tmp_path):
    path = tmp_path / "plan.json"
    two("retention", "plan", "-o", str(path))
    two("hold", "place", "--case", "X", "--reason", "r", "--id", "young")
    code, out, err = two("retention", "apply", str(path))
    assert (code, out) == (7, "")
    assert "error: the plan is stale: rooms/young/media: keep" in err
    two("hold", "release", "--case", "X", "--reason", "over")
    two("retention", "plan", "-o", str(path))
    path.write_text(path.read_text().replace('"old"', '"young"'))
    assert two("retention", "apply", str(path))[0] == 7
    path.write_text("no JSON")
    assert two("retention", "apply", str(path))[0] == 7
    assert two("retention", "apply", str(tmp_path / "nowhere"))[0] == 2
    two.config(share=0.1)
    two("retention", "plan", "-o", str(path))
    code, _out, err = two("retention", "apply", str(path))
    assert code == 7
    assert "retention.max_share (0.1 of 2) allows 0" in err
    assert len(two.files()) == 2
    assert two("retention", "apply", str(path), "--max-count", "1")[0] == 0
    assert len(two.files()) == 1


def test_a_report_for_people_for_spreadsheets_and_for_programs(two):
    code, report = two.json("retention", "report")
    assert (code, report["schema"]) == (0, "archiver.retention-report/1")
    (line,) = report["lines"]
    assert (line["source"], line["policy"], line["renditions"], line["over"], line["over_in_365d"]) == ("rooms", "year", 2, 1, 1)
    code, out, _err = two("retention", "report", "--csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert (row["policy"], row["renditions"], row["locked"]) == ("year", "2", "0")
    code, out, _err = two("retention", "report")
    assert "rooms\tyear\t" in out
    assert two("retention", "report", "--csv", "--json")[0] == 2


def test_a_hold_by_case_from_placing_to_release(two):
    code, placed = two.json("hold", "place", "--case", "X-1", "--reason", "litigation", "--source", "rooms")
    assert (code, placed["schema"], placed["matched"], placed["fresh"]) == (0, "archiver.hold/1", 2, 2)
    assert placed["store"].startswith("this store keeps no legal holds")
    assert two.json("retention", "plan")[1]["counts"]["expire"] == 0
    code, listed = two.json("hold", "list")
    assert {"case", "reason", "placed_at", "placed_by", "released_at", "selector", "matched"} <= listed.keys()
    assert (listed["case"], listed["selector"], listed["matched"]) == ("X-1", {"sources": ["rooms"]}, 2)
    assert listed["placed_by"].startswith("operator:")
    assert two.json("list", "--id", "old")[1]["holds"] == ["X-1"]
    assert two("hold", "release", "--case", "X-1")[0] == 2  # a reason is needed
    code, released = two.json("hold", "release", "--case", "X-1", "--reason", "settled")
    assert (code, released["renditions"]) == (0, 2)
    assert two.json("hold", "list")[1]["release_reason"] == "settled"
    assert two.json("retention", "plan")[1]["counts"]["expire"] == 1


def test_a_hold_that_matches_nothing_is_3_unless_it_waits_for_the_future(two):
    code, out, _err = two("hold", "place", "--case", "X", "--reason", "r", "--id", "nobody")
    assert (code, out.splitlines()[0]) == (3, "0 matched")
    assert two("hold", "list", "--json")[1] == ""
    assert two("hold", "place", "--case", "X", "--reason", "r", "--room", "R-1", "--future")[0] == 0
    code, placed = two.json("hold", "place", "--case", "Y", "--reason", "r", "--id", "old", "--id", "nobody")
    assert (code, placed["matched"], placed["problems"]) == (3, 1, ["no such recording: nobody"])
    assert two("hold", "release", "--case", "Z", "--reason", "r")[0] == 3


@pytest.mark.parametrize(
    "words",
    [
        ("place", "--case", "X", "--reason", "r"),
        ("place", "--case", "", "--reason", "r", "--source", "rooms"),
        ("place", "--case", "X\n", "--reason", "r", "--source", "rooms"),
        ("place", "--case", "X", "--reason", "x" * 501, "--source", "rooms"),
        ("place", "--case", "X", "--reason", "r", "--since", "2026-01-02", "--until", "2026-01-01"),
        ("place", "--reason", "r", "--source", "rooms"),
    ],
)
def test_what_is_no_hold_is_refused(two, words):
    code, _out, err = two("hold", *words)
    assert code == 2
    assert "Traceback" not in err


def test_erasure_from_request_to_certificate(two, tmp_path):
    code, asked = two.json("erase", "request", "--id", "young", "--reason", "ticket 7")
    assert (code, asked["schema"], asked["erasure"]) == (0, "archiver.erase/1", 1)
    (item,) = asked["recordings"]
    assert (item["status"], item["certificate"]) == ("dated", None)
    two("hold", "place", "--case", "X", "--reason", "r", "--id", "young")
    assert two.json("erase", "status")[1]["recordings"][0]["status"] == "blocked"
    two("hold", "release", "--case", "X", "--reason", "over")
    path = str(tmp_path / "plan.json")
    two("retention", "plan", "-o", path)
    code, done = two.json("retention", "apply", path)
    assert (code, done["expired"], done["erased"]) == (0, 2, 1)
    (item,) = two.json("erase", "status")[1]["recordings"]
    assert item["status"] == "executed"
    assert (tmp_path / "archive" / item["certificate"]).is_file()
    code, out, _err = two("erase", "status")
    assert "erasure 1, " in out
    assert "executed" in out
    assert two("ledger", "verify")[0] == 0
    assert two("catalog", "check")[0] == 0


def test_a_request_that_matches_nothing_is_3(two):
    assert two("erase", "request", "--id", "nobody", "--reason", "r")[:2] == (3, "0 matched\n")
    assert two("erase", "request", "--reason", "r")[0] == 2
    assert two("erase", "request", "--id", "old", "--reason", " ")[0] == 2
    assert two("erase", "status", "--json")[:2] == (0, "")


def test_a_clock_behind_the_history_deletes_nothing(two, tmp_path):
    path = str(tmp_path / "plan.json")
    two("retention", "plan", "-o", path)
    two.archived("tomorrow", ago=-timedelta(days=1))
    code, _out, err = two("retention", "apply", path)
    assert code == 7
    assert "the history was last written on" in err
    assert len(two.files()) == 3


def test_a_catalog_older_than_its_archive_deletes_nothing(two, tmp_path):
    import shutil

    old = tmp_path / "old.db"
    shutil.copyfile(two.url.removeprefix("sqlite:///"), old)
    two("hold", "place", "--case", "X", "--reason", "r", "--id", "old")  # which is sealed into the archive
    shutil.copyfile(old, two.url.removeprefix("sqlite:///"))
    path = str(tmp_path / "plan.json")
    assert two.json("retention", "plan", "-o", path)[1]["counts"]["expire"] == 1
    code, _out, err = two("retention", "apply", path)
    assert code == 7
    assert "it is older than its archive" in err
    assert len(two.files()) == 2
