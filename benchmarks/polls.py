"""Polls that find nothing new, in a process of their own: CPU of each, and every row they write.

    python -m benchmarks.polls CONFIGURATION SOURCE POLLS

The source's recordings are in the catalog already. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.app import open_app
from archiver.config import load
from archiver.domain import windows
from archiver.telemetry import configure_logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from archiver.app import App

_WRITES = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", re.IGNORECASE)
WARM = 3  # polls that nobody counts


class Written:
    """Rows that statements changed, by table, as the database said of each."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.statements = 0
        sa.event.listen(sa.Engine, "after_cursor_execute", self._ran)

    def _ran(self, _conn: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        self.statements += 1
        if (match := _WRITES.match(statement)) is not None and cursor.rowcount > 0:
            self.rows[match[2]] += cursor.rowcount

    def clear(self) -> None:
        """Forgets what was counted."""
        self.rows.clear()
        self.statements = 0


async def repeated(act: Callable[[], Awaitable[Any]], wanted: int, written: Written) -> dict[str, Any]:
    """Does something a few times uncounted, then `wanted` times; each in turn, as a daemon does."""
    for _ in range(WARM):
        await act()
    written.clear()
    cpu, wall = [], []
    for _ in range(wanted):
        began, before = time.perf_counter(), time.process_time()
        await act()
        cpu.append(1000 * (time.process_time() - before))
        wall.append(1000 * (time.perf_counter() - began))
    return {
        "cpu_ms": {"median": round(median(cpu), 3), "least": round(min(cpu), 3), "most": round(max(cpu), 3)},
        "wall_ms": round(median(wall), 3),
        "statements": round(written.statements / wanted, 2),
        "rows_written": {
            name: rows // wanted if rows % wanted == 0 else round(rows / wanted, 2) for name, rows in sorted(written.rows.items())
        },
    }


async def page(app: App, source: str) -> int:
    """The first page of what ended in the window a poll looks at: asked for, read, and compared with the catalog."""
    provider = app.providers[source]
    now = app.clock.now()
    window = windows.live_window(now=now, watermark=now, lookback=app.source(source).lookback)
    listing = next(item for item in provider.listings if item.windowed)
    async for found in provider.pages(listing, window):
        await app.catalog.add_page(source, provider.kind, found.recordings, rejected=found.rejected)
        return len(found.recordings)
    return 0


async def measured(path: Path, source: str, wanted: int) -> dict[str, Any]:
    """The page alone, and the whole poll round it: every list, twice where it has to be, and what is noted of it."""
    written = Written()
    settings = load(path, os.environ, {})
    async with open_app(settings, command="sync", only=[source]) as app:
        listed = await page(app, source)
        one = await repeated(lambda: page(app, source), wanted, written)
        whole = await repeated(app.discovery(source).poll, wanted, written)
    return {"items": listed, "page": one, "poll": whole}


def main(words: Sequence[str]) -> None:
    """Prints the figures."""
    path, source, wanted = words
    configure_logs("json")
    sys.stdout.write(json.dumps(asyncio.run(measured(Path(path), source, int(wanted)))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
