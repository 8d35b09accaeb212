"""Renditions as a Parquet file, written by pyarrow: an extra of its own, because it is larger than all the rest together."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from archiver.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

WHOLE_NUMBERS = frozenset({"size", "attempts"})
INSTANTS = frozenset({"started_at", "ended_at", "first_seen_at", "archived_at", "verified_at", "retain_until"})
LISTS = frozenset({"holds"})
ROWS = 20_000  # of a row group: a reader takes them at once, and so does our memory


def load() -> tuple[Any, Any]:
    """The modules `pyarrow` and `pyarrow.parquet`; raises UsageError where they are not installed."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            f"--format parquet needs pyarrow, and it cannot be imported: {error}",
            hint="pip install 'recording-archiver[parquet]', or use --format csv",
        ) from None


def schema(arrow: Any, columns: Sequence[str]) -> Any:
    """Texts as texts, numbers as 64 bits, instants in microseconds of UTC, cases as a list."""

    def kind(name: str) -> Any:
        if name in WHOLE_NUMBERS:
            return arrow.int64()
        if name in INSTANTS:
            return arrow.timestamp("us", tz="UTC")
        return arrow.list_(arrow.string()) if name in LISTS else arrow.string()

    return arrow.schema([(name, kind(name)) for name in columns])


def value(name: str, given: Any) -> Any:
    """A field of `list --json` as the column takes it. What is no Unicode text (a lone surrogate) is kept escaped."""
    if name in INSTANTS:
        return datetime.fromisoformat(given) if given else None
    if isinstance(given, str):
        return given.encode("utf-8", "backslashreplace").decode()
    return given


@contextmanager
def writing(file: BinaryIO, columns: Sequence[str]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives what takes one rendition after the other; after an error what was written is a file that lacks the rest."""
    arrow, parquet = load()
    shape = schema(arrow, columns)
    rows: list[dict[str, Any]] = []
    with parquet.ParquetWriter(file, shape, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(arrow.Table.from_pylist(rows, schema=shape))
            rows.clear()

        def take(document: Mapping[str, Any]) -> None:
            rows.append({name: value(name, document[name]) for name in columns})
            if len(rows) == ROWS:
                flush()

        yield take
        if rows:
            flush()
