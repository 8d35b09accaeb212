"""What a webhook says, as far as it is of use here: which recording, or which kind of source, is worth asking about."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TELNYX = {
    "video.room.recording.completed": "telnyx-rooms",
    "call.recording.saved": "telnyx-calls",
    "conference.recording.saved": "telnyx-calls",
}
_TWILIO = frozenset({"recording-started", "recording-completed", "recording-failed"})
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IDS = {
    "telnyx-rooms": _UUID,
    "telnyx-calls": re.compile(r"[A-Za-z0-9-]{1,64}"),
    "twilio-video": re.compile(r"[Rr][Tt][0-9a-fA-F]{32}"),
}
_LONGEST_EVENT_ID = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event. `provider` is empty for one of no use; an empty `recording_id` is anything new at that provider.

    `event_id` is the same for every attempt to deliver it, empty where the provider gives none.
    """

    about: str
    provider: str = ""
    recording_id: str = ""
    event_id: str = ""


def of_telnyx(body: bytes) -> Told:
    """An event as Telnyx sends it; whatever has another shape is of no use."""
    data = _object(_json(body).get("data"))
    about, event_id = _text(data.get("event_type")), _text(data.get("id"))
    provider = _TELNYX.get(about, "")
    given = _object(data.get("payload")).get("recording_id")
    named = _canonical(provider, given) if given is not None else ""
    if provider == "telnyx-rooms" and not named:  # calls may come without an id (providers.md, 7.1), rooms never do
        provider = ""
    return Told(about=about, provider=provider, recording_id=named, event_id=event_id[:_LONGEST_EVENT_ID])


def of_twilio(fields: Mapping[str, Any]) -> Told:
    """A status callback of a room as Twilio sends it, or anything else that is of no use."""
    about = _text(fields.get("StatusCallbackEvent"))
    named = _canonical("twilio-video", fields.get("RecordingSid")) if about in _TWILIO else ""
    return Told(about=about, provider="twilio-video" if named else "", recording_id=named)


def of_twilio_json(body: bytes) -> Told:
    """The same for a body in JSON."""
    return of_twilio(_json(body))


def _canonical(provider: str, given: object) -> str:
    """An id as the catalog spells it, "" for what is none."""
    pattern = _IDS.get(provider)
    if pattern is None or not isinstance(given, str) or not pattern.fullmatch(given):
        return ""
    if provider == "twilio-video":
        return f"RT{given[2:].lower()}"
    return given.lower() if _UUID.fullmatch(given) else given


def _json(body: bytes) -> dict[str, Any]:
    try:
        return _object(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
