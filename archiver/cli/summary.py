"""What a sync or a backfill did: its document, its table and its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.cli import exits
from archiver.cli.tables import print_table, rounded_size, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.pipeline.tally import Tally

UNFINISHED = ("due", "transferring", "stored", "failed", "damaged")
COLUMNS = ("listed", "new", "stored", "verified", "failed", "lost")


def exit_code(tally: Tally, before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]) -> int:
    """The one exit code of a run, from what it did and what the catalog held before and after."""
    codes = []
    for name, mine in tally.sources.items():
        was, now = before.get(name, {}), after.get(name, {})
        if mine.failure is not None:
            codes.append(exits.of_error(mine.failure))
        if mine.damaged:
            codes.append(exits.INTEGRITY)
        if mine.problems or now.get("lost", 0) > was.get("lost", 0):
            codes.append(exits.GAP)
        if any(now.get(state, 0) for state in UNFINISHED):
            codes.append(exits.SOME_FAILED)
    return exits.worst(codes)


def document(schema: str, tally: Tally, *, seconds: float, code: int) -> dict[str, Any]:
    """`archiver.sync/1` and `archiver.backfill/1`; sizes in bytes, durations in seconds."""
    sources = [
        {
            "name": name,
            **{column: getattr(mine, column) for column in COLUMNS},
            "damaged": mine.damaged,
            "bytes": mine.bytes,
            "problems": [*mine.problems, *([str(mine.failure)] if mine.failure else [])],
        }
        for name, mine in tally.sources.items()
    ]
    return {"schema": schema, "sources": sources, "seconds": round(seconds, 3), "exit_code": code}


def show(tally: Tally, *, seconds: float) -> None:
    """The same for people, on stdout."""
    rows = [
        [name, *(f"{getattr(mine, column):,}" for column in COLUMNS), rounded_size(mine.bytes)]
        for name, mine in tally.sources.items()
    ]
    total = tally.total("bytes")
    if len(rows) > 1:
        rows.append(["all", *(f"{tally.total(column):,}" for column in COLUMNS), rounded_size(total)])
    print_table(["source", *COLUMNS, "size"], rows, right=(*COLUMNS, "size"))
    rate = f", {rounded_size(int(total / seconds))} a second" if seconds > 0 and total else ""
    say(f"{rounded_size(total)} in {seconds:.1f} s{rate}")


def problems(tally: Tally) -> list[str]:
    """What a person should read besides the table, one sentence each."""
    return [
        f"{name}: {text}"
        for name, mine in tally.sources.items()
        for text in [*mine.problems, *([str(mine.failure)] if mine.failure else [])]
    ]
