"""Twilio Video's recording, room and settings endpoints over a world: `/v1/…`, as providers.md 4 states them."""

from __future__ import annotations

import base64
import functools
import hmac
import re
from typing import TYPE_CHECKING, Any

from archiver.simulator import presign, twilio_json
from archiver.simulator.messages import Reply, Request, json_reply
from archiver.simulator.recordings import Phase, Recording, Room, Source
from archiver.simulator.twilio_lists import Listing, Pages, Refused, error, instant, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from archiver.simulator.behaviour import Behaviour
    from archiver.simulator.world import World

_STATUSES = ("processing", "completed", "deleted", "failed")
_ROOM_STATUSES = ("in-progress", "completed", "failed")
_SHORT_LIST, _LONG_LIST = 100, 1000
_DEFAULT_TTL, _LONGEST_TTL = 600, 3600


class TwilioApi:
    """Answers requests to Twilio Video; `media_url` is the origin that Media redirects to."""

    def __init__(self, world: World, behaviour: Behaviour, media_url: str) -> None:
        self._world = world
        self._behaviour = behaviour
        self._media_url = media_url
        self._pages = Pages(world.secret, world.newest_first)
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Reply]]] = [
            (method, re.compile(f"/v1{path}"), answer)
            for method, path, answer in (
                ("GET", "/Recordings", self._list_recordings),
                ("GET", "/Recordings/(RT[^/]+)", self._fetch),
                ("DELETE", "/Recordings/(RT[^/]+)", self._delete),
                ("GET", "/Recordings/(RT[^/]+)/Media", self._media),
                ("GET", "/Rooms", self._list_rooms),
                ("GET", "/Rooms/([^/]+)", self._fetch_room),
                ("GET", "/Rooms/([^/]+)/Recordings", self._list_room_recordings),
                ("GET", "/Rooms/(?P<room>[^/]+)/Recordings/(?P<sid>RT[^/]+)", self._fetch),
                ("DELETE", "/Rooms/(?P<room>[^/]+)/Recordings/(?P<sid>RT[^/]+)", self._delete),
                ("GET", "/Rooms/(?P<room>[^/]+)/Recordings/(?P<sid>RT[^/]+)/Media", self._media),
                ("GET", "/RecordingSettings/Default", self._settings),
            )
        ]

    def answer(self, request: Request) -> Reply:
        """The reply to one request; what no endpoint has is Twilio's 404."""
        if not self._authenticated(request.headers.get("authorization", "")):
            return error(401, 20003)
        for method, pattern, answer in self._routes:
            match = pattern.fullmatch(request.path)
            if match is not None and method == request.method:
                named = match.groupdict()
                try:
                    return answer(request, **named) if named else answer(request, *match.groups())
                except Refused as refused:
                    return refused.reply
        return self._not_found(request)

    def _authenticated(self, header: str) -> bool:
        known = self._world.credentials
        pairs = ((known.account_sid, known.auth_token), (known.api_key_sid, known.api_key_secret))
        accepted = ["Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in pairs]
        return any(hmac.compare_digest(header.encode(), expected.encode()) for expected in accepted)

    def _not_found(self, request: Request) -> Reply:
        return error(404, 20404, f"The requested resource {request.path} was not found")

    # Recordings.

    def _list_recordings(self, request: Request) -> Reply:
        status = one_of(request, "Status", _STATUSES)
        media_type = one_of(request, "MediaType", ("audio", "video", "data"))
        after, before = instant(request, "DateCreatedAfter"), instant(request, "DateCreatedBefore")
        source_sid, grouping = request.parameter("SourceSid"), tuple(request.parameters("GroupingSid"))

        def matches(recording: Recording, now: datetime) -> bool:
            created = recording.started_at.replace(microsecond=0)
            return (
                _has_status(recording, status, now)
                and media_type in {None, recording.medium}
                and (after is None or created >= after)
                and (before is None or created < before)
                and source_sid in {None, "MT" + recording.id[2:]}
                and all(sid in {recording.room_id, recording.participant_id} for sid in grouping)
            )

        key = (status, media_type, after, before, source_sid, grouping)
        return self._recordings_page(request, self._world.listed(Source.TWILIO_VIDEO, key, matches), _SHORT_LIST, in_room=False)

    def _list_room_recordings(self, request: Request, room: str) -> Reply:
        if self._room(room) is None:
            return self._not_found(request)
        status = one_of(request, "Status", _STATUSES)
        after, before = instant(request, "DateCreatedAfter"), instant(request, "DateCreatedBefore")
        source_sid = request.parameter("SourceSid")

        def matches(recording: Recording, now: datetime) -> bool:
            created = recording.started_at.replace(microsecond=0)
            in_window = (after is None or created >= after) and (before is None or created < before)
            return (
                recording.room_id == room
                and _has_status(recording, status, now)
                and in_window
                and source_sid in {None, "MT" + recording.id[2:]}
            )

        found = self._world.listed(Source.TWILIO_VIDEO, ("room", room, status, after, before, source_sid), matches)
        return self._recordings_page(request, found, _LONG_LIST, in_room=True)

    def _recordings_page(self, request: Request, found: Sequence[Recording], largest: int, *, in_room: bool) -> Reply:
        def show(item: Recording) -> dict[str, Any]:
            return twilio_json.recording(
                item, self._world.credentials.account_sid, request.base_url, self._world.now(), in_room=in_room
            )

        listing = Listing(
            key="recordings", items=found, place=lambda item: (item.started_at, item.id), show=show, largest=largest
        )
        return self._pages.answer(request, listing)

    def _find(self, sid: str, room: str | None) -> Recording | None:
        recording = self._world.find(Source.TWILIO_VIDEO, sid)
        return recording if recording is not None and room in {None, recording.room_id} else None

    def _fetch(self, request: Request, sid: str, room: str | None = None) -> Reply:
        recording = self._find(sid, room)
        if recording is None:
            return self._not_found(request)
        account = self._world.credentials.account_sid
        return json_reply(
            200, twilio_json.recording(recording, account, request.base_url, self._world.now(), in_room=room is not None)
        )

    def _delete(self, request: Request, sid: str, room: str | None = None) -> Reply:
        """204; what a second deletion answers is NOT FOUND, 404 here."""
        recording = self._find(sid, room)
        if recording is None or recording.phase(self._world.now()) is Phase.DELETED:
            return self._not_found(request)
        self._world.deletions.append(sid)
        self._world.delete(sid)
        return Reply(status=204)

    def _media(self, request: Request, sid: str, room: str | None = None) -> Reply:
        """302 to a presigned URL; 404 while there is no media, and for ever if the track was muted throughout."""
        ttl = request.parameter("Ttl") or str(_DEFAULT_TTL)
        if not re.fullmatch(r"\d{1,5}", ttl) or not 1 <= int(ttl) <= _LONGEST_TTL:
            raise Refused(20001, f"Ttl {ttl} is not between 1 and {_LONGEST_TTL}")
        recording, now = self._find(sid, room), self._world.now()
        if recording is None or not recording.has_media(now):
            return self._not_found(request)
        media = recording.media["media"]
        name = f'attachment; filename="{sid}.{media.extension}"'
        disposition = "inline" if request.parameter("ContentDisposition") == "inline" else name
        path = presign.media_path(recording.source, sid, "media", media.extension)
        base = self._behaviour.media_url or self._media_url
        url = presign.sign(self._world.secret, base, path, now=now, ttl=int(ttl), response_content_disposition=disposition)
        return json_reply(302, {"redirect_to": url}, Location=url)

    # Rooms and settings.

    def _room(self, sid: str) -> Room | None:
        room = self._world.rooms.get(sid)
        return room if room is not None and room.twilio and room.created_at <= self._world.now() else None

    def _fetch_room(self, request: Request, sid: str) -> Reply:
        room = self._room(sid)
        account = self._world.credentials.account_sid
        return (
            self._not_found(request)
            if room is None
            else json_reply(200, twilio_json.room(room, account, request.base_url, self._world.now()))
        )

    def _list_rooms(self, request: Request) -> Reply:
        """Only rooms in progress, unless a status is given (W-OAS)."""
        now, account = self._world.now(), self._world.credentials.account_sid
        status, name = one_of(request, "Status", _ROOM_STATUSES) or "in-progress", request.parameter("UniqueName")
        after, before = instant(request, "DateCreatedAfter", days=True), instant(request, "DateCreatedBefore", days=True)
        show = functools.partial(twilio_json.room, account_sid=account, base_url=request.base_url, now=now)
        rooms = [
            room
            for room in self._world.rooms.values()
            if room.twilio
            and room.created_at <= now
            and (after is None or room.created_at >= after)
            and (before is None or room.created_at < before)
            and name in {None, room.name}
            and status == ("completed" if room.ended_at is not None and room.ended_at <= now else "in-progress")
        ]
        rooms.sort(key=lambda room: (room.created_at, room.id), reverse=self._world.newest_first)
        listing = Listing(key="rooms", items=rooms, place=lambda room: (room.created_at, room.id), show=show, largest=_LONG_LIST)
        return self._pages.answer(request, listing)

    def _settings(self, request: Request) -> Reply:
        defaults: dict[str, Any] = {
            "friendly_name": None,
            "aws_credentials_sid": None,
            "aws_s3_url": None,
            "aws_storage_enabled": False,
        }
        defaults |= {
            "encryption_key_sid": None,
            "encryption_enabled": False,
            "url": f"{request.base_url}/v1/RecordingSettings/Default",
        }
        return json_reply(200, {"account_sid": self._world.credentials.account_sid, **defaults, **self._world.recording_settings})


def _has_status(recording: Recording, status: str | None, now: datetime) -> bool:
    """Deleted ones are hidden unless they are asked for (W-rec)."""
    shown = recording.provider_status(now)
    return shown == status if status is not None else recording.phase(now) is not Phase.DELETED
