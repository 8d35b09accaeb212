"""What an archive must make of a world: for each rendition the state it must end in and its true bytes (contract.md 4)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archiver.simulator.recordings import Phase, Recording, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from archiver.simulator.media_file import MediaFile
    from archiver.simulator.world import World

_DOCUMENTED = {Phase.PROCESSING.value, Phase.COMPLETED.value, Phase.DELETED.value, Phase.FAILED.value}


class Ending(enum.StrEnum):
    """The states that an archive at rest can be in about a rendition."""

    WAITING = "waiting"
    VERIFIED = "verified"
    LOST = "lost"
    UNAVAILABLE = "unavailable"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One rendition and its ending; `media` are its true bytes, and None unless the ending is `verified`."""

    source: Source
    recording_id: str
    rendition: str
    ending: Ending
    started_at: datetime
    ended_at: datetime
    media: MediaFile | None

    @property
    def sha256(self) -> str | None:
        """In hex, of the bytes as the media host sends them."""
        return None if self.media is None else self.media.sha256

    @property
    def size(self) -> int | None:
        return None if self.media is None else self.media.size


def expectations(world: World, *, at: datetime | None = None, formats: Sequence[str] = ("mp3",)) -> list[Expectation]:
    """What an archive that meets this world at one instant (now by default) for the first time, and as a whole, must end with.

    What no list shows at that instant is not in it. `formats` are the wanted renditions of calls: where none of them
    exists, those that exist are expected. A recording that the archive met before it was deleted is a matter for the test.
    """
    now = world.now() if at is None else at
    return [each for recording in world.recordings.values() if recording.is_listed(now) for each in _of(recording, now, formats)]


def _of(recording: Recording, now: datetime, formats: Sequence[str]) -> Iterator[Expectation]:
    ending = ending_of(recording, now)
    wanted = [rendition for rendition in recording.media if rendition in formats] or list(recording.media)
    for rendition in wanted:
        yield Expectation(
            source=recording.source,
            recording_id=recording.id,
            rendition=rendition,
            ending=ending,
            started_at=recording.started_at,
            ended_at=recording.ended_at,
            media=recording.media[rendition] if ending is Ending.VERIFIED else None,
        )


def ending_of(recording: Recording, now: datetime) -> Ending:
    """The ending of a listed recording. An unknown status waits; what is first seen deleted is lost."""
    status = recording.provider_status(now)
    if status not in _DOCUMENTED or status == Phase.PROCESSING.value:
        return Ending.WAITING
    if status == Phase.DELETED.value:
        return Ending.LOST
    if recording.external is not None:
        return Ending.EXTERNAL
    return Ending.UNAVAILABLE if recording.muted or status == Phase.FAILED.value else Ending.VERIFIED
