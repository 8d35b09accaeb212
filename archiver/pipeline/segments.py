"""Segments of the history as bytes: how they are written, and everything that can be wrong with one that is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.domain.ledger import Header, Line, Piece, Problem, line
from archiver.pipeline.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEADER = {"segment": int, "first_seq": int, "last_seq": int, "count": int, "previous_sha256": str}


def render(piece: Piece) -> bytes:
    """The bytes of a segment: the same for the same piece, on every machine."""
    documents = [piece.header.document(), *(item.document() for item in piece.lines)]
    return b"".join(canonical(document) + b"\n" for document in documents)


@dataclass(slots=True)
class Opened:
    """A segment as its bytes tell it. `lines` holds what could be read, by the number of its line in the file."""

    header: Header | None = None
    lines: dict[int, Line] = field(default_factory=dict)
    problems: list[tuple[int | None, str]] = field(default_factory=list)


def opened(body: bytes) -> Opened:
    """Reads a segment and holds it to its own form: canonical lines, a header that fits them, numbers without a gap."""
    found = Opened()
    *rows, rest = body.split(b"\n")
    if rest:
        found.problems.append((len(rows) + 1, "the file does not end with a whole line"))
    for number, row in enumerate(rows, start=1):
        try:
            document = json.loads(row)
            canonically = canonical(document)
            if number == 1:
                found.header = _header(document)
            else:
                found.lines[number] = line(document)
        except (ValueError, RecursionError) as error:
            found.problems.append((number, f"cannot be read: {error}"))
            continue
        if canonically != row:
            found.problems.append((number, "not canonical JSON: it was not written by the sealer"))
    _consistent(found, len(rows) - 1)
    return found


def _header(document: Any) -> Header:
    if not isinstance(document, dict):
        raise ValueError("not the header of a segment")  # noqa: TRY004 -- what is wrong is the file, not the call
    for name, kind in _HEADER.items():
        if type(document.get(name)) is not kind:
            raise ValueError(f"not the header of a segment: {name} is {document.get(name)!r}")
    return Header(**{name: document[name] for name in _HEADER})


def _consistent(found: Opened, count: int) -> None:
    header = found.header
    if header is None:
        found.problems.append((1, "the segment has no header"))
        return
    if header.count != count or header.last_seq - header.first_seq + 1 != count:
        says = f"{header.count} lines, seq {header.first_seq} to {header.last_seq}"
        found.problems.append((1, f"the header says {says}; the file has {count} lines"))
    expected = header.first_seq
    for number, item in found.lines.items():
        if item.seq != expected:
            found.problems.append((number, f"seq {item.seq} stands where {expected} belongs"))
        expected = item.seq + 1


def differences(found: Opened, lines: Sequence[Line]) -> list[tuple[int | None, str]]:
    """Where the file and the catalog's lines of the same segment differ, by the line of the file."""
    there = {item.seq: item for item in lines}
    told: list[tuple[int | None, str]] = []
    for number, item in found.lines.items():
        if item.seq not in there:
            told.append((number, f"seq {item.seq} is in the archive and not in the catalog"))
        elif names := _unequal(item.document(), there[item.seq].document()):
            told.append((number, f"seq {item.seq}: the archive and the catalog differ in {', '.join(names)}"))
    missing = sorted(there.keys() - {item.seq for item in found.lines.values()})
    for run in _runs(missing):
        says = f"seq {run[0]}" + (f" to {run[-1]}" if len(run) > 1 else "")
        told.append((_place(found, run[0]), f"{says}: in the catalog and not in the archive"))
    return told


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _place(found: Opened, seq: int) -> int | None:
    """Where a line that is not in the file would stand."""
    header = found.header
    return seq - header.first_seq + 2 if header and header.first_seq <= seq <= header.last_seq else None


def _unequal(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in one if canonical(one[name]) != canonical(other[name])]


def placed(segment: int, problems: Sequence[tuple[int | None, str]]) -> list[Problem]:
    """The problems of one segment."""
    return [Problem(segment=segment, line=number, what=what) for number, what in problems]
