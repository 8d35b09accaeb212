"""The document of one recording as what its page shows: facts with titles, in the order in which people ask for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.web import measures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A title with a text or an instant; `mono` for what is compared letter by letter."""

    title: str
    text: str = ""
    moment: datetime | None = None
    mono: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One rendition."""

    rendition: str
    state: str
    error: str
    facts: Sequence[Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the history. `seq` is its number in the sealed ledger, None until then."""

    seq: int | None
    at: datetime
    event: str
    rendition: str
    from_state: str
    to_state: str
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRecording:
    """Everything the page shows."""

    source: str
    recording_id: str
    facts: Sequence[Fact]
    files: Sequence[File]
    history: Sequence[Event]
    raw: str


def one_recording(shown: Mapping[str, Any]) -> OneRecording:
    """From `archiver.show/1`."""
    return OneRecording(
        source=shown["source"],
        recording_id=shown["recording_id"],
        facts=_present(_about(shown)),
        files=[_file(item) for item in shown["renditions"]],
        history=[_event(line) for line in shown["history"]],
        raw=json.dumps(shown["raw"], indent=2, ensure_ascii=False, sort_keys=True),
    )


def _about(it: Mapping[str, Any]) -> list[Fact]:
    return [
        Fact(title="Provider", text=it["provider"]),
        Fact(title="Provider's status", text=_with(it["provider_status"], it["provider_status_raw"])),
        Fact(title="Started", moment=measures.parsed(it["started_at"])),
        Fact(title="Ended", moment=measures.parsed(it["ended_at"])),
        Fact(title="Length", text="" if it["duration"] is None else measures.length(it["duration"])),
        Fact(title="Kind", text=" · ".join(part for part in (it["media_type"], it["codec"], it["container"]) if part)),
        Fact(title="Size, says the provider", text=_bytes(it["listed_size"])),
        Fact(title="Room", text=_with(it["room"]["name"], it["room"]["id"])),
        Fact(title="Participant", text=_with(it["participant"]["name"], it["participant"]["id"])),
        Fact(title="Session", text=it["session_id"]),
        Fact(title="Lies at", text=it["external_url"]),
        Fact(title="First seen", moment=measures.parsed(it["first_seen_at"])),
        Fact(title="Gone at the provider since", moment=measures.parsed(it["gone_at"])),
        Fact(title="Odd about it", text="; ".join(it["flags"])),
    ]


def _file(item: Mapping[str, Any]) -> File:
    old = [Fact(title="Replaced object", text=f"{other['key']} {other['sha256']}", mono=True) for other in item["superseded"]]
    facts = [
        Fact(title="Archived", moment=measures.parsed(item["archived_at"])),
        Fact(title="Verified", moment=measures.parsed(item["verified_at"])),
        Fact(title="Kept until", moment=measures.parsed(item["retain_until"])),
        Fact(title="Lock", text=item["lock_mode"]),
        Fact(title="Holds", text=", ".join(str(hold) for hold in item["holds"])),
        Fact(title="Size", text=_bytes(item["size"])),
        Fact(title="Content type", text=item["content_type"]),
        Fact(title="Failed attempts", text=str(item["attempts"] or "")),
        Fact(title="Due", moment=measures.parsed(item["due_at"]) if item["state"] == "due" else None),
        Fact(title="Key", text=item["key"], mono=True),
        Fact(title="Version", text=item["version_id"], mono=True),
        Fact(title="SHA-256", text=item["sha256"], mono=True),
        *old,
    ]
    return File(rendition=item["rendition"], state=item["state"], error=item["error"], facts=_present(facts))


def _event(line: Mapping[str, Any]) -> Event:
    return Event(
        seq=line["seq"],
        at=_moment(line["at"]),
        event=line["event"],
        rendition=line["rendition"],
        from_state=line["from"],
        to_state=line["to"],
        reason=line["reason"],
        actor=line["actor"],
    )


def _moment(text: str) -> datetime:
    moment = measures.parsed(text)
    if moment is None:
        raise ValueError("a line of the history has no instant")
    return moment


def _present(facts: Sequence[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.text or fact.moment]


def _with(text: str, behind: str) -> str:
    """`name (id)`, or whichever there is."""
    return f"{text} ({behind})" if text and behind and text != behind else text or behind


def _bytes(size: int | None) -> str:
    return "" if size is None else f"{measures.size(size)} ({measures.number(size)} bytes)" if size >= 1024 else f"{size} bytes"
