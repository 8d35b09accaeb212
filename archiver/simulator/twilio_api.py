"""Twilio Video's recording, room and settings endpoints over a world: `/v1/…`, as providers.md 4 states them."""

from __future__ import annotations

import base64
import functools
import hmac
import re
from bisect import bisect_left
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from archiver.simulator import presign, twilio_json
from archiver.simulator.messages import Reply, Request, json_reply
from archiver.simulator.recordings import Phase, Recording, Room, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from archiver.simulator.behaviour import Behaviour
    from archiver.simulator.world import World

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_STATUSES = ("processing", "completed", "deleted", "failed")
_ROOM_STATUSES = ("in-progress", "completed", "failed")
_SHORT_LIST, _LONG_LIST, _DEFAULT_SIZE = 100, 1000, 50
_DEFAULT_TTL, _LONGEST_TTL = 600, 3600
_MESSAGES = {
    20003: "Authenticate",
    20007: "Page size too large",
    20429: "Too Many Requests",
    21481: "Invalid PageToken",
}


def error(status: int, code: int, message: str = "") -> Reply:
    """An error in Twilio's legacy shape, which its SDK reads first."""
    text = message or _MESSAGES[code]
    return json_reply(
        status, {"code": code, "message": text, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    )


class Refused(Exception):
    """A parameter that the API does not take."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.reply = error(400, code, message)


class TwilioApi:
    """Answers requests to Twilio Video; `media_url` is the origin that Media redirects to."""

    def __init__(self, world: World, behaviour: Behaviour, media_url: str) -> None:
        self._world = world
        self._behaviour = behaviour
        self._media_url = media_url
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
        return any([hmac.compare_digest(header.encode(), expected.encode()) for expected in accepted])

    def _not_found(self, request: Request) -> Reply:
        return error(404, 20404, f"The requested resource {request.path} was not found")

    # Recordings.

    def _list_recordings(self, request: Request) -> Reply:
        status = _one_of(request, "Status", _STATUSES)
        media_type = _one_of(request, "MediaType", ("audio", "video", "data"))
        after, before = _instant(request, "DateCreatedAfter"), _instant(request, "DateCreatedBefore")
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
        status = _one_of(request, "Status", _STATUSES)
        after, before = _instant(request, "DateCreatedAfter"), _instant(request, "DateCreatedBefore")
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

        return self._page(request, "recordings", found, lambda item: (item.started_at, item.id), show, largest)

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
        name = quote(f'attachment; filename="{sid}.{media.extension}"')
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
        status, name = _one_of(request, "Status", _ROOM_STATUSES) or "in-progress", request.parameter("UniqueName")
        after, before = _instant(request, "DateCreatedAfter", days=True), _instant(request, "DateCreatedBefore", days=True)
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
        return self._page(request, "rooms", rooms, lambda room: (room.created_at, room.id), show, _LONG_LIST)

    def _settings(self, request: Request) -> Reply:
        defaults = {"friendly_name": None, "aws_credentials_sid": None, "aws_s3_url": None, "aws_storage_enabled": False}
        defaults |= {
            "encryption_key_sid": None,
            "encryption_enabled": False,
            "url": f"{request.base_url}/v1/RecordingSettings/Default",
        }
        return json_reply(200, {"account_sid": self._world.credentials.account_sid, **defaults, **self._world.recording_settings})

    def _page(
        self,
        request: Request,
        key: str,
        found: Sequence[Any],
        place: Callable[[Any], tuple[datetime, str]],
        show: Callable[[Any], dict[str, Any]],
        largest: int,
    ) -> Reply:
        """A page of a list. The token names the last item given out, so nothing shifts; `Page` is the client's own note (W-OAS)."""
        size = request.parameter("PageSize") or str(_DEFAULT_SIZE)
        number = request.parameter("Page") or "0"
        if not re.fullmatch(r"\d{1,9}", size) or int(size) < 1 or not re.fullmatch(r"\d{1,9}", number):
            raise Refused(20001, f"PageSize {size} or Page {number} is no number")
        if int(size) > largest:
            raise Refused(20007, f"Page size too large, maximum is {largest}")
        token = request.parameter("PageToken")
        first = 0 if token is None else self._after(token, found, place)
        items = found[first : first + int(size)]
        more = first + len(items) < len(found)

        def url(page: int, page_token: str | None) -> str:
            kept = [(name, value) for name, value in request.query if name not in {"Page", "PageSize", "PageToken"}]
            own = [("PageSize", size), ("Page", str(page)), *([("PageToken", page_token)] if page_token else [])]
            return f"{request.base_url}{request.path}?{urlencode([*kept, *own])}"

        at = int(number) if token is not None else 0
        before = found[first - int(size) - 1] if first > int(size) else None
        previous = url(at - 1, None if before is None else self._token(place(before))) if first and at else None
        meta = {
            "page": at,
            "page_size": int(size),
            "first_page_url": url(0, None),
            "previous_page_url": previous,
            "url": url(at, token),
            "next_page_url": url(at + 1, self._token(place(items[-1]))) if more else None,
            "key": key,
        }
        return json_reply(200, {key: [show(item) for item in items], "meta": meta})

    def _token(self, place: tuple[datetime, str]) -> str:
        plain = f"{place[0].isoformat()} {place[1]}"
        return "PT" + base64.urlsafe_b64encode(self._seal(plain) + plain.encode()).decode().rstrip("=")

    def _seal(self, plain: str) -> bytes:
        return hmac.digest(self._world.secret, plain.encode(), "sha256")[:9]

    def _after(self, token: str, found: Sequence[Any], place: Callable[[Any], tuple[datetime, str]]) -> int:
        """Where in `found` the items behind a token begin; raises Refused for a token that the API did not make."""
        try:
            content = base64.urlsafe_b64decode(token.removeprefix("PT") + "=" * (-(len(token) - 2) % 4))
            plain = content[9:].decode()
        except ValueError as wrong:
            raise Refused(21481) from wrong
        if not token.startswith("PT") or not hmac.compare_digest(content[:9], self._seal(plain)):
            raise Refused(21481)
        instant, _, sid = plain.partition(" ")
        last = (datetime.fromisoformat(instant), sid)
        newest_first = self._world.newest_first
        return bisect_left(found, True, key=lambda item: place(item) < last if newest_first else place(item) > last)


def _one_of(request: Request, name: str, accepted: Iterable[str]) -> str | None:
    value = request.parameter(name)
    if value is not None and value not in accepted:
        raise Refused(20001, f"{name} {value!r} is none of {', '.join(accepted)}")
    return value


def _instant(request: Request, name: str, *, days: bool = False) -> datetime | None:
    """A date-time with its zone, as the specification asks, or for lists of rooms a date; raises Refused for anything else."""
    value = request.parameter(name)
    if value is None:
        return None
    if days and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        value += "T00:00:00Z"
    try:
        instant = datetime.fromisoformat(value) if _INSTANT.fullmatch(value) else None
    except ValueError:
        instant = None
    if instant is None:
        raise Refused(20001, f"{name} {value!r} is not an ISO 8601 date-time with time zone")
    return instant.astimezone(UTC)


def _has_status(recording: Recording, status: str | None, now: datetime) -> bool:
    """Deleted ones are hidden unless they are asked for (W-rec)."""
    shown = recording.provider_status(now)
    return shown == status if status is not None else recording.phase(now) is not Phase.DELETED
