"""A second witness of what took place: sessions and rooms, which exist whether or not anything was recorded in them.

A list of recordings cannot tell of a recording that should have been made and was not. Telnyx lists sessions by their end, and a
room says whether recording was on (providers.md 2.4); Twilio lists rooms by their creation. What took place and has no recording
becomes a question in an attestation, not a gap: nobody may have spoken, or recording was off for a reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ContractBroken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from archiver.domain.recording import Room
    from archiver.providers.http import Api

SESSIONS = "/v2/room_sessions"
ROOMS = "/v1/Rooms"
PAGE_SIZE = 250
TWILIO_PAGE_SIZE = 100
MOST_PAGES = 1_000


async def telnyx_sessions(api: Api, source: str, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
    """Sessions that ended in [since, until), as (session_id, room_id, ended_at); raises ProviderError.

    The filter takes whole dates of an undocumented zone, so the instants decide.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for number in range(1, MOST_PAGES + 1):
        asked = [
            ("filter[date_ended_at][gte]", since.date().isoformat()),
            ("filter[date_ended_at][lte]", until.date().isoformat()),
            ("page[number]", str(number)),
            ("page[size]", str(PAGE_SIZE)),
        ]
        payload = await api.get(SESSIONS, asked)
        rows, pages = _page(payload, source)
        for row in rows:
            ended = str(row.get("ended_at") or "")
            if since.isoformat()[:19] <= ended[:19] < until.isoformat()[:19]:
                found[str(row.get("id"))] = {
                    "session_id": str(row.get("id")),
                    "room_id": str(row.get("room_id")),
                    "ended_at": ended,
                }
        if number >= pages:
            return list(found.values())
    raise ContractBroken(f"{source}: more than {MOST_PAGES} pages of sessions")


def _page(payload: Any, source: str) -> tuple[Sequence[Mapping[str, Any]], int]:
    rows = payload.get("data") if isinstance(payload, dict) else None
    meta = payload.get("meta") if isinstance(payload, dict) else None
    pages = meta.get("total_pages") if isinstance(meta, dict) else None
    if not isinstance(rows, list) or type(pages) is not int or any(not isinstance(row, dict) for row in rows):
        raise ContractBroken(f"{source}: the list of sessions has no list in data or no total_pages in meta")
    return rows, pages


def recorded(room: Room | None) -> bool:
    """Whether a Telnyx room had recording on; a room that is gone cannot say so and counts as one that had."""
    return room is None or room.raw.get("enable_recording") is not False


def room_questions(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Twilio rooms as sightings; a room whose recording was off at its creation may have been recorded by rule, so all count."""
    return [
        {
            "question": "a room was held, and no recording of it is listed",
            "room_id": str(row.get("sid")),
            "created_at": str(row.get("date_created")),
            "recording_on": row.get("record_participants_on_connect"),
        }
        for row in rows
    ]
