"""Telnyx Video: recordings of rooms, one for each participant and medium (providers.md 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ContractBroken, RecordingGone
from archiver.domain.ports import Listing
from archiver.domain.recording import Listed, Room
from archiver.providers import witness
from archiver.providers.http import LIST, route
from archiver.providers.rows import UUID, Row
from archiver.providers.telnyx import Telnyx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from aiohttp.abc import AbstractResolver

    from archiver.domain.ports import Clock, Media, Resume
    from archiver.domain.recording import Page, RecordingRef
    from archiver.domain.windows import Window
    from archiver.providers.settings import Observe, SourceOptions

_PATH = "/v2/room_recordings"
# Deleting is possible for one id only: DELETE on the collection would address every recording (providers.md, trap 7).
ROUTES = (
    route(LIST, "GET", _PATH),
    route("recording", "GET", f"{_PATH}/{UUID.pattern}"),
    route("delete", "DELETE", f"{_PATH}/{UUID.pattern}"),
    route("room", "GET", f"/v2/rooms/{UUID.pattern}"),
    route("sessions", "GET", witness.SESSIONS),
)
ENDED = Listing(name="ended", windowed=True)
PROCESSING = Listing(name="processing", windowed=False)


class TelnyxRooms:
    """Room recordings of one Telnyx account. Renditions: `media`.

    Two lists make a complete poll: by end, in whole dates, and by status for what has no end yet and is in no window.
    """

    kind = "telnyx-rooms"

    def __init__(
        self, options: SourceOptions, clock: Clock, observe: Observe | None = None, *, resolver: AbstractResolver | None = None
    ) -> None:
        self._clock = clock
        self._telnyx = Telnyx(
            options, routes=ROUTES, path=_PATH, read=self._read, links=links, clock=clock, observe=observe, resolver=resolver
        )

    @classmethod
    def open(cls, options: SourceOptions, clock: Clock, observe: Observe | None = None) -> TelnyxRooms:
        """The door of the entry-point group, see `registry.py`."""
        return cls(options, clock, observe)

    @property
    def source(self) -> str:
        return self._telnyx.source

    @property
    def listings(self) -> Sequence[Listing]:
        return (ENDED, PROCESSING)

    @property
    def ratelimit_remaining(self) -> int | None:
        """Requests left as the last answer announced; None before one did."""
        return self._telnyx.api.gate.remaining

    def pages(self, listing: Listing, window: Window | None, *, backward: bool = False) -> AsyncIterator[Page]:
        return self._telnyx.pages(query(listing, window), backward=backward)

    async def get(self, ref: RecordingRef) -> Listed:
        return await self._telnyx.get(ref)

    async def room(self, room_id: str) -> Room | None:
        if not UUID.fullmatch(room_id):
            return None
        try:
            payload = await self._telnyx.api.get(f"/v2/rooms/{room_id}")
        except RecordingGone:
            return None
        data = payload.get("data") if isinstance(payload, dict) else None
        if not isinstance(data, dict):
            raise ContractBroken(f"{self.source}: the record of room {room_id} has no object in data")
        row = Row(data, now=self._clock.now())
        return Room(room_id=room_id.lower(), name=row.text("unique_name"), raw=row.raw)

    async def witness(self, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
        """Sessions with recording on that ended in [since, until); what an attestation compares the recordings with."""
        sessions = await witness.telnyx_sessions(self._telnyx.api, self.source, since, until)
        rooms = {room_id: await self.room(room_id) for room_id in sorted({str(item["room_id"]) for item in sessions})}
        question = "a session took place with recording on, and no recording of it is listed"
        return [{"question": question, **item} for item in sessions if witness.recorded(rooms[str(item["room_id"])])]

    def open_media(
        self, ref: RecordingRef, rendition: str, *, resume: Resume | None = None
    ) -> AbstractAsyncContextManager[Media]:
        return self._telnyx.open_media(ref, rendition, resume)

    async def delete(self, ref: RecordingRef) -> None:
        await self._telnyx.delete(ref)

    async def check(self) -> str:
        return await self._telnyx.check()

    async def aclose(self) -> None:
        await self._telnyx.aclose()

    def _read(self, row: Any) -> Listed:
        return parse_recording(row, now=self._clock.now())


def query(listing: Listing, window: Window | None) -> list[tuple[str, str]]:
    """The filter of a list. `gte` and `lte` are whole dates of an undocumented zone; the window overlaps for that (trap 2)."""
    if not listing.windowed:
        return [("filter[status]", "processing")]
    if window is None:
        raise ValueError(f"listing {listing.name!r} needs a window")
    return [
        ("filter[date_ended_at][gte]", window.first.isoformat()),
        ("filter[date_ended_at][lte]", window.last.isoformat()),
    ]


def parse_recording(row: Any, *, now: datetime) -> Listed:
    """A RoomRecording (T-OAS components.schemas.RoomRecording); raises RowRefused where it has no usable id.

    Any field may be missing or null while the recording is processing. `size_mb` is a float of an undefined MB and therefore
    no size; `record_type` is not looked at, Telnyx' own example has it wrong.
    """
    found = Row(row, now=now)
    recording_id = found.ident("id", UUID, "a UUID").lower()
    status, status_raw = found.status()
    started, ended = found.span(found.instant("started_at"), found.instant("ended_at"))
    return Listed(
        recording_id=recording_id,
        status=status,
        status_raw=status_raw,
        renditions=("media",),
        raw=found.raw,
        started_at=started,
        ended_at=ended,
        duration=found.seconds("duration_secs"),
        media_type=found.text("type"),
        codec=found.text("codec"),
        room_id=found.text("room_id"),
        session_id=found.text("session_id"),
        participant_id=found.text("participant_id"),
        flags=tuple(found.flags),
    )


def links(row: Any) -> Mapping[str, str]:
    """The download link of a row, presigned for an hour (T-CC); none while it is processing."""
    link = row.get("download_url")
    return {"media": link} if link and isinstance(link, str) else {}
