"""Tables between markers in pages, so that pages quote what was measured and nothing else.

A marker is `<!-- benchmarks: NAME -->` on a line of its own, and `<!-- end of benchmarks -->` ends what it brings. NAME is a
workload or `headline`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks import tables
from benchmarks.children import ROOT
from benchmarks.headline import headline

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULTS, PICTURE = ROOT / "docs" / "benchmarks.json", ROOT / "docs" / "benchmarks.svg"
PAGES = (ROOT / "README.md", ROOT / "docs" / "performance.md", ROOT / "docs" / "scaling.md")
NOT_YET = "Not measured yet."
_MARKED = re.compile(r"(<!-- benchmarks: ([\w-]+) -->\n)(.*?)(<!-- end of benchmarks -->)", re.DOTALL)


def quoted(text: str, results: Mapping[str, Any]) -> str:
    """A page with what stands between its markers made anew; raises KeyError for a marker that names no workload."""

    def filled(found: re.Match[str]) -> str:
        return f"{found[1]}\n{_content(found[2], results)}\n\n{found[4]}"

    return _MARKED.sub(filled, text)


def markers(text: str) -> list[str]:
    """The names of a page's markers."""
    return [found[2] for found in _MARKED.finditer(text)]


def _content(name: str, results: Mapping[str, Any]) -> str:
    if name == "headline":
        return headline(results).markdown() if results["workloads"] else NOT_YET
    if name not in tables.OF:
        raise KeyError(f"no workload is called {name!r}; there are headline, {', '.join(tables.OF)}")
    found = tables.of(results, [name])
    return found[name].markdown() if found else NOT_YET
