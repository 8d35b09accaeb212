"""The figures that the README quotes: a line for each thing that was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.alone import ONE, RANGED
from benchmarks.copying import BARE, BOTO3, COPYURL, FLOOR
from benchmarks.rounds import PRODUCT
from benchmarks.tables import Table, made, number, size, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Figures = Mapping[str, Any]


def headline(results: Figures) -> Table:
    """What was measured, ours, and what stands beside it."""
    rows = [row for name, lines in _LINES.items() if name in results["workloads"] for row in lines(results["workloads"][name])]
    ratios = (
        "The ratio says how many times ours the other figure is: the median of the rounds' own ratios, with the least and the most; "
        "for pages, how many times those of the smallest catalog."
    )
    return Table(
        head=["what", "archiver", "beside it", "ratio"], rows=rows, notes=(f"{ratios} {made(*results['workloads'].values())}",)
    )


def _peer(found: Figures, name: str, unit: str, what: str) -> list[str]:
    """A line beside a peer: how many times ours its figure is."""
    ours, theirs = found[PRODUCT], found[name]
    times = theirs["wall_times_the_product" if unit == "wall_s" else "cpu_times_the_product"]
    return [what, number(ours[unit]["median"]), f"{name}: {number(theirs[unit]['median'])}", f"{spread(times)}"]


def _small(found: Figures) -> Iterator[list[str]]:
    what = f"{found['objects']:,} objects of 20 KB to 1 MB over TLS"
    yield _peer(found["clients"], COPYURL, "cpu_ms_an_object", f"{what}: CPU ms an object")
    yield _peer(found["clients"], COPYURL, "wall_s", "the same: seconds")
    if BARE in found["clients"]:
        yield _peer(found["clients"], BARE, "cpu_ms_an_object", "the same: CPU ms an object")
    yield _peer(found["clients"], FLOOR, "cpu_ms_an_object", "the same: CPU ms an object")
    beyond = found["product"]["beyond_start_up"]
    yield ["the same, without start-up: CPU ms an object", number(beyond["median"]), "", ""]


def _boto3(found: Figures) -> Iterator[list[str]]:
    yield _peer(
        found["clients"],
        BOTO3,
        "cpu_ms_an_object",
        f"{found['objects']:,} of them beside the same job with boto3: CPU ms an object",
    )


def _large(found: Figures) -> Iterator[list[str]]:
    what = f"files of {size(found['file_bytes'])}"
    yield _peer(found["tls"]["clients"], COPYURL, "cpu_s_a_gb", f"{what} over TLS: CPU s a GB")
    yield _peer(found["plain"]["clients"], FLOOR, "cpu_s_a_gb", f"{what}, plain: CPU s a GB")


def _memory(found: Figures) -> Iterator[list[str]]:
    ours = found["clients"][PRODUCT]["peak_rss_mib"]["median"]
    what = f"{found['transfers_at_once']} transfers of {size(found['file_bytes'])} at once: peak MiB"
    if COPYURL in found["clients"]:
        theirs = found["clients"][COPYURL]["peak_rss_mib"]["median"]
        yield [what, number(ours), f"{COPYURL}: {number(theirs)}", f"{number(theirs / ours)}"]
    else:
        yield [what, number(ours), "", ""]


def _ranges(found: Figures) -> Iterator[list[str]]:
    what = f"{size(found['file_bytes'])} from a source with {number(found['bytes_a_second'] / 1e6)} MB/s a connection: seconds"
    ours, theirs = (number(found[name]["transfer_s"]["median"]) for name in (RANGED, ONE))
    yield [f"{what}, {RANGED}", ours, f"{ONE}: {theirs}", f"{spread(found['times_faster'])}"]


def _catalog(found: Figures) -> Iterator[list[str]]:
    least, most = (f"{found['rows'][at]:,}" for at in (0, -1))
    for name in ("sqlite", "postgresql"):
        if name not in found:
            continue
        largest, growth = found[name]["sizes"][str(found["rows"][-1])], found[name]["largest_to_smallest"]
        yield [f"claim, completion and history, {name}: CPU ms a recording", number(largest["cpu_ms"]["recording"]), "", ""]
        for question in ("claim of 50", "page, 250 unchanged", "status"):
            yield [
                f"{question}, {name}: pages looked at",
                number(largest["pages"][question]),
                f"{least} to {most} rows",
                f"{number(growth[question])}",
            ]
        yield [f"status of {most} rows, {name}: seconds", number(largest["status_wall_s"]), "", ""]


def _idle(found: Figures) -> Iterator[list[str]]:
    for name in ("sqlite", "postgresql"):
        if name in found:
            page = found[name]["page"]
            rows = sum(page["rows_written"].values())
            yield [
                f"a page of 250 that did not change, {name}: CPU ms",
                number(page["cpu_ms"]["median"]),
                f"{number(rows)} rows written",
                "",
            ]


def _start(found: Figures) -> Iterator[list[str]]:
    yield ["start of the process to the first transfer: seconds", number(found["first_transfer_s"]["median"]), "", ""]


def _crew(found: Figures) -> Iterator[list[str]]:
    for count in ("1", "4"):
        if count in found:
            what = f"a PostgreSQL catalog alone, {count} process{'es' if count != '1' else ''}: recordings a second"
            yield [what, number(found[count]["recordings_a_second"]), "", ""]


_LINES = {
    "small": _small,
    "boto3": _boto3,
    "large": _large,
    "memory": _memory,
    "ranges": _ranges,
    "catalog": _catalog,
    "idle": _idle,
    "start": _start,
    "crew": _crew,
}
