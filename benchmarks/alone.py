"""Workloads of the product by itself: memory with many large transfers, time to the first transfer, ranged download."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from benchmarks import catalog_rows, clients
from benchmarks.copying import COPYURL
from benchmarks.rounds import PRODUCT, alternate, figure
from benchmarks.stage import stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.children import Cost
    from benchmarks.options import Options
    from benchmarks.stage import Stage

AT_ONCE = 64
RATE = 27_000_000  # bytes a second on each connection of the limited source
RANGES = 8
ONE, RANGED = "one connection", f"{RANGES} ranges"


def memory(options: Options, folder: Path) -> dict[str, Any]:
    """Peak memory with 64 large transfers at once, over TLS; rclone's beside it."""
    size, rounds = options.pick(quick=32, usual=256) * 2**20, options.rounds or options.pick(quick=1, usual=3)
    peers: dict[str, Callable[[Stage, Path], Cost]] = {PRODUCT: functools.partial(clients.product, width=AT_ONCE)}
    if not options.quick:
        peers[COPYURL] = functools.partial(clients.rclone_copyurl, width=AT_ONCE)
    with stage(folder, "--count", str(AT_ONCE), "--sizes", str(size), str(size), "--alike", tls=True) as place:
        clients.prepared(place, folder / "first")
        turns = alternate(place, peers, rounds)
    return {
        "tls": True,
        "transfers_at_once": AT_ONCE,
        "file_bytes": size,
        "rounds": rounds,
        "clients": {
            name: {
                "peak_rss_mib": figure([turn.cost.rss / 2**20 for turn in each], 1),
                "cpu_s": figure([turn.cost.cpu for turn in each]),
                "wall_s": figure([turn.cost.wall for turn in each]),
            }
            for name, each in turns.items()
        },
    }


def start(options: Options, folder: Path) -> dict[str, Any]:
    """From the start of the process to the first request for a recording's bytes, with a catalog that has rows already."""
    rows, rounds = options.pick(quick=10_000, usual=100_000), options.rounds or options.pick(quick=3, usual=10)
    costs, firsts = [], []
    with stage(folder, "--count", "20", tls=True) as place:
        template = folder / "prepared"
        template.mkdir()
        catalog_rows.build(f"sqlite:///{template}/catalog.db", rows, now=time.time() - 7 * 86_400, calm=True)
        clients.configure(place, template)
        clients.sync(place, template, source="calls")
        for number in range(rounds):
            here = folder / f"round-{number}"
            place.forget()
            costs.append(clients.product(place, here))
            firsts.append(place.source("_seen")["first"] - costs[-1].began)
            print(f"  round {number + 1}: first request for media after {firsts[-1]:.3f} s", flush=True)
    return {
        "tls": True,
        "catalog_rows": rows,
        "rounds": rounds,
        "first_transfer_s": figure(firsts),
        "whole_run_wall_s": figure([cost.wall for cost in costs]),
        "whole_run_cpu_s": figure([cost.cpu for cost in costs]),
    }


def ranges(options: Options, folder: Path) -> dict[str, Any]:
    """One large file from a source that limits each connection: one connection, and ranges."""
    size, rounds = options.pick(quick=128, usual=1024) * 2**20, options.rounds or options.pick(quick=1, usual=3)
    seconds: dict[str, list[float]] = {ONE: [], RANGED: []}
    walls: dict[str, list[float]] = {ONE: [], RANGED: []}
    cpu: dict[str, list[float]] = {ONE: [], RANGED: []}
    words = ("--count", "1", "--sizes", str(size), str(size), "--rate", str(RATE))
    widths = {ONE: 1, RANGED: RANGES}  # `transfer.concurrency` bounds connections, and so ranges
    with stage(folder, *words, tls=True) as place:
        clients.prepared(place, folder / "first")
        for number in range(rounds):
            for name, width in widths.items():
                place.forget()
                cost = clients.product(place, folder / f"{name.replace(' ', '-')}-{number}", width=width)
                place.check()
                walls[name].append(cost.wall)
                cpu[name].append(cost.cpu)
                seconds[name].append(cost.began + cost.wall - place.source("_seen")["first"])
                print(f"  round {number + 1}: {name}: {seconds[name][-1]:.2f} s from the first request on", flush=True)
    found: dict[str, Any] = {"tls": True, "bytes_a_second": RATE, "file_bytes": size, "rounds": rounds}
    for name in widths:
        found[name] = {"transfer_s": figure(seconds[name]), "wall_s": figure(walls[name]), "cpu_s": figure(cpu[name])}
    found["times_faster"] = figure([a / b for a, b in zip(seconds[ONE], seconds[RANGED], strict=True)])
    found["times_faster_whole_run"] = figure([a / b for a, b in zip(walls[ONE], walls[RANGED], strict=True)])
    return found
