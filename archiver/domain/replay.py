"""What the lines of the history make of one recording: its renditions as the catalog had them, without asking anybody.

The counterpart of what writes lines (catalog/work.py, steps.py, fixity.py, retention.py, erasures.py). A line without a rendition
speaks of the whole recording. What only workers need (leases, attempts, uploads under way) is not told and not restored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.domain.ledger import moment
from archiver.domain.lifecycle import Event
from archiver.domain.recording import ProviderStatus, State
from archiver.domain.work import PRIORITY_LIVE, PRIORITY_RETRY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from archiver.domain.ledger import Line

_OBJECT: dict[str, Any] = {
    "key": "",
    "version_id": "",
    "size": None,
    "sha256": "",
    "token": "",
    "content_type": "",
    "proof": None,
    "metadata": None,
}
_KEPT: dict[str, Any] = {"retain_until": None, "lock_mode": "", "policy": "", "policy_fingerprint": ""}
_REFETCHED = ("key", "version_id", "size", "sha256", "token", "proof")
_TELLING = (Event.STORED, Event.VERIFIED, "retention_extended")  # events whose data are columns of the rendition
_TROUBLE = (Event.RETRY_SCHEDULED, Event.FAILED, Event.LOST, Event.UNAVAILABLE, Event.EXTERNAL, Event.DAMAGED)
KEPT = "the damaged object is kept beside it"  # reason of a line `repair_began`, where the archive still has that object
_BORN_ENDED = (State.LOST, State.UNAVAILABLE, State.EXTERNAL)  # discovered in a state that is an end, with a reason


@dataclass(slots=True)
class Rendition:
    """One rendition as its lines leave it: columns by name, and its earlier objects."""

    columns: dict[str, Any]
    superseded: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Replayed:
    """A recording as its lines leave it. `release` is "", intended or deleted; what is not told is None."""

    first_at: datetime
    last_at: datetime
    renditions: dict[str, Rendition] = field(default_factory=dict)
    status: ProviderStatus | None = None
    release: str = ""
    released_at: datetime | None = None
    erased: bool = False


def replay(lines: Iterable[Line]) -> Replayed | None:
    """Follows the lines of one recording in the order of their numbers; None where there are none."""
    found: Replayed | None = None
    for line in lines:
        if found is None:
            found = Replayed(first_at=line.at, last_at=line.at)
        found.last_at = line.at
        if line.rendition:
            known = found.renditions.get(line.rendition)
            if known is None:
                known = found.renditions[line.rendition] = Rendition(columns=_unseen(line.at))
            _step(known, line)
        _whole(found, line)
    return found


def _unseen(at: datetime) -> dict[str, Any]:
    times = dict.fromkeys(("archived_at", "verified_at", "checked_at", "lease_until"))
    said = {"state": State.WAITING.value, "error": "", "error_kind": "", "priority": PRIORITY_LIVE, "store_hold": False}
    return {**_OBJECT, **_KEPT, **times, **said, "changed_at": at, "due_at": at}


def _whole(found: Replayed, line: Line) -> None:
    """What a line says of the recording as a whole."""
    if line.event in (Event.LOST, Event.PROVIDER_DELETED):
        found.status = ProviderStatus.DELETED
    elif line.event == "delete_intent":
        found.release = "intended"
    elif line.event == "deleted_at_provider":
        found.status, found.release, found.released_at = ProviderStatus.DELETED, "deleted", line.at
    elif line.event == "erased":
        found.erased, found.status = True, ProviderStatus.DELETED
        for rendition in found.renditions.values():
            rendition.columns |= {"metadata": None, "error": "erased" if rendition.columns["error"] else ""}


def _step(rendition: Rendition, line: Line) -> None:
    columns, data = rendition.columns, line.data or {}
    if line.event == Event.STORED:
        _stored(rendition, line, data)
    elif line.event in _TELLING:
        columns |= _columns(data)
    elif line.event == "repair_began" and line.reason == KEPT:
        rendition.superseded.append(_was(columns, line.at, damaged=True))
    if not line.to_state or line.event == Event.PROVIDER_DELETED:  # which leaves the row as it is
        return
    columns |= {"state": line.to_state, "changed_at": line.at, "due_at": line.at}
    if line.event == Event.DISCOVERED:
        ended = line.to_state in _BORN_ENDED
        columns |= {"priority": int(data.get("priority", PRIORITY_LIVE)), "error": line.reason if ended else ""}
    elif line.event in _TROUBLE:
        columns |= {"error": line.reason, "error_kind": str(data.get("kind", ""))}
        columns["priority"] = max(columns["priority"], PRIORITY_RETRY)
    elif line.event != Event.CLAIMED:
        columns |= {"error": "", "error_kind": ""}
    _ended(rendition, line)


def _ended(rendition: Rendition, line: Line) -> None:
    columns = rendition.columns
    if line.event == Event.VERIFIED:
        columns |= {"verified_at": line.at, "checked_at": line.at}
    elif line.event == Event.RETRIED:
        columns["priority"] = PRIORITY_LIVE
    elif line.event == Event.REPAIRED:
        columns |= {name: _OBJECT[name] for name in _REFETCHED} | {"priority": PRIORITY_LIVE}
    elif line.event == Event.EXPIRED:
        rendition.superseded.clear()
        columns["store_hold"] = False


def _stored(rendition: Rendition, line: Line, data: Mapping[str, Any]) -> None:
    """A new object; one with a reason brought the bytes that are there already."""
    columns, before = rendition.columns, dict(rendition.columns)
    columns["archived_at"] = line.at
    if line.reason:
        columns |= _columns(data)
        return
    columns |= {**_OBJECT, "metadata": {}, "retain_until": None, "lock_mode": "", **_columns(data)}
    if before["key"] not in ("", columns["key"]) and before["sha256"]:
        rendition.superseded.append(_was(before, line.at, damaged=False))
    rendition.superseded = [item for item in rendition.superseded if item["key"] != columns["key"]]


def _was(columns: Mapping[str, Any], at: datetime, *, damaged: bool) -> dict[str, Any]:
    names = ("key", "version_id", "size", "sha256", "token", "archived_at")
    return {**{name: columns[name] for name in names}, "superseded_at": at, "damaged": damaged}


def _columns(data: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a line's data name; raises ValueError where an instant is none."""
    found = {name: data[name] for name in (*_OBJECT, *_KEPT) if data.get(name) is not None}
    if "retain_until" in found:
        found["retain_until"] = moment(str(found["retain_until"]))
    return found
