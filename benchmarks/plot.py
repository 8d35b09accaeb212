"""The figures as one picture, in plain SVG: bars beside the peers, and pages by size of the catalog."""

from __future__ import annotations

import itertools
import math
from html import escape
from typing import TYPE_CHECKING, Any

from benchmarks.copying import BOTO3
from benchmarks.rounds import PRODUCT
from benchmarks.tables import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Figures = Mapping[str, Any]

WIDTH, PANEL, GAP = 920, 440, 40
BAR, STEP, TOP = 20, 30, 56
OURS, OTHERS, INK, FAINT = "#1f6f5c", "#b9c3c9", "#1d2629", "#6b787e"
LINES = ("#1f6f5c", "#c2703d", "#4a6fa5")
QUESTIONS = ("claim of 50", "page, 250 unchanged", "status")
CHART = 150  # the height of a chart with lines


def picture(results: Figures) -> str:
    """An SVG document; raises KeyError where nothing that it shows was measured."""
    panels = [*_bars(results["workloads"]), *_lines(results["workloads"])]
    if not panels:
        raise KeyError("nothing to draw was measured")
    parts, y = [], 0
    for at in range(0, len(panels), 2):
        row = panels[at : at + 2]
        parts += [f'<g transform="translate({column * (PANEL + GAP)} {y})">{text}</g>' for column, (text, _) in enumerate(row)]
        y += max(height for _, height in row) + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-16 0 {WIDTH + 32} {y}" font-family="system-ui, sans-serif" font-size="13" '
        f'fill="{INK}">\n<rect x="-16" width="{WIDTH + 32}" height="{y}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _bars(found: Figures) -> list[tuple[str, int]]:
    panels = []
    if "small" in found:
        clients = dict(found["small"]["clients"])
        if "boto3" in found:
            clients[BOTO3] = found["boto3"]["clients"][BOTO3]
        what = f"{found['small']['objects']:,} small objects over TLS"
        panels.append(_panel(what, "CPU ms an object", _medians(clients, "cpu_ms_an_object")))
        panels.append(_panel(what, "seconds", _medians(clients, "wall_s", leave_out=BOTO3)))
    if "large" in found:
        for how, label in (("tls", " over TLS"), ("plain", ", plain")):
            panels.append(_panel(f"Large files{label}", "CPU s a GB", _medians(found["large"][how]["clients"], "cpu_s_a_gb")))
    return panels


def _medians(clients: Figures, unit: str, *, leave_out: str = "") -> list[tuple[str, float]]:
    """`leave_out` names a client that was measured on another number of objects."""
    return [(name, each[unit]["median"]) for name, each in clients.items() if name != leave_out]


def _text(x: float, y: float, words: str, **style: str) -> str:
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>'


def _title(what: str, unit: str) -> str:
    return _text(0, 24, what, font_weight="600", font_size="15") + _text(0, 42, unit, fill=FAINT)


def _panel(what: str, unit: str, values: Sequence[tuple[str, float]]) -> tuple[str, int]:
    """Bars, shortest first: shorter is better everywhere here."""
    names = 176
    scale = (PANEL - names - 60) / max(value for _, value in values)
    parts = [_title(what, unit)]
    for at, (name, value) in enumerate(sorted(values, key=lambda item: item[1])):
        y = TOP + at * STEP
        ours = name == PRODUCT
        parts.append(_text(names - 10, y + 15, name, text_anchor="end", font_weight="600" if ours else "400"))
        fill = OURS if ours else OTHERS
        parts.append(f'<rect x="{names}" y="{y}" width="{max(2.0, value * scale):.1f}" height="{BAR}" rx="2" fill="{fill}"/>')
        parts.append(_text(names + max(2.0, value * scale) + 8, y + 15, number(value), font_weight="600" if ours else "400"))
    return "".join(parts), TOP + len(values) * STEP


def _lines(found: Figures) -> list[tuple[str, int]]:
    catalog = found.get("catalog", {})
    labels = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    return [
        _chart(f"Pages looked at by size of the catalog, {labels[name]}", catalog[name]) for name in labels if name in catalog
    ]


def _chart(what: str, found: Figures) -> tuple[str, int]:
    """Both axes logarithmic: what does not grow with the catalog is level."""
    sizes = sorted(map(int, found["sizes"]))
    pages = {name: [found["sizes"][str(size)]["pages"][name] for size in sizes] for name in QUESTIONS}
    low = math.floor(math.log10(max(1, min(map(min, pages.values())))))
    high = max(low + 1, math.ceil(math.log10(max(map(max, pages.values())))))
    left, right = 56, PANEL - 190

    def place(size: float, count: float) -> tuple[float, float]:
        share = (math.log10(size) - math.log10(sizes[0])) / max(1, math.log10(sizes[-1]) - math.log10(sizes[0]))
        return left + share * (right - left), TOP + CHART * (1 - (math.log10(max(1, count)) - low) / (high - low))

    parts = [_title(what, "pages, recordings in the catalog")]
    for power in range(low, high + 1):
        y = place(sizes[0], 10**power)[1]
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e8ea"/>')
        parts.append(_text(left - 8, y + 4, f"{10**power:,}", text_anchor="end", fill=FAINT, font_size="11"))
    below = {"text_anchor": "middle", "fill": FAINT, "font_size": "11"}
    parts += [_text(place(size, 1)[0], TOP + CHART + 18, f"{size:,}", **below) for size in sizes]
    ends = _apart([place(sizes[-1], each[-1])[1] for each in pages.values()])
    for (name, each), colour, end in zip(pages.items(), LINES, ends, strict=True):
        points = [place(size, count) for size, count in zip(sizes, each, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(_text(right + 10, end + 4, f"{name}: {number(each[-1])}", fill=colour, font_size="12"))
    return "".join(parts), TOP + CHART + 28


def _apart(wanted: Sequence[float], least: float = 15) -> list[float]:
    """Heights of labels, moved down until none covers another."""
    found = list(wanted)
    order = sorted(range(len(found)), key=lambda at: found[at])
    for above, below in itertools.pairwise(order):
        found[below] = max(found[below], found[above] + least)
    return found
