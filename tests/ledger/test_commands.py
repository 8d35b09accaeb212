"""`ledger verify` and `catalog rebuild` as people and scripts call them, and what `status` and /readyz say of a late seal."""

import asyncio
import json
import sqlite3
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.app import open_app
from archiver.catalog.tables import ledger
from archiver.cli.root import main
from archiver.config import load
from archiver.daemon import Daemon
from archiver.domain.errors import HistoryForked
from archiver.domain.ledger import segment_key
from archiver.sealing import Sealing, seal_before_end
from tests.catalog.world import World, a_listing
from tests.ledger.vault import Vault, a_folder

CONFIG = """
[catalog]
url = "{url}"
[storage]
url = "file://{folder}/archive"
[[source]]
name = "rooms"
provider = "telnyx-rooms"
api_key = "KEYs3cr3t"
"""
METRIC = "archiver_ledger_sealed_timestamp_seconds"


class Program:
    """The program over a catalog and an archive folder: `code, stdout, stderr = archiver("ledger", "verify")`."""

    def __init__(self, url, folder, capsys):
        self.url, self.folder, self._capsys = url, folder, capsys
        self.config = folder / "archiver.toml"
        self.configure(url)

    def configure(self, url):
        self.config.write_text(CONFIG.format(url=url, folder=self.folder))
        self.config.chmod(0o600)

    def __call__(self, *words):
        self._capsys.readouterr()
        code = main(["--config", str(self.config), *words])
        return (code, *self._capsys.readouterr())

    def within(self, act):
        async def done():
            async with World.at(self.url) as world:
                return await act(Vault(world=world, storage=a_folder(self.folder / "archive"), limit=5))

        return asyncio.run(done())

    def app(self, act):
        async def done():
            async with open_app(load(self.config, {}, {}), command="sync") as app:
                return await act(app)

        return asyncio.run(done())


@pytest.fixture
def archiver(sqlite_url, tmp_path, capsys):
    program = Program(sqlite_url, tmp_path, capsys)

    async def fill(vault):
        await vault.world.lists(a_listing("r1"), a_listing("r2"))
        await vault.happens(9)
        await vault.seal()

    program.within(fill)
    return program


def test_verify_says_what_is_sealed_and_the_head_to_note_elsewhere(archiver):
    code, out, _err = archiver("ledger", "verify", "--json")
    document = json.loads(out)
    assert (code, document.pop("schema"), document.pop("ok"), document.pop("problems")) == (0, "archiver.ledger/1", True, [])
    assert {name: document[name] for name in ("segments", "events", "unsealed")} == {"segments": 3, "events": 12, "unsealed": 0}
    head = document["head"]
    assert archiver("ledger", "verify", "--head", head.upper())[0] == 0
    code, out, _err = archiver("ledger", "verify", "--head", "ab" * 32)
    assert (code, "noted as a head" in out) == (4, True)
    assert "the history is whole" in archiver("ledger", "verify")[1]


def test_verify_names_segment_line_and_field_and_ends_with_4(archiver):
    with sqlite3.connect(archiver.url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE ledger SET reason = 'x' WHERE seq = 7")
    code, out, _err = archiver("ledger", "verify", "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (4, False)
    assert found["problems"] == [{"segment": 2, "line": 3, "what": "seq 7: the archive and the catalog differ in reason"}]
    assert archiver("ledger", "verify")[0] == 4


def test_rebuild_fills_a_new_catalog_and_refuses_one_that_is_not_empty(archiver, tmp_path):
    code, _out, err = archiver("catalog", "rebuild")
    assert (code, "not empty" in err) == (2, True)
    archiver.configure(f"sqlite:///{tmp_path}/new.db")
    code, out, err = archiver("catalog", "rebuild", "--json")
    document = json.loads(out)
    assert (code, document["schema"], document["recordings"], document["events"]) == (0, "archiver.rebuild/1", 2, 12)
    assert archiver("ledger", "verify")[0] == 0
    assert json.loads(archiver("list", "--json")[1].splitlines()[0])["recording_id"] == "r1"


def test_rebuild_of_a_damaged_history_ends_with_4_and_says_how_to_go_on(archiver, tmp_path):
    (tmp_path / "archive" / segment_key(2)).write_bytes(b"{}\n")
    archiver.configure(f"sqlite:///{tmp_path}/new.db")
    code, _out, err = archiver("catalog", "rebuild")
    assert (code, "--despite-damage" in err) == (4, True)
    code, _out, err = archiver("catalog", "rebuild", "--despite-damage")
    assert (code, "segment 2" in err) == (4, True)


def test_a_catalog_half_rebuilt_is_worked_on_by_nobody_and_begun_anew(archiver, tmp_path):
    segment = tmp_path / "archive" / segment_key(2)
    whole = segment.read_bytes()
    segment.write_bytes(b"{}\n")
    archiver.configure(f"sqlite:///{tmp_path}/new.db")
    archiver("catalog", "rebuild")
    code, _out, err = archiver("sync")
    assert (code, "not over" in err) == (5, True)
    segment.write_bytes(whole)
    assert archiver("catalog", "rebuild")[0] == 0


def test_status_names_a_history_that_waits_for_twice_its_interval(archiver):
    async def old(vault):
        await vault.happens(2)  # at the world's noon, which was long ago

    assert "history" not in archiver("status")[1]
    archiver.within(old)
    (said,) = [text for text in json.loads(archiver("status", "--json")[1])["problems"] if text.startswith("history")]
    assert "2 events have not been sealed since 2026-03-02T12:00:00Z, a seal is expected every 5m" in said


def test_the_daemon_is_not_ready_while_its_history_is_forked_or_late_and_the_metric_says_when_it_was_sealed(archiver):
    async def act(app):
        daemon = Daemon(app, asyncio.Event())
        assert [text for text in await daemon.problems() if text.startswith("history")] == []
        await daemon._sealing.job()
        (sealed,) = [line for line in app.metrics.exposition().decode().splitlines() if line.startswith(METRIC)]
        assert abs(float(sealed.split()[1]) - app.clock.now().timestamp()) < 60
        foreign = archiver.folder / "archive" / segment_key(4)
        foreign.write_bytes(b"forged\n")
        await app.database.write(lambda tx: tx.execute(sa.insert(ledger).values(at=tx.now, actor="me", event="e")))
        await daemon._sealing.job()
        (said,) = [text for text in await daemon.problems() if text.startswith("history")]
        assert "catalog rebuild" in said
        assert foreign.read_bytes() == b"forged\n"
        foreign.unlink()
        await daemon._sealing.job()
        assert [text for text in await daemon.problems() if text.startswith("history")] == []
        past = app.clock.now() - timedelta(minutes=11)
        await app.database.write(lambda tx: tx.execute(sa.insert(ledger).values(at=past, actor="me", event="e")))
        (said,) = [text for text in await daemon.problems() if text.startswith("history")]
        assert "1 event has not been sealed" in said

    archiver.app(act)


def test_a_seal_that_fails_at_the_end_of_a_run_is_told_and_given_back(archiver):
    async def act(app):
        await app.database.write(lambda tx: tx.execute(sa.insert(ledger).values(at=tx.now, actor="me", event="e")))
        (archiver.folder / "archive" / segment_key(4)).write_bytes(b"forged\n")
        assert isinstance(await seal_before_end(app, wait=True), HistoryForked)
        with pytest.raises(HistoryForked):
            await Sealing(app).run(wait=True)

    archiver.app(act)
