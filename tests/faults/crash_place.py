"""Where trials of the crash sweep happen: an empty catalog and an empty store for each."""

import contextlib
import shutil
from pathlib import Path

import psycopg

from archiver.catalog import schema
from archiver.catalog.tables import metadata
from archiver.config import load
from archiver.storage.filesystem import Filesystem
from tests.faults.crash_flows import FLOWS
from tests.faults.crash_ports import Driver
from tests.faults.crash_stage import PART, SOURCE, Provider, Stage, Store
from tests.faults.virtual_time import SimClock
from tests.pipeline.memory_store import STRICT

SECRET = "KEY0123456789abcdefCANARY"
CONFIGURATION = f"""
[catalog]
url = "sqlite:////nowhere/catalog.db"
[storage]
url = "file:///nowhere"
[transfer]
concurrency = 3
[[source]]
name = "{SOURCE}"
provider = "telnyx-rooms"
api_key = "{SECRET}"
"""


class Place:
    """Where trials happen, one after the other: SQLite in a folder and, where a server is given, PostgreSQL."""

    def __init__(self, folder, url=""):
        self._folder = Path(folder)
        self._template, self._catalog = self._folder / "template.db", self._folder / "catalog.db"
        schema.upgrade_now(f"sqlite:///{self._template}")
        self.settings = {name: self._configured(flow) for name, flow in FLOWS.items()}
        self._drivers = {"sqlite": Driver(f"sqlite:///{self._catalog}")}
        if url:
            schema.upgrade_now(url)
            self._drivers["postgresql"] = Driver(url)

    def _configured(self, flow):
        configuration = self._folder / "archiver.toml"
        configuration.touch(mode=0o600)
        configuration.write_text(CONFIGURATION + flow.settings)
        return load(configuration, {}, {})

    @contextlib.contextmanager
    def stage(self, case):
        """The stage of one trial, with an empty catalog."""
        flow, driver, archive = FLOWS[case.flow], self._drivers[case.database], self._folder / "archive"
        clock = SimClock(f"store {case.flow}")
        memory = case.store == "memory"
        store = Store(PART, abilities=flow.abilities or STRICT, clock=clock) if memory else Filesystem(archive, PART, clock.token)
        provider = Provider()
        flow.stock(provider)
        self._empty(case.database)
        yield Stage(driver=driver, store=store, provider=provider, seed=case.flow, settings=self.settings[case.flow])
        shutil.rmtree(archive, ignore_errors=True)

    def _empty(self, database):
        if database == "postgresql":
            with psycopg.connect(self._drivers[database].url, autocommit=True) as conn:
                conn.execute("; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))
            return
        for left in self._folder.glob("catalog.db*"):
            left.unlink()
        shutil.copyfile(self._template, self._catalog)
