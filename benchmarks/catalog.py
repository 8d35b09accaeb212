"""The catalog by size: pages that claim, page upsert and status look at, from 10^4 rows up, on SQLite and PostgreSQL; its CPU."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks import catalog_rows, clients
from benchmarks.children import run
from tests.testbed.missing import Missing
from tests.testbed.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.options import Options


STATUS = """
[catalog]
url = "{url}"

[storage]
url = "file://{folder}/archive"
"""


def catalog(options: Options, folder: Path) -> dict[str, Any]:
    """Every size on every database there is."""
    powers = options.pick(quick=(4, 5), usual=(4, 5, 6), full=(4, 5, 6, 7))
    batches = options.pick(quick=2, usual=8)  # pages of 250 whose recordings are claimed and completed for the CPU of one
    folder.mkdir()
    found: dict[str, Any] = {"rows": [10**power for power in powers]}
    with ExitStack() as stack:
        backends = {"sqlite": _sqlite(folder)}
        try:
            server = stack.enter_context(postgres(os.environ.get("ARCHIVER_TEST_POSTGRES")))
            backends["postgresql"] = server.database
            found["postgresql_version"] = psycopg.pq.version_pretty(server.admin.info.server_version)
        except Missing as missing:
            print(f"  left out: {missing}", flush=True)
        for name, new in backends.items():
            sizes = {}
            for power in powers:
                with new() as url:
                    sizes[str(10**power)] = _size(url, 10**power, folder, batches)
                print(f"  {name}, {10**power:,} rows: {_brief(sizes[str(10**power)])}", flush=True)
            found[name] = {"sizes": sizes, "largest_to_smallest": _growth(sizes)}
    return found


def _sqlite(folder: Path) -> Any:
    @contextmanager
    def new() -> Iterator[str]:
        path = folder / "catalog.db"
        yield f"sqlite:///{path}"
        for left in folder.glob("catalog.db*"):
            left.unlink()

    return new


def _size(url: str, count: int, folder: Path, batches: int) -> dict[str, Any]:
    now = time.time()
    catalog_rows.build(url, count, now=now)
    built = time.time() - now
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["PYTHONPATH"] = str(clients.ROOT)
    words = [sys.executable, "-m", "benchmarks.catalog_work", url, str(now), str(batches)]
    found = json.loads(run(words, environment=environment, folder=folder).out)
    (folder / "archiver.toml").write_text(STATUS.format(url=url, folder=folder))
    words = [sys.executable, "-m", "archiver", "--config", str(folder / "archiver.toml"), "status", "--json"]
    command = run(words, environment=environment, folder=folder)
    return {**found, "status_command_wall_s": round(command.wall, 3), "built_in_s": round(built, 1)}


def _growth(sizes: dict[str, Any]) -> dict[str, float]:
    least, most = (sizes[key]["pages"] for key in (min(sizes, key=int), max(sizes, key=int)))
    return {name: round(most[name] / max(1, least[name]), 2) for name in least}


def _brief(size: dict[str, Any]) -> str:
    pages = size["pages"]
    return (
        f"claim {pages['claim of 50']:,.0f} pages, unchanged page {pages['page, 250 unchanged']:,.0f}, status {pages['status']:,.0f} in "
        f"{size['status_wall_s']:.2f} s, {size['cpu_ms']['recording']} ms CPU a recording"
    )
