"""Several processes on one PostgreSQL: how claims and completions share a queue, and what each side of the wire pays.

    python -m benchmarks.crew URL

is one of the processes: it claims and completes until nothing is left. No media moves, so this is the most that a catalog carries.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.catalog import schema
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.database import Database
from archiver.catalog.leases import this_worker
from benchmarks.catalog_work import BATCH, PAGE, SOURCE, outcomes, page
from benchmarks.catalog_work import KIND as PROVIDER
from benchmarks.children import ROOT
from tests.testbed.missing import Missing
from tests.testbed.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.options import Options

_TICKS = os.sysconf("SC_CLK_TCK")


def crew(options: Options, folder: Path) -> dict[str, Any]:
    """The same queue emptied by one, two and four processes on one PostgreSQL."""
    pages = options.pick(quick=8, usual=80)
    found: dict[str, Any] = {"recordings": pages * PAGE, "batch": BATCH}
    folder.mkdir()
    try:
        with postgres(os.environ.get("ARCHIVER_TEST_POSTGRES")) as server:
            postmaster = _parent(server.admin.info.backend_pid)
            for count in (1, 2, 4):
                with server.database() as url:
                    asyncio.run(_fill(url, pages))
                    found[str(count)] = _emptied(url, count, pages * PAGE, postmaster)
                print(f"  {count} processes: {found[str(count)]}", flush=True)
    except Missing as missing:
        print(f"  left out: {missing}", flush=True)
    return found


async def _fill(url: str, pages: int) -> None:
    """Recordings that are due, listed as a poll lists them."""
    await asyncio.to_thread(schema.upgrade_now, url)
    async with Database(url, clock=lambda: datetime.now(UTC)) as database:
        catalog = SqlCatalog(database, this_worker("bench", "localhost", "0" * 32))
        for number in range(pages):
            await catalog.add_page(SOURCE, PROVIDER, page(number, datetime.now(UTC)))


def _emptied(url: str, count: int, recordings: int, postmaster: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.crew", url]
    before, began = _cpu_of_all(postmaster), time.monotonic()
    children = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    told = [json.loads(child.communicate()[0]) for child in children]
    wall = max(each["ended"] for each in told) - max(each["began"] for each in told)
    server = _cpu_of_all(postmaster) - before
    if sum(each["done"] for each in told) != recordings:
        raise RuntimeError(f"{sum(each['done'] for each in told)} of {recordings} were completed, once each was wanted")
    return {
        "recordings_a_second": round(recordings / wall, 1),
        "client_cpu_ms": round(1000 * sum(each["cpu"] for each in told) / recordings, 4),
        "server_cpu_ms": round(1000 * server / recordings, 4),
        "least_share": round(min(each["done"] for each in told) * count / recordings, 3),
        "took_s": round(time.monotonic() - began, 2),
    }


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _cpu_of_all(postmaster: int) -> float:
    """Seconds of CPU of a server's processes, those that ended included."""
    total = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(place.parent.name) == postmaster:
            total += sum(map(int, fields[11:15]))  # with the children it has buried
        elif int(fields[1]) == postmaster:
            total += sum(map(int, fields[11:13]))
    return total / _TICKS


async def _work(url: str) -> dict[str, float]:
    async with Database(url, clock=lambda: datetime.now(UTC)) as database:
        catalog = SqlCatalog(database, this_worker("bench", "localhost", os.urandom(16).hex()))
        await catalog.enter()
        done, began, cpu = 0, time.monotonic(), time.process_time()
        while entries := await catalog.claim(BATCH, sources=[SOURCE]):
            late = await catalog.save([item for entry in entries for item in outcomes(entry)])
            done += len(entries) - len({item.entry.id for item in late})
        found = {"done": done, "began": began, "ended": time.monotonic(), "cpu": time.process_time() - cpu}
        await catalog.leave()
    return found


def main(words: Sequence[str]) -> None:
    """One process of the crew."""
    (url,) = words
    sys.stdout.write(json.dumps(asyncio.run(_work(url))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
