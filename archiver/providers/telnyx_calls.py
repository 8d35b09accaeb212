"""Telnyx call recordings, of calls and conferences, as MP3 and/or WAV (providers.md 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from archiver.domain.ports import Listing
from archiver.domain.recording import Listed
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

_PATH = "/v2/recordings"
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")  # a plain string in the specification, a UUID in its examples
ROUTES = (
    route(LIST, "GET", _PATH),
    route("recording", "GET", f"{_PATH}/{_ID.pattern}"),
    route("delete", "DELETE", f"{_PATH}/{_ID.pattern}"),
)
ENDED = Listing(name="ended", windowed=True)
_FORMAT = re.compile(r"[a-z0-9]{1,8}")
# What custom storage writes instead of a presigned link (T-KB): the media lies in the customer's bucket.
_EXTERNAL = re.compile(r"(?:s3|gs)://|https://[a-z0-9-]+\.blob\.core\.windows\.net/", re.IGNORECASE)


class TelnyxCalls:
    """Call recordings of one Telnyx account. Renditions: the wanted ones of `mp3` and `wav`.

    The one list goes by `filter[end_time]`. `created_at` and `start_time` would do as well, but only the end is what windows
    are made of and what our dates and retention count from: a conference of ten hours is then in the window of its end, without
    widening. The filter is new (absent from T-OAS-2025): a gateway that ignores it lists too much, which costs requests and loses
    nothing; one that refuses it answers 4xx, which is ContractBroken and loud. Only completed recordings are listed.
    """

    kind = "telnyx-calls"

    def __init__(
        self, options: SourceOptions, clock: Clock, observe: Observe | None = None, *, resolver: AbstractResolver | None = None
    ) -> None:
        self._clock = clock
        self._formats = options.formats
        self._telnyx = Telnyx(
            options, routes=ROUTES, path=_PATH, read=self._read, links=links, clock=clock, observe=observe, resolver=resolver
        )

    @classmethod
    def open(cls, options: SourceOptions, clock: Clock, observe: Observe | None = None) -> TelnyxCalls:
        """The door of the entry-point group, see `registry.py`."""
        return cls(options, clock, observe)

    @property
    def source(self) -> str:
        return self._telnyx.source

    @property
    def listings(self) -> Sequence[Listing]:
        return (ENDED,)

    @property
    def ratelimit_remaining(self) -> int | None:
        """Requests left as the last answer announced; None before one did."""
        return self._telnyx.api.gate.remaining

    def pages(self, listing: Listing, window: Window | None, *, backward: bool = False) -> AsyncIterator[Page]:
        return self._telnyx.pages(query(listing, window), backward=backward)

    async def get(self, ref: RecordingRef) -> Listed:
        return await self._telnyx.get(ref)

    async def room(self, room_id: str) -> None:
        """None: a conference is no resource that could be asked for once it is over."""
        del room_id

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
        return parse_recording(row, formats=self._formats, now=self._clock.now())


def query(listing: Listing, window: Window | None) -> list[tuple[str, str]]:
    """The filter of the list: ISO date-times, both inclusive (T-OAS GetRecordings)."""
    if window is None:
        raise ValueError(f"listing {listing.name!r} needs a window")
    return [
        ("filter[end_time][gte]", window.start.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("filter[end_time][lte]", window.end.strftime("%Y-%m-%dT%H:%M:%SZ")),
    ]


def parse_recording(row: Any, *, formats: Sequence[str], now: datetime) -> Listed:
    """A call recording (T-OAS call-recordings); raises RowRefused where it has no usable id.

    The conference is the room, the call's session the session, and the leg the participant: a leg is one party's connection, and
    unlike `call_control_id` it is the same in every event. The caller's number (`from`) is the participant's name.
    """
    found = Row(row, now=now)
    recording_id = found.ident("id", _ID, "1 to 64 letters, digits and hyphens")
    status, status_raw = found.status()
    started, ended = found.span(found.instant("recording_started_at"), found.instant("recording_ended_at"))
    urls = {name: url for name, url in links(found.raw).items() if _FORMAT.fullmatch(name)}
    renditions = tuple(dict.fromkeys(name for name in formats if name in urls))
    if not renditions and urls:
        found.flags.append(f"none of {', '.join(formats)} among its files, taken: {', '.join(sorted(urls))}")
        renditions = tuple(sorted(urls))
    outside = [urls[name] for name in renditions if _EXTERNAL.match(urls[name])]
    if outside and len(outside) < len(renditions):
        found.flags.append("some of its files lie in the customer's own storage")
    return Listed(
        recording_id=recording_id.lower() if UUID.fullmatch(recording_id) else recording_id,
        status=status,
        status_raw=status_raw,
        renditions=renditions or tuple(formats),
        raw=found.raw,
        started_at=started,
        ended_at=ended,
        duration=found.seconds("duration_millis", per_second=1000),
        media_type=found.text("source") or "call",
        room_id=found.text("conference_id"),
        session_id=found.text("call_session_id"),
        participant_id=found.text("call_leg_id"),
        participant_name=found.text("from"),
        external_url=outside[0] if outside and len(outside) == len(renditions) else "",
        flags=tuple(found.flags),
    )


def links(row: Any) -> Mapping[str, str]:
    """The links of a row by rendition; the key of a format that was not recorded is missing or null."""
    urls = row.get("download_urls")
    return {name: url for name, url in urls.items() if url and isinstance(url, str)} if isinstance(urls, dict) else {}
