"""Twilio Video's resources as JSON, field by field as providers.md 4 lists them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from archiver.simulator.recordings import Phase, Recording, Room


def stamp(instant: datetime) -> str:
    """As Twilio writes an instant: `2015-07-30T20:00:00Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def recording(value: Recording, account_sid: str, base_url: str, now: datetime, *, in_room: bool) -> dict[str, Any]:
    """A Recording, or a RoomRecording (`in_room`): the one has a status callback, the other a room_sid."""
    phase = value.phase(now)
    ended = phase not in {Phase.PROCESSING, Phase.ABSENT}
    path = f"/v1/Rooms/{value.room_id}/Recordings/{value.id}" if in_room else f"/v1/Recordings/{value.id}"
    container = value.media["media"].extension
    other = {"room_sid": value.room_id} if in_room else {"status_callback": None, "status_callback_method": "POST"}
    return {
        "account_sid": account_sid,
        "status": value.provider_status(now),
        "date_created": stamp(value.started_at),
        "sid": value.id,
        "source_sid": "MT" + value.id[2:],
        "size": value.media["media"].clear_size if ended and not value.muted else 0,
        "type": value.medium,
        "duration": duration(value) if ended else 0,
        "container_format": container,
        "codec": value.codec,
        "track_name": value.name,
        "offset": 10,
        "grouping_sids": {"room_sid": value.room_id, "participant_sid": value.participant_id},
        "media_external_location": value.external if ended else None,
        "url": f"{base_url}{path}",
        "links": {"media": f"{base_url}{path}/Media"},
        **other,
        **value.extra,
    }


def duration(value: Recording) -> int:
    """Seconds, rounded; less than one is one."""
    return max(1, round((value.ended_at - value.started_at).total_seconds()))


def room(value: Room, account_sid: str, base_url: str, now: datetime) -> dict[str, Any]:
    """A Room."""
    ended_at = value.ended_at if value.ended_at is not None and value.ended_at <= now else None
    url = f"{base_url}/v1/Rooms/{value.id}"
    return {
        "account_sid": account_sid,
        "sid": value.id,
        "unique_name": value.name,
        "status": "in-progress" if ended_at is None else "completed",
        "type": "group",
        "date_created": stamp(value.created_at),
        "date_updated": stamp(ended_at or value.created_at),
        "end_time": None if ended_at is None else stamp(ended_at),
        "duration": None if ended_at is None else round((ended_at - value.created_at).total_seconds()),
        "enable_turn": True,
        "empty_room_timeout": 5,
        "unused_room_timeout": 5,
        "large_room": False,
        "audio_only": False,
        "max_participants": 50,
        "max_participant_duration": 14400,
        "max_concurrent_published_tracks": 0,
        "record_participants_on_connect": True,
        "video_codecs": ["VP8", "H264"],
        "media_region": "us1",
        "status_callback": None,
        "status_callback_method": "POST",
        "url": url,
        "links": {name: f"{url}/{name.title()}" for name in ("recordings", "participants")},
    }
