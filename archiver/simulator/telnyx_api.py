"""Telnyx' recording, room, session and participant endpoints over a world: `/v2/…`, as providers.md 2 and 3 state them."""

from __future__ import annotations

import functools
import hmac
import json
import re
from typing import TYPE_CHECKING, Any

from archiver.simulator import presign, telnyx_json, telnyx_lists
from archiver.simulator.messages import Reply, Request, json_reply
from archiver.simulator.recordings import Recording, Source
from archiver.simulator.telnyx_lists import Filter, Refused, at_instant, at_least, flag, identity, on_date, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from archiver.simulator.behaviour import Behaviour
    from archiver.simulator.recordings import Participant, Session
    from archiver.simulator.world import World

_ROOM_RECORDINGS: Mapping[str, Filter] = {
    "date_ended_at": on_date(telnyx_json.ended),
    "date_started_at": on_date(lambda item, _: item.started_at),
    "room_id": identity(lambda item, _: item.room_id),
    "participant_id": identity(lambda item, _: item.participant_id),
    "session_id": identity(lambda item, _: item.session_id),
    "status": text(lambda item, now: item.provider_status(now)),
    "type": text(lambda item, _: item.medium),
    "duration_secs": at_least(telnyx_json.seconds),
}
_CALLS: Mapping[str, Filter] = {
    "created_at": at_instant(lambda item, _: item.completed_at),
    "start_time": at_instant(lambda item, _: item.started_at),
    "end_time": at_instant(lambda item, _: item.ended_at),
    "call_leg_id": identity(lambda item, _: item.participant_id),
    "call_session_id": identity(lambda item, _: item.session_id),
    "call_control_id": text(lambda item, _: f"v3:{item.participant_id}"),
    "connection_id": text(lambda item, _: item.room_id),
    "conference_id": text(lambda item, _: item.extra.get("conference_id")),
    "conference_region": text(lambda item, _: item.extra.get("conference_region")),
    "sip_call_id": text(lambda item, _: item.extra.get("sip_call_id")),
    "from": text(lambda item, _: item.extra.get("from", "+15551234567")),
    "to": text(lambda item, _: item.extra.get("to", "+15557654321")),
}
_ROOMS: Mapping[str, Filter] = {
    "date_created_at": on_date(lambda item, _: item.created_at),
    "date_updated_at": on_date(lambda item, _: item.created_at),
    "unique_name": text(lambda item, _: item.name),
}
_SESSIONS: Mapping[str, Filter] = {
    "date_created_at": on_date(lambda item, _: item.started_at),
    "date_updated_at": on_date(lambda item, now: item.ended_at if item.ended_at <= now else item.started_at),
    "date_ended_at": on_date(lambda item, now: item.ended_at if item.ended_at <= now else None),
    "active": flag(lambda item, now: now < item.ended_at),
    "room_id": identity(lambda item, _: item.room_id),
}
_PARTICIPANTS: Mapping[str, Filter] = {
    "date_joined_at": on_date(lambda item, _: item.joined_at),
    "date_updated_at": on_date(lambda item, now: item.left_at if item.left_at <= now else item.joined_at),
    "date_left_at": on_date(lambda item, now: item.left_at if item.left_at <= now else None),
    "context": text(lambda item, _: item.context),
    "session_id": identity(lambda item, _: item.session_id),
}
_TITLES = {401: ("10009", "Authentication failed"), 404: ("10005", "Resource not found"), 429: ("10011", "Too many requests")}
_DETAILS = {
    401: "Could not understand the provided credentials.",
    404: "The requested resource or URL could not be found.",
    429: "You have exceeded the maximum number of allowed requests.",
}


class TelnyxApi:
    """Answers requests to Telnyx; `media_url` is the origin that download URLs point to."""

    def __init__(self, world: World, behaviour: Behaviour, media_url: str) -> None:
        self._world = world
        self._behaviour = behaviour
        self._media_url = media_url
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Reply]]] = [
            (method, re.compile(f"/v2{path}"), answer)
            for method, path, answer in (
                ("GET", "/room_recordings", self._list_room_recordings),
                ("DELETE", "/room_recordings", self._delete_room_recordings),
                ("GET", "/room_recordings/([^/]+)", self._view_room_recording),
                ("DELETE", "/room_recordings/([^/]+)", self._delete_room_recording),
                ("GET", "/recordings", self._list_calls),
                ("GET", "/recordings/([^/]+)", self._view_call),
                ("DELETE", "/recordings/([^/]+)", self._delete_call),
                ("POST", "/recordings/actions/delete", self._delete_calls),
                ("GET", "/rooms", self._list_rooms),
                ("GET", "/rooms/([^/]+)", self._view_room),
                ("GET", "/rooms/([^/]+)/sessions", self._list_sessions),
                ("GET", "/room_sessions", self._list_sessions),
                ("GET", "/room_sessions/([^/]+)", self._view_session),
                ("GET", "/room_sessions/([^/]+)/participants", self._list_participants),
                ("GET", "/room_participants", self._list_participants),
                ("GET", "/room_participants/([^/]+)", self._view_participant),
            )
        ]

    def answer(self, request: Request) -> Reply:
        """The reply to one request; what no endpoint has is Telnyx' 404."""
        expected = f"Bearer {self._world.credentials.api_key}".encode()
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
            return self.error(request, 401)
        for method, pattern, answer in self._routes:
            match = pattern.fullmatch(request.path)
            if match is not None and method == request.method:
                try:
                    return answer(request, *match.groups())
                except Refused as refused:
                    return self.error(
                        request, 422 if "/room" in request.path else 400, refused.code, "Bad request", refused.detail
                    )
        return self.error(request, 404)

    def error(self, request: Request, status: int, code: str = "", title: str = "", detail: str = "") -> Reply:
        """An error in the shape chosen for video endpoints, and always in the first one for calls."""
        known = _TITLES.get(status, ("10007", "Unexpected error"))
        problem = {
            "code": code or known[0],
            "title": title or known[1],
            "detail": detail or _DETAILS.get(status, "An error occurred."),
        }
        shape = self._behaviour.telnyx_error_shape if "/room" in request.path else "errors"
        shapes: dict[str, Any] = {
            "errors": {"errors": [problem]},
            "bare": problem,
            "message": {"message": "Error", "success": False},
        }
        return json_reply(status, shapes[shape])

    # Room recordings.

    def _list_room_recordings(self, request: Request) -> Reply:
        query, found = self._room_recordings(request)
        page, meta = telnyx_lists.page_of(query, found)
        return json_reply(200, {"data": [self._room_recording(recording) for recording in page], "meta": meta})

    def _room_recordings(self, request: Request) -> tuple[telnyx_lists.Query, list[Recording]]:
        query = telnyx_lists.parse(request, _ROOM_RECORDINGS)
        return query, self._world.listed(Source.TELNYX_ROOMS, query.conditions, query.matches)

    def _view_room_recording(self, request: Request, recording_id: str) -> Reply:
        recording = self._world.find(Source.TELNYX_ROOMS, recording_id)
        return self.error(request, 404) if recording is None else json_reply(200, {"data": self._room_recording(recording)})

    def _delete_room_recording(self, request: Request, recording_id: str) -> Reply:
        if self._world.find(Source.TELNYX_ROOMS, recording_id) is None:
            return self.error(request, 404)
        self._delete(recording_id)
        return Reply(status=204)

    def _delete_room_recordings(self, request: Request) -> Reply:
        """All that the filter matches, which is everything when there is none."""
        self._world.bulk_deletions.append(request.target)
        _, found = self._room_recordings(request)
        for recording in list(found):
            self._delete(recording.id)
        return json_reply(201, {"data": {"room_recordings": len(found)}})

    def _delete(self, recording_id: str) -> None:
        self._world.deletions.append(recording_id)
        self._world.delete(recording_id)

    def _room_recording(self, recording: Recording) -> dict[str, Any]:
        now = self._world.now()
        url = self._url(recording, "media", now, self._behaviour.rooms_url_ttl) if recording.has_media(now) else None
        return self._shown(telnyx_json.room_recording(recording, now, url))

    def _shown(self, document: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in document.items() if value is not None} if self._behaviour.omit_nulls else document

    def _url(self, recording: Recording, rendition: str, now: datetime, ttl: int) -> str:
        path = presign.media_path(recording.source, recording.id, rendition, recording.media[rendition].extension)
        return presign.sign(self._world.secret, self._behaviour.media_url or self._media_url, path, now=now, ttl=ttl)

    # Call recordings.

    def _list_calls(self, request: Request) -> Reply:
        query = telnyx_lists.parse(request, _CALLS)
        page, meta = telnyx_lists.page_of(query, self._world.listed(Source.TELNYX_CALLS, query.conditions, query.matches))
        return json_reply(200, {"data": [self._call(recording) for recording in page], "meta": meta})

    def _call(self, recording: Recording) -> dict[str, Any]:
        now = self._world.now()
        urls = {rendition: self._url(recording, rendition, now, self._behaviour.calls_url_ttl) for rendition in recording.media}
        return self._shown(telnyx_json.call_recording(recording, now, urls if recording.has_media(now) else {}))

    def _view_call(self, request: Request, recording_id: str) -> Reply:
        recording = self._world.find(Source.TELNYX_CALLS, recording_id)
        return self.error(request, 404) if recording is None else json_reply(200, {"data": self._call(recording)})

    def _delete_call(self, request: Request, recording_id: str) -> Reply:
        """Unlike room recordings: 200 with the resource."""
        recording = self._world.find(Source.TELNYX_CALLS, recording_id)
        if recording is None:
            return self.error(request, 404)
        document = self._call(recording)
        self._delete(recording_id)
        return json_reply(200, {"data": document})

    def _delete_calls(self, request: Request) -> Reply:
        self._world.bulk_deletions.append(request.target)
        try:
            ids = json.loads(request.body)["ids"]
            found = [self._world.find(Source.TELNYX_CALLS, str(recording_id)) for recording_id in ids]
        except (ValueError, KeyError, TypeError):
            return self.error(request, 400, "10015", "Bad request", 'the body is no {"ids": […]}')
        if not all(found):
            return self.error(request, 404)
        for recording in found:
            if recording is not None:
                self._delete(recording.id)
        return json_reply(200, {"status": "ok"})

    # Rooms, sessions, participants.

    def _paged(
        self, request: Request, filters: Mapping[str, Filter], items: Iterable[Any], show: Callable[[Any], dict[str, Any]]
    ) -> Reply:
        now = self._world.now()
        query = telnyx_lists.parse(request, filters)
        page, meta = telnyx_lists.page_of(query, [item for item in items if query.matches(item, now)])
        return json_reply(200, {"data": [self._shown(show(item)) for item in page], "meta": meta})

    def _room(self, request: Request, item: Any) -> dict[str, Any]:
        include = telnyx_lists.read_flag(request.parameter("include_sessions") or "false")
        return telnyx_json.room(item, self._sessions(item.id), self._world.now(), include_sessions=include)

    def _session(self, request: Request, item: Session) -> dict[str, Any]:
        include = telnyx_lists.read_flag(request.parameter("include_participants") or "false")
        return telnyx_json.session_json(item, self._participants(item.id) if include else [], self._world.now())

    def _sessions(self, room_id: str | None = None) -> list[Session]:
        now = self._world.now()
        return [each for each in self._world.sessions.values() if each.started_at <= now and room_id in {None, each.room_id}]

    def _participants(self, session_id: str | None = None) -> list[Participant]:
        now = self._world.now()
        return [
            each for each in self._world.participants.values() if each.joined_at <= now and session_id in {None, each.session_id}
        ]

    def _list_rooms(self, request: Request) -> Reply:
        now = self._world.now()
        rooms = [room for room in self._world.rooms.values() if not room.twilio and room.created_at <= now]
        return self._paged(request, _ROOMS, rooms, functools.partial(self._room, request))

    def _view_room(self, request: Request, room_id: str) -> Reply:
        room = self._world.rooms.get(room_id)
        if room is None or room.twilio or room.created_at > self._world.now():
            return self.error(request, 404)
        return json_reply(200, {"data": self._shown(self._room(request, room))})

    def _list_sessions(self, request: Request, room_id: str | None = None) -> Reply:
        return self._paged(request, _SESSIONS, self._sessions(room_id), functools.partial(self._session, request))

    def _view_session(self, request: Request, session_id: str) -> Reply:
        found = next((each for each in self._sessions() if each.id == session_id), None)
        return (
            self.error(request, 404) if found is None else json_reply(200, {"data": self._shown(self._session(request, found))})
        )

    def _list_participants(self, request: Request, session_id: str | None = None) -> Reply:
        now = self._world.now()
        return self._paged(
            request, _PARTICIPANTS, self._participants(session_id), lambda item: telnyx_json.participant(item, now)
        )

    def _view_participant(self, request: Request, participant_id: str) -> Reply:
        now = self._world.now()
        found = next((each for each in self._participants() if each.id == participant_id), None)
        return self.error(request, 404) if found is None else json_reply(200, {"data": telnyx_json.participant(found, now)})
