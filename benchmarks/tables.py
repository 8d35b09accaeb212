"""Figures as tables: one for each workload, printed in a terminal or written as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.alone import ONE, RANGED
from benchmarks.rounds import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells are text; `notes` stand below it, a line each."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """As it stands in a page."""
        lines = [self.head, ["---", *("---:" for _ in self.head[1:])], *self.rows]
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return "\n\n".join([text, *self.notes])

    def plain(self) -> str:
        """As it stands in a terminal."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = []
        for cells in (self.head, *self.rows):
            first, *rest = (
                cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            lines.append("  ".join([first, *rest]).rstrip())
        return "\n".join([*lines, *self.notes])


def number(value: float) -> str:
    """Three significant digits, thousands set apart."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def spread(found: Mapping[str, Any]) -> str:
    """A median with the least and the most of its rounds, where there were several."""
    if found["least"] == found["most"]:
        return number(found["median"])
    return f"{number(found['median'])} ({number(found['least'])} to {number(found['most'])})"


def size(count: float) -> str:
    """Bytes in GiB or MiB."""
    return f"{number(count / 2**30)} GiB" if count >= 2**30 else f"{number(count / 2**20)} MiB"


def made(*found: Figures) -> str:
    """When, where and of what workloads were measured; one sentence."""
    days, machines = ({each["at"][:10]: None for each in found}, {each["machine"]: None for each in found})
    commits = {each["commit"] + (" with changes" if each["changed"] else ""): None for each in found}
    loads = f", load before {found[0]['load_before']}" if len(found) == 1 else ""
    quick = ", a quick run" if any(each["quick"] for each in found) else ""
    return f"Measured on {_listed(days)}, {_listed(machines)}, commit {_listed(commits)}{loads}{quick}."


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _beside(clients: Figures, unit: str) -> list[list[str]]:
    rows = []
    for name, each in clients.items():
        ratios = ["", ""]
        if name != PRODUCT:
            ratios = [spread(each["cpu_times_the_product"]), spread(each["wall_times_the_product"])]
        sent = ", ".join(each["checksums_sent"]) or "none"
        rows.append([name, spread(each[unit]), spread(each["wall_s"]), number(each["peak_rss_mib"]), *ratios, sent])
    return rows


def _head(unit: str) -> list[str]:
    return ["client", unit, "wall s", "peak MiB", "CPU, times ours", "wall, times ours", "checksums sent"]


def _start(found: Figures, unit: str) -> str:
    product = found["product"]
    return (
        f"Of the product's CPU {spread(product['start_up_cpu_s'])} s are start-up (a run that finds an empty source); beyond it "
        f"{spread(product['beyond_start_up'])} {unit}."
    )


def small(found: Figures) -> Table:
    """S, beside whichever peers."""
    servers = "; ".join(f"{name} {number(each['servers_cpu_s']['median'])}" for name, each in found["clients"].items())
    opened = "; ".join(f"{name} {each['source_connections']:,}" for name, each in found["clients"].items())
    what = f"{found['objects']:,} objects, {size(found['bytes'])}, over TLS, {found['rounds']} rounds."
    serving = f"CPU seconds of source and sink meanwhile: {servers}. Connections to the source's media: {opened}."
    return Table(
        head=_head("CPU ms an object"),
        rows=_beside(found["clients"], "cpu_ms_an_object"),
        notes=(f"{what} {_start(found, 'ms an object')} {serving} {made(found)}",),
    )


def large(found: Figures) -> Table:
    """L over TLS and plain, one below the other."""
    rows = []
    for how, label in (("tls", "TLS"), ("plain", "plain")):
        rows += [[f"{name}, {label}", *cells] for name, *cells in _beside(found[how]["clients"], "cpu_s_a_gb")]
    what = f"{found['files']} files of {size(found['file_bytes'])}, {found['rounds']} rounds."
    start = " ".join(f"{label}: {_start(found[how], 's a GB')}" for how, label in (("tls", "TLS"), ("plain", "Plain")))
    return Table(head=_head("CPU s a GB"), rows=rows, notes=(f"{what} {start} {made(found)}",))


def memory(found: Figures) -> Table:
    """Peak memory."""
    rows = [
        [name, spread(each["peak_rss_mib"]), spread(each["cpu_s"]), spread(each["wall_s"])]
        for name, each in found["clients"].items()
    ]
    what = f"{found['transfers_at_once']} files of {size(found['file_bytes'])} at once, over TLS, {found['rounds']} rounds."
    return Table(head=["client", "peak RSS MiB", "CPU s", "wall s"], rows=rows, notes=(f"{what} {made(found)}",))


def start(found: Figures) -> Table:
    """Start to first transfer."""
    rows = [
        ["start of the process to the first request for media", spread(found["first_transfer_s"])],
        ["the whole run, 20 recordings", spread(found["whole_run_wall_s"])],
        ["its CPU", spread(found["whole_run_cpu_s"])],
    ]
    what = f"A catalog of {found['catalog_rows']:,} recordings, over TLS, {found['rounds']} rounds."
    return Table(head=["what", "seconds"], rows=rows, notes=(f"{what} {made(found)}",))


def ranges(found: Figures) -> Table:
    """One connection and ranges."""
    rows = [
        [name, spread(found[name]["transfer_s"]), spread(found[name]["wall_s"]), spread(found[name]["cpu_s"])]
        for name in (ONE, RANGED)
    ]
    rows.append(["times faster", spread(found["times_faster"]), spread(found["times_faster_whole_run"]), ""])
    rate = number(found["bytes_a_second"] / 1e6)
    what = f"One file of {size(found['file_bytes'])} over TLS, {rate} MB/s on each connection, {found['rounds']} rounds."
    return Table(
        head=["download", "s from the first request on", "whole run, s", "CPU s"], rows=rows, notes=(f"{what} {made(found)}",)
    )


def idle(found: Figures) -> Table:
    """Polls that find nothing new."""
    rows = []
    for name in ("sqlite", "postgresql"):
        for what, label in (("page", "a page of 250"), ("poll", "the whole poll")):
            if name in found:
                each = found[name][what]
                written = ", ".join(f"{table} {number(count)}" for table, count in each["rows_written"].items()) or "0"
                rows.append([f"{label}, {name}", spread(each["cpu_ms"]), number(each["wall_ms"]), written])
    return Table(
        head=["what", "CPU ms", "wall ms", "rows written"], rows=rows, notes=(f"{found['polls']} polls over TLS. {made(found)}",)
    )


def catalog(found: Figures) -> Table:
    """Pages by size, then CPU."""
    names = [name for name in ("sqlite", "postgresql") if name in found]
    sizes = [str(count) for count in found["rows"]]
    head = [
        "pages looked at",
        *(f"{name}, {int(count):,} rows" for name in names for count in sizes),
        *(f"{name}, growth" for name in names),
    ]
    rows = []
    for question in found[names[0]]["largest_to_smallest"]:
        pages = [number(found[name]["sizes"][count]["pages"][question]) for name in names for count in sizes]
        rows.append([question, *pages, *(number(found[name]["largest_to_smallest"][question]) for name in names)])
    blank = ["" for _ in names]
    every = [found[name]["sizes"][count] for name in names for count in sizes]
    rows += [[f"CPU ms: {what}", *(number(each["cpu_ms"][what]) for each in every), *blank] for what in every[0]["cpu_ms"]]
    rows.append(["status, seconds", *(number(each["status_wall_s"]) for each in every), *blank])
    rows.append(["`archiver status`, seconds", *(number(each["status_command_wall_s"]) for each in every), *blank])
    return Table(head=head, rows=rows, notes=(made(found),))


def crew(found: Figures) -> Table:
    """Several processes on one PostgreSQL."""
    names = ("recordings_a_second", "client_cpu_ms", "server_cpu_ms", "least_share")
    rows = [[count, *(number(found[count][name]) for name in names)] for count in ("1", "2", "4") if count in found]
    head = ["processes", "recordings a second", "CPU ms a recording, clients", "CPU ms a recording, server", "least share of one"]
    what = f"{found['recordings']:,} recordings claimed and completed in batches of {found['batch']}, no media. A share of 1 is an equal one."
    return Table(head=head, rows=rows, notes=(f"{what} {made(found)}",))


OF: dict[str, Callable[[Figures], Table]] = {
    "small": small,
    "boto3": small,
    "large": large,
    "memory": memory,
    "ranges": ranges,
    "catalog": catalog,
    "idle": idle,
    "start": start,
    "crew": crew,
}


def of(results: Figures, names: Iterable[str]) -> dict[str, Table]:
    """The tables of those workloads that were measured."""
    return {name: OF[name](results["workloads"][name]) for name in names if name in results["workloads"]}
