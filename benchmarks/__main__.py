"""`make bench`: the product's real job beside rclone's, in alternating rounds over TLS; a table and a JSON file.

    python -m benchmarks [--quick] [--count N] [--rounds N]

Source, client and sink are processes of their own; only the client's CPU counts. The product lists, claims, hashes, stores,
verifies and keeps catalog and history; rclone copies addresses it is given and keeps none of that.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import children, clients

RESULTS = Path(__file__).parent / "results"
CLIENTS = {
    "archiver sync": clients.product,
    "rclone copyurl --urls": clients.rclone_copyurl,
    "rclone copy :http:": clients.rclone_copy,
}


def rounds(stage, folder, wanted):
    """Each client once a round, in turn; {name: [Cost]}."""
    costs = {name: [] for name in CLIENTS}
    for number in range(wanted):
        for name, run in CLIENTS.items():
            place = folder / f"{name.split()[0]}-{name.split()[1]}-{number}"
            place.mkdir()
            costs[name].append(run(stage, place))
            stage.sink("_reset", method="POST")
            print(f"round {number + 1}: {name}: {costs[name][-1].cpu:.2f} s CPU, {costs[name][-1].wall:.2f} s", flush=True)
    return costs


def summary(costs, count):
    """Medians for each client, and the median of the rounds' ratios to the product."""
    ours = costs["archiver sync"]
    found = {}
    for name, each in costs.items():
        found[name] = {
            "cpu_ms_an_object": round(1000 * statistics.median(cost.cpu for cost in each) / count, 3),
            "wall_s": round(statistics.median(cost.wall for cost in each), 3),
            "peak_rss_mib": round(max(cost.rss for cost in each) / 2**20, 1),
            "cpu_ratio": round(statistics.median(cost.cpu / mine.cpu for cost, mine in zip(each, ours, strict=True)), 3),
            "wall_ratio": round(statistics.median(cost.wall / mine.wall for cost, mine in zip(each, ours, strict=True)), 3),
            "cpu_s": [round(cost.cpu, 3) for cost in each],
        }
    return found


def main(words=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer objects and rounds")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="objects of 20 KB to 1 MB; 2,000")
    parser.add_argument("--rounds", type=int, default=0, metavar="N", help="5")
    options = parser.parse_args(words)
    count = options.count or (200 if options.quick else 2000)
    wanted = options.rounds or (2 if options.quick else 5)
    folder = Path(tempfile.mkdtemp(prefix="archiver-bench-"))
    try:
        with children.stage(folder, "--count", str(count), tls=True) as stage:
            costs = rounds(stage, folder, wanted)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = summary(costs, count)
    result = {
        "workload": "S over TLS",
        "objects": count,
        "rounds": wanted,
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load_before": os.getloadavg()[0],
        "clients": found,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "small.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{'client':<24}{'CPU ms/object':>15}{'wall s':>10}{'RSS MiB':>10}{'CPU ratio':>11}{'wall ratio':>12}")
    for name, row in found.items():
        cells = f"{row['cpu_ms_an_object']:>15}{row['wall_s']:>10}{row['peak_rss_mib']:>10}{row['cpu_ratio']:>11}{row['wall_ratio']:>12}"
        print(f"{name:<24}{cells}")
    print(f"\nratios: how many times the product's, median of {wanted} rounds; {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
