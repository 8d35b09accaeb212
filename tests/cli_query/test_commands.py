"""`status`, `list`, `show`, `retry`, `catalog upgrade|check` as people and scripts call them."""

import asyncio
import json

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import renditions
from archiver.cli.root import main
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.work import Outcome
from tests.catalog.test_passes import a_pass
from tests.catalog.world import KIND, NOON, SOURCE, World, a_listing, failed_once

CONFIG = """
[catalog]
url = "{url}"
auto_upgrade = false
[storage]
url = "s3://bucket/prefix"
[[source]]
name = "rooms"
provider = "telnyx-rooms"
api_key = "KEYs3cr3t"
"""


def write_config(path, url):
    path.write_text(CONFIG.format(url=url))
    path.chmod(0o600)
    return str(path)


class Program:
    """Calls the program on a catalog of its own: `code, stdout, stderr = archiver("list", "--json")`, after `archiver.fill(act)`."""

    def __init__(self, url, folder, capsys):
        self._url = url
        self._config = write_config(folder / "archiver.toml", url)
        self._capsys = capsys

    def __call__(self, *words):
        self._capsys.readouterr()
        code = main(["--config", self._config, *words])
        return (code, *self._capsys.readouterr())

    def fill(self, act):
        async def filled():
            async with World.at(self._url) as world:
                await act(world)

        asyncio.run(filled())


@pytest.fixture
def archiver(database_url, tmp_path, capsys):
    """The program, on each database."""
    return Program(database_url, tmp_path, capsys)


@pytest.fixture
def archiver_on_sqlite(sqlite_url, tmp_path, capsys):
    """The program on SQLite alone, for what no database has a say in."""
    return Program(sqlite_url, tmp_path, capsys)


async def some_of_everything(world):
    """One of each kind of thing."""
    await world.me.finish_pass(SOURCE, KIND, [a_pass()], watermark=NOON)
    await world.verified("verified")
    entries = await world.claimed("again", "parked")
    named = {entry.recording_id: entry for entry in entries}
    parked = Outcome(entry=named["parked"], event=Event.FAILED, reason="url_refused: \x1b[31mred", kind="UrlRefused")
    await world.me.save([failed_once(named["again"]), parked])
    await world.put("lost", State.LOST, error="gone")


# -- status


def test_status_says_where_everything_stands_and_ends_with_0(archiver):
    archiver.fill(some_of_everything)
    code, out, err = archiver("status")
    assert (code, err) == (0, "")
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["source", "due", "verified", "failed", "lost", "failing"]
    assert lines[1] == ["rooms", "1", "1", "1", "1", "2"]
    assert any("no complete pass since 2026-03-02T12:00:00Z" in line for line in out.splitlines())
    assert "! rooms: 1 failed (1 UrlRefused); hint: archiver retry --all-failed" in out
    assert out.splitlines()[-1].startswith("not ready: ")


def test_status_as_json_is_one_document(archiver_on_sqlite):
    archiver_on_sqlite.fill(some_of_everything)
    code, out, _ = archiver_on_sqlite("status", "--json")
    found = json.loads(out)
    assert (code, found["schema"], found["totals"]["verified"]) == (0, "archiver.status/1", 1)
    assert out.count("\n") == 1


def test_a_catalog_out_of_reach_is_exit_code_5_and_nothing_is_made_by_asking(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/none/catalog.db"
    config = write_config(tmp_path / "archiver.toml", url)
    for words in (["status"], ["list"], ["show", "x"], ["retry", "--all-failed"], ["catalog", "check"]):
        assert main(["--config", config, *words]) == 5
        out, err = capsys.readouterr()
        assert out == ""
        assert (
            err
            == f"error: there is no catalog at {tmp_path}/none/catalog.db; hint: archiver sync makes one, and so does archiver catalog upgrade\n"
        )
    assert not (tmp_path / "none").exists()


# -- list


def test_list_as_json_is_one_object_a_line_with_the_whole_key(archiver):
    archiver.fill(some_of_everything)
    code, out, _ = archiver("list", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {row["schema"] for row in rows} == {"archiver.recording/1"}
    assert {row["recording_id"]: row["key"] for row in rows if row["key"]} == {"verified": "prefix/rooms/verified/media.ogg"}


def test_list_for_people_is_plain_where_nobody_looks_and_control_characters_do_not_print(archiver_on_sqlite):
    archiver_on_sqlite.fill(some_of_everything)
    code, out, _ = archiver_on_sqlite("list", "--state", "verified")
    assert code == 0
    header, row = out.splitlines()
    assert header.split("\t") == ["recording", "rendition", "state", "ended", "size", "key"]
    assert row.split("\t") == [
        "rooms/verified",
        "media",
        "verified",
        "2026-03-02T11:00:00Z",
        "1000 B",
        "prefix/rooms/verified/media.ogg",
    ]
    _, out, _ = archiver_on_sqlite("show", "parked")
    assert "\x1b" not in out
    assert "url_refused: \\x1b[31mred" in out


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--state", "failed", "--state", "lost"], ["parked", "lost"]),
        (["--source", "rooms", "--limit", "2"], ["verified", "again"]),
        (["--id", "rooms/lost", "--id", "again"], ["again", "lost"]),
        (["--since", "2026-03-02T11:00:00Z", "--until", "2026-03-02T11:00:01Z"], ["verified", "again", "parked", "lost"]),
        (["--until", "2026-03-02"], []),
        (["--room", "*x*"], []),
    ],
)
def test_list_selects(archiver_on_sqlite, words, ids):
    archiver_on_sqlite.fill(some_of_everything)
    code, out, _ = archiver_on_sqlite("list", "--json", *words)
    assert (code, [json.loads(line)["recording_id"] for line in out.splitlines()]) == (0, ids)


def test_list_shows_more_than_one_page(archiver_on_sqlite):
    archiver_on_sqlite.fill(lambda world: world.lists(*(a_listing(f"r{n}") for n in range(1201))))
    _, out, _ = archiver_on_sqlite("list", "--json")
    assert [json.loads(line)["recording_id"] for line in out.splitlines()] == [f"r{n}" for n in range(1201)]
    _, out, _ = archiver_on_sqlite("list", "--limit", "700")
    assert len(out.splitlines()) >= 701


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["list", "--source", "romos"], "error: --source 'romos': no such source, accepted: rooms"),
        (["list", "--state", "stuck"], "'stuck' is not one of 'waiting', 'due'"),
        (["list", "--since", "2026-03-02T11:00:00"], "add Z or an offset"),
        (["list", "--since", "2026-02-30"], "a day or time that does not exist"),
        (["list", "--since", "2026-03-02", "--until", "2026-03-01"], "--until 2026-03-01T00:00:00Z is not after --since"),
        (["list", "--limit", "0"], "0 is not in the range x>=1"),
        (["show", "nobody"], "error: no recording 'nobody' in the catalog; hint: archiver list"),
        (["show"], "Missing argument 'ID'"),
        (["retry"], "error: retry takes either IDs or --all-failed"),
        (["retry", "parked", "--all-failed"], "error: retry takes either IDs or --all-failed"),
        (["retry", "verified"], "error: verified: nothing to retry, media is verified"),
        (["retry", "nobody"], "error: no recording 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2_and_says_what_does(archiver_on_sqlite, words, says):
    archiver_on_sqlite.fill(some_of_everything)
    code, out, err = archiver_on_sqlite(*words)
    assert (code, out) == (2, "")
    assert says in err


# -- show


def test_show_tells_people_the_facts_and_the_history(archiver_on_sqlite):
    archiver_on_sqlite.fill(some_of_everything)
    code, out, _ = archiver_on_sqlite("show", "rooms/verified")
    assert code == 0
    assert "key        prefix/rooms/verified/media.ogg" in out
    assert f"sha256     {'ab' * 32}" in out
    history = [line.split("\t")[1] for line in out.splitlines() if "\t" in line]
    assert history == ["event", "discovered", "claimed", "stored", "verified"]
    _, out, _ = archiver_on_sqlite("show", "verified", "--json")
    assert json.loads(out)["schema"] == "archiver.show/1"


# -- retry


def test_retry_puts_failed_ones_back_and_the_history_names_the_operator(archiver):
    archiver.fill(some_of_everything)
    assert archiver("retry", "--all-failed")[:2] == (0, "1 rendition is due again\n")
    assert archiver("retry", "--all-failed", "--json")[1] == '{"schema": "archiver.retry/1", "retried": 0}\n'
    assert archiver("retry", "lost", "rooms/lost")[:2] == (0, "1 rendition is due again\n")
    _, out, _ = archiver("show", "parked", "--json")
    line = json.loads(out)["history"][-1]
    assert (line["event"], line["from"], line["to"]) == ("retried", "failed", "due")
    assert line["actor"].startswith("operator:")


# -- catalog


def test_a_sound_catalog_agrees_with_itself(archiver):
    async def sound(world):
        await world.me.finish_pass(SOURCE, KIND, [a_pass()], watermark=NOON)
        await world.verified("verified", "r2")
        await world.claimed("r3")

    archiver.fill(sound)
    code, out, _ = archiver("catalog", "check")
    assert (code, out.splitlines()[-1]) == (0, "the catalog agrees with itself")
    code, out, _ = archiver("catalog", "check", "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["problems"]) == (0, True, [])
    assert (found["rows"]["recordings"], found["states"]["verified"]) == (3, 2)


def test_a_catalog_that_contradicts_itself_is_exit_code_4_with_every_offender_named(archiver):
    async def broken(world):
        await world.verified("no-digest", "no-key", "odd-state", "fine")
        changes = {"no-digest": {"sha256": ""}, "no-key": {"key": ""}, "odd-state": {"state": "teleported"}}
        for name, values in changes.items():
            row = await world.row(name)
            change = sa.update(renditions).where(renditions.c.id == row.id).values(**values)
            await world.me.database.write(lambda tx, change=change: tx.execute(change))

    archiver.fill(broken)
    code, out, _ = archiver("catalog", "check", "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (4, False)
    named = {problem["thing"] for problem in found["problems"]}
    assert named >= {"rooms/no-digest/media", "rooms/no-key/media", "rooms/odd-state/media"}
    assert not any("fine" in thing for thing in named)
    code, out, _ = archiver("catalog", "check")
    assert (code, out.splitlines()[-1]) == (4, f"{len(found['problems'])} problems")


def test_a_schema_that_does_not_fit_is_told_with_the_command_that_helps(tmp_path, capsys):
    path = tmp_path / "catalog.db"
    path.touch()
    config = write_config(tmp_path / "archiver.toml", f"sqlite:///{path}")
    assert main(["--config", config, "status"]) == 2
    assert "hint: run `archiver catalog upgrade`" in capsys.readouterr().err
    assert main(["--config", config, "catalog", "upgrade"]) == 0
    assert capsys.readouterr().out.startswith("the catalog was upgraded: schema ")
    assert main(["--config", config, "catalog", "upgrade"]) == 0
    assert capsys.readouterr().out.startswith("the catalog is up to date: schema ")
    assert main(["--config", config, "catalog", "upgrade", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "archiver.upgrade/1"
    assert main(["--config", config, "status"]) == 0
