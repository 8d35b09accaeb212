"""Twilio Video: recordings of rooms, one for each track (providers.md 4)."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ContractBroken, LinkExpired, MediaImplausible, MediaUnavailable, RecordingGone
from archiver.domain.ports import Listing
from archiver.domain.recording import Listed, ProviderStatus, Room
from archiver.providers import twilio, witness
from archiver.providers.http import LIST, Api, route
from archiver.providers.media import MediaClient
from archiver.providers.pages import Pages
from archiver.providers.rows import Row, RowRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    import aiohttp
    from aiohttp.abc import AbstractResolver

    from archiver.domain.ports import Clock, Media, Resume
    from archiver.domain.recording import Page, RecordingRef
    from archiver.domain.windows import Window
    from archiver.providers.media import Opened
    from archiver.providers.settings import Observe, SourceOptions

PUBLIC_URL = "https://video.twilio.com"
PAGE_SIZE = 100  # the most that /v1/Recordings takes
LONGEST_SESSION = timedelta(hours=24)  # a track that ended in a window may have started this long before it
INSTANT = "%Y-%m-%dT%H:%M:%SZ"  # in UTC
_PATH = "/v1/Recordings"
_SID = re.compile(r"[Rr][Tt][0-9a-fA-F]{32}")
_ROOM = re.compile(r"RM[0-9a-fA-F]{32}")
ROUTES = (
    route(LIST, "GET", _PATH),
    route("recording", "GET", f"{_PATH}/{_SID.pattern}"),
    route("media", "GET", f"{_PATH}/{_SID.pattern}/Media"),
    route("delete", "DELETE", f"{_PATH}/{_SID.pattern}"),
    route("room", "GET", f"/v1/Rooms/{_ROOM.pattern}"),
    route("rooms", "GET", witness.ROOMS),
)
ENDED = Listing(name="ended", windowed=True)
DELETED = Listing(name="deleted", windowed=True)


class TwilioVideo:
    """Track recordings of one Twilio account. Renditions: `media`.

    Twilio filters by start only, so a window is widened backwards by a day. Recordings that are still processing are in the
    same list. The second list holds what was deleted, which the first one hides: without it a recording that was made and
    deleted between two polls would never be seen (providers.md, traps 1 and 6).
    """

    kind = "twilio-video"

    def __init__(
        self, options: SourceOptions, clock: Clock, observe: Observe | None = None, *, resolver: AbstractResolver | None = None
    ) -> None:
        self.source = options.name
        self._clock = clock
        self._pages = Pages()
        self._media = MediaClient(options, hosts=twilio.MEDIA_HOSTS, clock=clock, resolver=resolver)
        self._api = Api(
            options,
            default_url=PUBLIC_URL,
            routes=ROUTES,
            authorization=twilio.authorization(options),
            describe=twilio.describe_error,
            clock=clock,
            observe=observe,
            resolver=resolver,
        )

    @classmethod
    def open(cls, options: SourceOptions, clock: Clock, observe: Observe | None = None) -> TwilioVideo:
        """The door of the entry-point group, see `registry.py`."""
        return cls(options, clock, observe)

    @property
    def listings(self) -> Sequence[Listing]:
        return (ENDED, DELETED)

    @property
    def ratelimit_remaining(self) -> int | None:
        """Requests left as the last answer announced; Twilio announces none."""
        return self._api.gate.remaining

    def pages(self, listing: Listing, window: Window | None, *, backward: bool = False) -> AsyncIterator[Page]:
        del backward  # lists are walked by opaque tokens, forward only
        asked = query(listing, window)
        return twilio.pages(self._api, self.source, _PATH, asked, key="recordings", read=self._read, kept=self._pages)

    async def get(self, ref: RecordingRef) -> Listed:
        payload = await self._api.get(f"{_PATH}/{ref.recording_id}")
        problem = ""
        try:
            listed = self._read(payload)
        except RowRefused as error:
            problem = str(error)
        if problem or listed.recording_id != canonical(ref.recording_id):
            raise ContractBroken(f"{self.source}: asked for {ref.recording_id}, got {problem or listed.recording_id}")
        return listed

    async def room(self, room_id: str) -> Room | None:
        if not _ROOM.fullmatch(room_id):
            return None
        try:
            payload = await self._api.get(f"/v1/Rooms/{room_id}")
        except RecordingGone:
            return None
        if not isinstance(payload, dict):
            raise ContractBroken(f"{self.source}: the record of room {room_id} is not an object")
        row = Row(payload, now=self._clock.now())
        return Room(room_id=room_id, name=row.text("unique_name"), raw=row.raw)

    async def witness(self, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
        """Rooms that were created in [since, until) and are over; what an attestation compares the recordings with."""
        asked = [
            ("Status", "completed"),
            ("DateCreatedAfter", since.strftime(INSTANT)),
            ("DateCreatedBefore", until.strftime(INSTANT)),
            ("PageSize", str(witness.TWILIO_PAGE_SIZE)),
        ]
        return witness.room_questions(await twilio.rows(self._api, self.source, witness.ROOMS, asked, key="rooms"))

    @asynccontextmanager
    async def _opened(self, ref: RecordingRef, rendition: str, resume: Resume | None) -> AsyncIterator[Media]:
        opened = await self._open(ref, rendition, resume)
        try:
            yield opened.media
        finally:
            await opened.aclose()

    def open_media(
        self, ref: RecordingRef, rendition: str, *, resume: Resume | None = None
    ) -> AbstractAsyncContextManager[Media]:
        return self._opened(ref, rendition, resume)

    async def delete(self, ref: RecordingRef) -> None:
        await self._api.delete(f"{_PATH}/{ref.recording_id}")

    async def check(self) -> str:
        payload = await self._api.get(_PATH, [("PageSize", "1")])
        twilio.parse_page(payload, key="recordings", read=self._read)
        return f"{self.source}: {self._api.origin} answers, recordings are listed"

    async def aclose(self) -> None:
        await self._api.aclose()
        await self._media.aclose()

    async def _open(self, ref: RecordingRef, rendition: str, resume: Resume | None) -> Opened:
        if rendition != "media":
            raise MediaUnavailable(f"{self.source}: recording {ref.recording_id} has no rendition {rendition!r}, only media")
        try:
            return await self._follow(ref, resume)
        except LinkExpired:
            pass
        return await self._follow(ref, resume)

    async def _follow(self, ref: RecordingRef, resume: Resume | None) -> Opened:
        """Asks for the media and goes where the answer leads.

        Documented is a 302 whose body says the same as its Location (W-rec); the bytes themselves are taken as well (9.3).
        """
        link, answer = await self._place(ref)
        if answer is not None:
            return await self._media.adopt(answer)
        return await self._media.open(link, resume, fresh=partial(self._fresh_link, ref))

    async def _place(self, ref: RecordingRef) -> tuple[object, aiohttp.ClientResponse | None]:
        """The link that Media of a recording leads to, and the answer instead where the bytes came themselves."""
        reply = await self._api.follow(f"{_PATH}/{ref.recording_id}/Media")
        if reply.status == 404:
            raise await self._why_no_media(ref)
        if reply.response is not None:
            return None, reply.response
        link = reply.location or (reply.payload.get("redirect_to") if isinstance(reply.payload, dict) else None)
        if not link:
            raise MediaImplausible(f"{self.source}: Media of {ref.recording_id} answered {reply.status} and named no place")
        return link, None

    async def _fresh_link(self, ref: RecordingRef) -> object:
        """Another link to the same media; raises MediaImplausible where Twilio sends the bytes themselves now."""
        link, answer = await self._place(ref)
        if answer is None:
            return link
        answer.close()
        raise MediaImplausible(f"{self.source}: Media of {ref.recording_id} named no place this time")

    async def _why_no_media(self, ref: RecordingRef) -> MediaUnavailable | RecordingGone:
        """A 404 on the media means five things (4.4); the record tells them apart. Raises RecordingGone where there is none."""
        listed = await self.get(ref)
        text = f"{self.source}: recording {ref.recording_id} is {listed.status_raw} and has no media"
        return RecordingGone(text) if listed.status is ProviderStatus.DELETED else MediaUnavailable(text)

    def _read(self, row: Any) -> Listed:
        return parse_recording(row, now=self._clock.now())


def query(listing: Listing, window: Window | None) -> list[tuple[str, str]]:
    """The filter of a list: started on or after, started before (exclusive), in UTC; PageSize always (providers.md 9.6)."""
    if window is None:
        raise ValueError(f"listing {listing.name!r} needs a window")
    deleted = [("Status", "deleted")] if listing.name == DELETED.name else []
    return [
        *deleted,
        ("DateCreatedAfter", (window.start - LONGEST_SESSION).strftime(INSTANT)),
        ("DateCreatedBefore", window.end.strftime(INSTANT)),
        ("PageSize", str(PAGE_SIZE)),
    ]


def canonical(sid: str) -> str:
    """The one spelling of a recording's SID."""
    return f"RT{sid[2:].lower()}"


def parse_recording(row: Any, *, now: datetime) -> Listed:
    """A Recording or RoomRecording (W-OAS); raises RowRefused where it has no usable SID.

    There is no time of end: it is date_created + duration once it is no longer processing. `size` and `duration` are 0 until
    then. The track's name is not the participant's, who is known by SID only.
    """
    found = Row(row, now=now)
    recording_id = canonical(found.ident("sid", _SID, "RT and 32 hexadecimal digits"))
    status, status_raw = found.status()
    done = status in {ProviderStatus.COMPLETED, ProviderStatus.DELETED, ProviderStatus.FAILED}
    created = found.instant("date_created")
    duration = found.seconds("duration") if done else None
    size = found.size("size") if status is ProviderStatus.COMPLETED else None
    grouping = found.object("grouping_sids")
    return Listed(
        recording_id=recording_id,
        status=status,
        status_raw=status_raw,
        renditions=("media",),
        raw=found.raw,
        started_at=created,
        ended_at=found.end("date_created + duration", created, duration),
        duration=duration,
        size=size,
        media_type=found.text("type"),
        codec=found.text("codec"),
        container=found.text("container_format"),
        room_id=found.text("room_sid", of=grouping) or found.text("room_sid"),
        participant_id=found.text("participant_sid", of=grouping),
        external_url=found.text("media_external_location"),
        flags=tuple(found.flags),
    )
