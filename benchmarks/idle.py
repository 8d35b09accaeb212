"""A poll that finds nothing new, on a page of 250: its CPU and its writes, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from archiver.catalog import schema
from benchmarks import clients
from benchmarks.children import run
from benchmarks.stage import stage
from tests.testbed.missing import Missing
from tests.testbed.postgres import postgres

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.options import Options
    from benchmarks.stage import Stage

ITEMS = 250


def idle(options: Options, folder: Path) -> dict[str, Any]:
    """Archives a page of recordings, then polls the same list again and again."""
    polls = options.pick(quick=20, usual=200)
    found: dict[str, Any] = {"tls": True, "polls": polls}
    with ExitStack() as stack:
        place = stack.enter_context(stage(folder, "--count", str(ITEMS), "--sizes", "20000", "20000", "--alike", tls=True))
        found["sqlite"] = _polled(place, folder / "sqlite", "", polls)
        try:
            server = stack.enter_context(postgres(os.environ.get("ARCHIVER_TEST_POSTGRES")))
        except Missing as missing:
            print(f"  left out: {missing}", flush=True)
            return found
        url = stack.enter_context(server.database())
        schema.upgrade_now(url)
        found["postgresql"] = _polled(place, folder / "postgresql", url, polls)
    return found


def _polled(place: Stage, folder: Path, catalog: str, polls: int) -> dict[str, Any]:
    place.forget()
    clients.product(place, folder, catalog=catalog)
    words = [sys.executable, "-m", "benchmarks.polls", str(folder / "archiver.toml"), "rooms", str(polls)]
    found: dict[str, Any] = json.loads(run(words, environment=place.environment, folder=folder).out)
    if found["items"] != ITEMS:
        raise RuntimeError(f"the page had {found['items']} items")
    print(
        f"  {folder.name}: page {found['page']['cpu_ms']['median']} ms CPU, writes {found['page']['rows_written']}; "
        f"whole poll {found['poll']['cpu_ms']['median']} ms, writes {found['poll']['rows_written']}",
        flush=True,
    )
    return found
