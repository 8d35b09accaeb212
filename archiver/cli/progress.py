"""How a run is going: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

import click

from archiver.cli.tables import rounded_size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from archiver.domain.windows import Window
    from archiver.domain.work import Outcome
    from archiver.pipeline.discover import Pass
    from archiver.pipeline.tally import Tally

EVERY = 5.0  # seconds between plain lines


class RunProgress:
    """Recordings, bytes, rate and what is left, as far as it is known; fed by passes and outcomes."""

    def __init__(self, tally: Tally, *, days: int = 0) -> None:
        self._tally = tally
        self._days = days
        self._days_done = 0
        self._began = self._told = time.monotonic()
        self._ended = 0
        self._bar: Progress | None = None
        self._task: TaskID

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 -- a twentieth of a start, for a bar that nobody may see
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[line]}"),
            )
            self._bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("archiving", total=None, line="")
            self._bar.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def polled(self, _source: str, _seen: Pass) -> None:
        """A source was listed."""
        self._show()

    def day_done(self, _source: str, _day: Window, _seen: Pass) -> None:
        """A day of a backfill was listed."""
        self._days_done += 1
        self._show()

    def outcome(self, outcome: Outcome) -> None:
        """An attempt ended and is saved."""
        self._tally.ended(outcome)
        self._ended += 1
        self._show()

    def line(self) -> str:
        """The state of the run in one line."""
        seconds = max(time.monotonic() - self._began, 0.001)
        stored, size = self._tally.total("stored"), self._tally.total("bytes")
        parts = [
            f"{self._tally.total('listed'):,} listed",
            f"{stored:,} stored",
            rounded_size(size),
            f"{rounded_size(int(size / seconds))}/s",
        ]
        if self._days:
            parts.insert(0, f"day {self._days_done} of {self._days}")
        left = self._left(seconds)
        return ", ".join([*parts, *([f"{left} left"] if left else [])])

    def _share(self) -> float | None:
        """How much of what is known is done, 0 to 1."""
        new = self._tally.total("new")
        moved = self._tally.total("verified") / new if new else 1.0
        return moved * self._days_done / self._days if self._days else moved if new else None

    def _left(self, seconds: float) -> str:
        share = self._share()
        if not share or share >= 1 or seconds < EVERY:
            return ""
        left = int(seconds * (1 - share) / share)
        return f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"

    def _show(self) -> None:
        if self._bar is not None:
            share = self._share()
            self._bar.update(self._task, total=1.0 if share is not None else None, completed=min(share or 0, 1), line=self.line())
        elif time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            click.echo(self.line(), err=True)
