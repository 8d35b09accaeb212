"""Telnyx' resources as JSON, field by field as providers.md 2 and 3 list them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from archiver.simulator.recordings import Participant, Phase, Recording, Room, Session

if TYPE_CHECKING:
    from collections.abc import Mapping

# UNDOCUMENTED, from Telnyx' own code: which container a codec of a room recording comes in.
CONTAINERS = {"opus": "ogg", "vp8": "webm", "vp9": "webm", "h264": "mp4"}


def micros(instant: datetime | None) -> str | None:
    """As the video API writes an instant: `2021-04-16T10:24:55.962200Z`."""
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def millis(instant: datetime) -> str:
    """As the call API writes an instant: `2018-02-02T22:25:27.521Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def ended(recording: Recording, now: datetime) -> datetime | None:
    """The end that the API shows: none while it processes (an inference, providers.md 2.1)."""
    return recording.ended_at if recording.phase(now) is Phase.COMPLETED else None


def seconds(recording: Recording, now: datetime) -> int | None:
    """The duration that the API shows."""
    return None if ended(recording, now) is None else round((recording.ended_at - recording.started_at).total_seconds())


def room_recording(recording: Recording, now: datetime, url: str | None) -> dict[str, Any]:
    """A RoomRecording; `url` is where its media is, None while there is none."""
    done = ended(recording, now)
    return {
        "id": recording.id,
        "room_id": recording.room_id,
        "session_id": recording.session_id,
        "participant_id": recording.participant_id,
        "status": recording.provider_status(now),
        "type": recording.medium,
        "codec": recording.codec,
        "duration_secs": seconds(recording, now),
        "size_mb": None if done is None else round(recording.media["media"].size / 1_000_000, 2),
        "download_url": url,
        "created_at": micros(recording.started_at),
        "updated_at": micros(recording.completed_at if done else recording.started_at),
        "started_at": micros(recording.started_at),
        "ended_at": micros(done),
        "completed_at": micros(recording.completed_at if done else None),
        # The specification's own examples say room_session for a recording.
        "record_type": "room_recording" if recording.id[0] in "01234567" else "room_session",
        **recording.extra,
    }


def call_recording(recording: Recording, now: datetime, urls: Mapping[str, str]) -> dict[str, Any]:
    """A call recording; `session_id` of the value is the call's session, `participant_id` its leg, `room_id` its connection."""
    return {
        "call_control_id": f"v3:{recording.participant_id}",
        "call_leg_id": recording.participant_id,
        "call_session_id": recording.session_id,
        "channels": "dual",
        "conference_id": None,
        "connection_id": recording.room_id,
        "created_at": millis(recording.completed_at),
        "download_urls": dict(urls),
        "duration_millis": int((recording.ended_at - recording.started_at).total_seconds() * 1000),
        "from": recording.extra.get("from", "+15551234567"),
        "id": recording.id,
        "initiated_by": "StartCallRecordingAPI",
        "record_type": "recording",
        "recording_started_at": millis(recording.started_at),
        "recording_ended_at": millis(recording.ended_at),
        "source": "call",
        "status": recording.provider_status(now),
        "to": recording.extra.get("to", "+15557654321"),
        "updated_at": millis(recording.completed_at),
        **recording.extra,
    }


def room(value: Room, sessions: list[Session], now: datetime, *, include_sessions: bool) -> dict[str, Any]:
    """A Room."""
    active = next((session.id for session in sessions if now < session.ended_at), None)
    document = {
        "id": value.id,
        "unique_name": value.name,
        "max_participants": 10,
        "enable_recording": True,
        "active_session_id": active,
        "webhook_event_url": "",
        "webhook_event_failover_url": "",
        "webhook_timeout_secs": None,
        "created_at": micros(value.created_at),
        "updated_at": micros(value.created_at),
        "record_type": "room",
    }
    return {**document, "sessions": [session_json(session, [], now) for session in sessions]} if include_sessions else document


def session_json(value: Session, participants: list[Participant], now: datetime) -> dict[str, Any]:
    """A RoomSession."""
    active = now < value.ended_at
    return {
        "id": value.id,
        "room_id": value.room_id,
        "active": active,
        "created_at": micros(value.started_at),
        "updated_at": micros(value.started_at if active else value.ended_at),
        "ended_at": None if active else micros(value.ended_at),
        "participants": [participant(each, now) for each in participants],
        "record_type": "room_session",
    }


def participant(value: Participant, now: datetime) -> dict[str, Any]:
    """A RoomParticipant."""
    left = value.left_at if value.left_at <= now else None
    return {
        "id": value.id,
        "session_id": value.session_id,
        "context": value.context,
        "joined_at": micros(value.joined_at),
        "left_at": micros(left),
        "updated_at": micros(left or value.joined_at),
        "record_type": "room_participant",
    }
