"""What the simulated providers hold: recordings and rooms as plain values, and what a recording is at a given instant."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.simulator.media_file import MediaFile

# Twilio keeps the metadata of a deleted recording for 30 days (providers.md 4.5).
TWILIO_REMEMBERS = timedelta(days=30)


class Source(enum.StrEnum):
    """Which provider's list a recording is in."""

    TELNYX_ROOMS = "telnyx-rooms"
    TELNYX_CALLS = "telnyx-calls"
    TWILIO_VIDEO = "twilio-video"


class Phase(enum.Enum):
    """What a recording is at one instant."""

    ABSENT = "absent"  # not begun; a call recording that is not complete (Telnyx lists only completed ones)
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"  # Twilio only
    DELETED = "deleted"  # Twilio only, for 30 days
    GONE = "gone"  # deleted and forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording with its whole life in it; every instant is aware.

    `media` maps renditions to files: `media` alone, or `mp3` and/or `wav` for a call. `status` replaces the provider's word
    for a state of ours; `extra` is laid over the JSON as the last thing, so anything can be wrong with it.
    """

    source: Source
    id: str
    started_at: datetime
    ended_at: datetime
    completed_at: datetime  # processing before
    media: Mapping[str, MediaFile]
    medium: str = "audio"  # or video
    codec: str = "opus"
    name: str = ""  # Twilio's track name
    room_id: str = ""
    session_id: str = ""
    participant_id: str = ""
    listed_at: datetime | None = None  # not in lists before, though its id already answers
    deleted_at: datetime | None = None
    failed: bool = False
    muted: bool = False  # completed, and no media for ever
    external: str | None = None  # the media's address in the customer's own bucket
    status: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def phase(self, now: datetime) -> Phase:
        """What this recording is at `now`."""
        if now < self.started_at:
            return Phase.ABSENT
        if self.deleted_at is not None and self.deleted_at <= now:
            remembered = self.source is Source.TWILIO_VIDEO and now < self.deleted_at + TWILIO_REMEMBERS
            return Phase.DELETED if remembered else Phase.GONE
        if now < self.completed_at:
            return Phase.ABSENT if self.source is Source.TELNYX_CALLS else Phase.PROCESSING
        return Phase.FAILED if self.failed else Phase.COMPLETED

    def provider_status(self, now: datetime) -> str:
        """The word that the provider's JSON has for it."""
        return self.status or self.phase(now).value

    def has_media(self, now: datetime) -> bool:
        """Whether the provider hands its bytes out at `now`."""
        return self.phase(now) is Phase.COMPLETED and not self.muted and self.external is None

    def is_listed(self, now: datetime) -> bool:
        """Whether a list without a filter on status may hold it; Twilio hides deleted ones besides."""
        return self.phase(now) not in {Phase.ABSENT, Phase.GONE} and (self.listed_at is None or self.listed_at <= now)

    def turning_points(self) -> tuple[datetime, ...]:
        """The instants at which any answer about it may change."""
        points = [self.started_at, self.completed_at]
        if self.listed_at is not None:
            points.append(self.listed_at)
        if self.deleted_at is not None:
            points += [self.deleted_at, self.deleted_at + TWILIO_REMEMBERS]
        return tuple(points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room; at Twilio also the one meeting that takes place in it, from creation to `ended_at`."""

    id: str
    name: str
    created_at: datetime
    ended_at: datetime | None = None
    twilio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One meeting in a Telnyx room."""

    id: str
    room_id: str
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Somebody in a Telnyx session; `context` is whatever their client sent."""

    id: str
    session_id: str
    context: str
    joined_at: datetime
    left_at: datetime
