"""Clients in turn, round after round, and what their figures come to: medians, spread, the median of the rounds' ratios."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.children import Cost
    from benchmarks.stage import Stage

PRODUCT = "archiver"
START = "archiver, empty source"  # measured beside the others, copies nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One client's part of one round; `servers` are the CPU seconds that source and sink took meanwhile, `connections` those to
    the source's media.
    """

    cost: Cost
    servers: float
    sent: Sequence[str]
    connections: int = 0


def alternate(
    stage: Stage, clients: Mapping[str, Callable[[Stage, Path], Cost]], wanted: int, *, label: str = ""
) -> dict[str, list[Turn]]:
    """Each client once a round, forwards and backwards in turn; what it stored is compared with the source each time."""
    turns: dict[str, list[Turn]] = {name: [] for name in clients}
    for number in range(wanted):
        order = list(clients) if number % 2 == 0 else list(reversed(clients))
        for name in order:
            folder = stage.folder / f"{name.translate(_PLAIN)}-{number}"
            folder.mkdir()
            stage.forget()
            before = stage.servers_cpu()
            cost = clients[name](stage, folder)
            servers = stage.servers_cpu() - before
            sent = [] if name == START else stage.check()
            shutil.rmtree(folder)
            connections = stage.source("_seen")["connections"]
            turns[name].append(Turn(cost=cost, servers=servers, sent=sent, connections=connections))
            print(f"  {label}round {number + 1}: {name}: {cost.cpu:.2f} s CPU, {cost.wall:.2f} s", flush=True)
    return turns


_PLAIN = str.maketrans({" ": "-", ":": "", ",": "", "+": "-"})


def figure(values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """A median with what lies round it; every round's value with it."""
    rounded = [round(value, digits) for value in values]
    return {"median": round(statistics.median(values), digits), "least": min(rounded), "most": max(rounded), "rounds": rounded}


def told(turns: Mapping[str, Sequence[Turn]], *, per: float, unit: str) -> dict[str, Any]:
    """Each client's figures, `per` of them being one `unit` (`cpu_ms_an_object`, `cpu_s_a_gb`), and beside the product's."""
    ours = turns[PRODUCT]
    clients: dict[str, Any] = {}
    for name, each in turns.items():
        if name == START:
            continue
        clients[name] = {
            unit: figure([turn.cost.cpu / per for turn in each]),
            "cpu_s": figure([turn.cost.cpu for turn in each]),
            "wall_s": figure([turn.cost.wall for turn in each]),
            "servers_cpu_s": figure([turn.servers for turn in each]),
            "peak_rss_mib": round(max(turn.cost.rss for turn in each) / 2**20, 1),
            "checksums_sent": list(each[-1].sent),
            "source_connections": each[-1].connections,
        }
        if name != PRODUCT:
            pairs = list(zip(each, ours, strict=True))
            clients[name]["cpu_times_the_product"] = figure([peer.cost.cpu / mine.cost.cpu for peer, mine in pairs])
            clients[name]["wall_times_the_product"] = figure([peer.cost.wall / mine.cost.wall for peer, mine in pairs])
    return clients


def beyond_start(turns: Mapping[str, Sequence[Turn]], *, per: float) -> dict[str, Any]:
    """The product's start-up apart, and what is left of its CPU in units of `per`, round by round."""
    pairs = zip(turns[PRODUCT], turns[START], strict=True)
    return {
        "start_up_cpu_s": figure([turn.cost.cpu for turn in turns[START]]),
        "start_up_wall_s": figure([turn.cost.wall for turn in turns[START]]),
        "beyond_start_up": figure([(whole.cost.cpu - start.cost.cpu) / per for whole, start in pairs]),
    }
