"""Webhooks as providers would send them to a site, right ones and wrong ones."""

import hashlib
import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

from archiver.config import Secret
from archiver.simulator.webhooks import TelnyxSigner, twilio_signature
from archiver.web import Hooks

PUBLIC = "https://archive.example.org"
TELNYX, OTHER_ACCOUNT = TelnyxSigner(bytes(range(32))), TelnyxSigner(b"\x07" * 32)
TOKEN, SECOND_TOKEN = "12345", "another-account-s-token"
ROOM_RECORDING, CALL_RECORDING = "6b61621f-62e0-4aad-ab11-9fd19e272e73", "f0d7a1a2-0000-4aad-ab11-9fd19e272e73"
TWILIO_RECORDING = "RT" + "a" * 32
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the web part sees of a configured source."""

    name: str
    provider: str
    webhook_public_key: str = ""
    auth_token: Secret | None = None


SOURCES = (
    Source(name="rooms", provider="telnyx-rooms", webhook_public_key=TELNYX.public_key),
    Source(name="calls", provider="telnyx-calls", webhook_public_key=TELNYX.public_key),
    Source(name="video", provider="twilio-video", auth_token=Secret(TOKEN)),
    Source(name="video-two", provider="twilio-video", auth_token=Secret(SECOND_TOKEN)),
    Source(name="video-by-key", provider="twilio-video"),
)


@dataclass
class Notes:
    """Whom the site tells, and what it told."""

    taken: list = field(default_factory=list)

    def hooks(self, sources=SOURCES):
        return Hooks(sources=sources, note=lambda source, recording_id: self.taken.append((source, recording_id)))


def telnyx_body(event="video.room.recording.completed", *, event_id="an-event", **payload):
    return json.dumps({"data": {"event_type": event, "id": event_id, "payload": payload}}).encode()


ROOM_EVENT = telnyx_body(recording_id=ROOM_RECORDING)


def telnyx_headers(body, moment, *, signer=TELNYX, **changes):
    return {**JSON, **signer.headers(body, int(moment.timestamp())), **changes}


def twilio_form(event="recording-completed", sid=TWILIO_RECORDING, **more):
    return {"AccountSid": "AC" + "a" * 32, "RecordingSid": sid, "StatusCallbackEvent": event, **more}


def twilio_headers(fields, *, url=f"{PUBLIC}/webhooks/twilio", token=TOKEN):
    return {**FORM, "X-Twilio-Signature": twilio_signature(token, url, fields)}


async def post_telnyx(site, body=ROOM_EVENT, **changes):
    return await site.get("/webhooks/telnyx", method="POST", data=body, headers=telnyx_headers(body, site.clock.now(), **changes))


async def post_twilio(site, fields=None, *, query="", **how):
    fields = twilio_form() if fields is None else fields
    headers = twilio_headers(fields, **{"url": f"{PUBLIC}/webhooks/twilio{query}", **how})
    return await site.get(f"/webhooks/twilio{query}", method="POST", data=urlencode(fields).encode(), headers=headers)


async def post_twilio_json(site, body, *, sha256=None):
    query = f"?bodySHA256={hashlib.sha256(body).hexdigest() if sha256 is None else sha256}"
    signature = twilio_signature(TOKEN, f"{PUBLIC}/webhooks/twilio{query}", {})
    headers = {**JSON, "X-Twilio-Signature": signature}
    return await site.get(f"/webhooks/twilio{query}", method="POST", data=body, headers=headers)
