"""A settable clock, hand-made recordings and a client that sees the bare wire: what the simulator's tests stand on."""

import asyncio
import json
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from archiver.simulator.media_file import Kind, MediaFile
from archiver.simulator.recordings import Recording, Room, Source
from archiver.simulator.world import World

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
TELNYX_ID = "6b61621f-62e0-4aad-ab11-9fd19e272e73"
CALL_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
TWILIO_ID = "RT" + "a" * 32
ROOM_ID = "7b61621f-5fe4-4aad-ab11-9fd19e272e73"
ROOM_SID = "RM" + "b" * 32


class Clock:
    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now

    def advance(self, **times):
        self.now += timedelta(**times)


def telnyx_recording(recording_id=TELNYX_ID, *, ended_at=NOON - timedelta(hours=1), **changes):
    plain = Recording(
        source=Source.TELNYX_ROOMS,
        id=recording_id,
        started_at=ended_at - timedelta(minutes=61),
        ended_at=ended_at,
        completed_at=ended_at + timedelta(minutes=1),
        media={"media": MediaFile(kind=Kind.OGG_OPUS, seed=recording_id, size_hint=40_000)},
        room_id=ROOM_ID,
        session_id="8b61621f-5fe4-4aad-ab11-9fd19e272e73",
        participant_id="9b61621f-5fe4-4aad-ab11-9fd19e272e73",
    )
    return replace(plain, **changes)


def call_recording(recording_id=CALL_ID, *, renditions=("mp3", "wav"), **changes):
    kinds = {"mp3": Kind.MP3, "wav": Kind.WAV}
    media = {name: MediaFile(kind=kinds[name], seed=f"{recording_id}/{name}", size_hint=20_000) for name in renditions}
    return telnyx_recording(
        recording_id, source=Source.TELNYX_CALLS, media=media, codec="", room_id="175237942907135762", **changes
    )


def twilio_recording(recording_id=TWILIO_ID, *, encrypted=False, **changes):
    media = {"media": MediaFile(kind=Kind.MKA_OPUS, seed=recording_id, size_hint=30_000, encrypted=encrypted)}
    ids = {"room_id": ROOM_SID, "session_id": "", "participant_id": "PA" + "c" * 32}
    return telnyx_recording(recording_id, source=Source.TWILIO_VIDEO, media=media, name="camera", **{**ids, **changes})


def small_world(clock, *recordings, **settings):
    world = World(clock=clock, **settings)
    world.add(recordings or (telnyx_recording(), call_recording(), twilio_recording()))
    world.rooms[ROOM_ID] = Room(id=ROOM_ID, name="My Room", created_at=NOON - timedelta(days=2))
    world.rooms[ROOM_SID] = Room(id=ROOM_SID, name="Meeting", created_at=NOON - timedelta(days=2), ended_at=NOON, twilio=True)
    return world


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came over the wire, unprocessed; `ended` is how the connection did: fin, rst or open (silence)."""

    status: int
    version: str
    headers: list[tuple[str, str]]
    raw: bytes
    ended: str

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def body(self):
        """The body as its framing says."""
        if self.header("Transfer-Encoding") == "chunked":
            return b"".join(self.chunks())
        length = self.header("Content-Length")
        return self.raw if length is None else self.raw[: int(length)]

    @property
    def json(self):
        return json.loads(self.body)

    def chunks(self):
        rest = self.raw
        while rest:
            head, _, rest = rest.partition(b"\r\n")
            size = int(head, 16)
            if size == 0:
                return
            yield rest[:size]
            rest = rest[size + 2 :]


async def ask(url, *, method="GET", headers=None, body=b"", silence=20.0, after=0):
    """One request on a connection of its own, read to whatever end it has.

    `silence` is how many seconds without a byte are taken for the end, once `after` bytes of the body are there.
    """
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = {"Host": parts.netloc, "Connection": "close", "Content-Length": str(len(body)), **(headers or {})}
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    received, ended = b"", "fin"
    try:
        writer.write(head.encode() + body)
        while True:
            enough = not after or len(received.partition(b"\r\n\r\n")[2]) >= after
            async with asyncio.timeout(silence if enough else 20):
                block = await reader.read(2**16)
            if not block:
                break
            received += block
    except ConnectionResetError:
        ended = "rst"
    except TimeoutError:
        ended = "open"
    finally:
        writer.close()
    return _read(received, ended)


def _read(received, ended):
    head, _, raw = received.partition(b"\r\n\r\n")
    if not head:
        return Answer(status=0, version="", headers=[], raw=b"", ended=ended)
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Answer(status=int(status), version=version, headers=headers, raw=raw, ended=ended)


def telnyx_headers(simulation):
    return {"Authorization": f"Bearer {simulation.credentials.api_key}"}


def twilio_headers(simulation):
    known = simulation.credentials
    return {"Authorization": "Basic " + b64encode(f"{known.account_sid}:{known.auth_token}".encode()).decode()}


async def ask_telnyx(simulation, path, **options):
    headers = {**telnyx_headers(simulation), **options.pop("headers", {})}
    return await ask(simulation.telnyx_url + "/v2" + path, headers=headers, **options)


async def ask_twilio(simulation, path, **options):
    headers = {**twilio_headers(simulation), **options.pop("headers", {})}
    return await ask(simulation.twilio_url + "/v1" + path, headers=headers, **options)


async def media_url(simulation, source=Source.TELNYX_ROOMS):
    """A fresh presigned URL of the hand-made recording of a source."""
    if source is Source.TELNYX_ROOMS:
        return (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")).json["data"]["download_url"]
    if source is Source.TELNYX_CALLS:
        return (await ask_telnyx(simulation, f"/recordings/{CALL_ID}")).json["data"]["download_urls"]["mp3"]
    return (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}/Media")).json["redirect_to"]
