"""Webhooks as the providers send them, with their signatures; sending is left to the test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from archiver.simulator import telnyx_json
from archiver.simulator.pieces import number_from
from archiver.simulator.recordings import Source
from archiver.simulator.twilio_json import duration, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from archiver.simulator.recordings import Recording


class TelnyxSigner:
    """Telnyx' Ed25519 key for webhooks, from 32 bytes; the public half is what the portal shows."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> str:
        """Base64 of 32 bytes."""
        return base64.b64encode(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def headers(self, body: bytes, timestamp: int) -> dict[str, str]:
        """The headers that go with a body sent at `timestamp` (unix seconds): the signature is over `{timestamp}|{body}`."""
        signature = self._key.sign(f"{timestamp}|".encode() + body)
        return {"telnyx-signature-ed25519": base64.b64encode(signature).decode(), "telnyx-timestamp": str(timestamp)}


def telnyx_event(recording: Recording, now: datetime, *, download_url: str = "", attempt: int = 1) -> bytes:
    """`video.room.recording.completed` or `call.recording.saved` about a recording; another attempt has the same id."""
    if recording.source is Source.TELNYX_CALLS:
        event_type = "call.recording.saved"
        payload: dict[str, Any] = {
            "call_leg_id": recording.participant_id,
            "call_session_id": recording.session_id,
            "channels": "dual",
            "client_state": None,
            "connection_id": recording.room_id,
            "recording_started_at": telnyx_json.micros(recording.started_at),
            "recording_ended_at": telnyx_json.micros(recording.ended_at),
            "recording_urls": {rendition: download_url if rendition in recording.media else None for rendition in ("mp3", "wav")},
            "public_recording_urls": {},
        }
    else:
        event_type = "video.room.recording.completed"
        payload = {
            "session_id": recording.session_id,
            "room_id": recording.room_id,
            "participant_id": recording.participant_id,
            "recording_id": recording.id,
            "type": recording.medium,
            "size_mb": round(recording.media["media"].size / 1_000_000, 2),
            "download_url": download_url,
            "codec": recording.codec,
            "duration_secs": round((recording.ended_at - recording.started_at).total_seconds()),
        }
    event_id = str(uuid.UUID(int=number_from(f"{event_type} {recording.id}", size=16), version=4))
    data = {
        "record_type": "event",
        "event_type": event_type,
        "id": event_id,
        "occurred_at": telnyx_json.micros(now),
        "payload": payload,
    }
    return json.dumps({"data": data, "meta": {"attempt": attempt, "delivered_to": "http://127.0.0.1/webhooks/telnyx"}}).encode()


def twilio_signature(auth_token: str, url: str, parameters: Mapping[str, str | Sequence[str]]) -> str:
    """`X-Twilio-Signature`: HMAC-SHA1 over the full URL and every parameter, sorted by name, name and value run together."""
    signed = url
    for name in sorted(parameters):
        value = parameters[name]
        signed += "".join(name + each for each in ([value] if isinstance(value, str) else sorted(set(value))))
    return base64.b64encode(hmac.digest(auth_token.encode(), signed.encode(), hashlib.sha1)).decode()


def twilio_event(recording: Recording, account_sid: str, now: datetime, *, event: str = "recording-completed") -> dict[str, str]:
    """The form fields of a Video status callback about a recording."""
    fields = {
        "AccountSid": account_sid,
        "RecordingSid": recording.id,
        "Timestamp": stamp(now),
        "StatusCallbackEvent": event,
        "RoomSid": recording.room_id,
        "RoomType": "group",
        "ParticipantSid": recording.participant_id,
        "SourceSid": "MT" + recording.id[2:],
        "TrackName": recording.name,
        "RecordingUri": f"/v1/Recordings/{recording.id}",
        "Container": recording.media["media"].extension,
        "Codec": recording.codec,
        "Type": recording.medium,
        "OffsetFromTwilioVideoEpoch": "10",
    }
    if event == "recording-completed":
        size, media_uri = str(recording.media["media"].clear_size), f"/v1/Recordings/{recording.id}/Media"
        fields |= {"MediaUri": media_uri, "Duration": str(duration(recording)), "Size": size}
    return {**fields, "FailedOperation": "RecordingUpload"} if event == "recording-failed" else fields
