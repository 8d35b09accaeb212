"""The simulated providers' state: recordings and rooms that live by a clock handed in; no I/O and no clock of its own."""

from __future__ import annotations

import dataclasses
import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.simulator.recordings import Participant, Phase, Recording, Room, Session, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from datetime import datetime

_REMEMBERED_LISTS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the simulated providers accept."""

    api_key: str  # Telnyx
    account_sid: str  # Twilio, with auth_token; or api_key_sid with api_key_secret
    auth_token: str
    api_key_sid: str
    api_key_secret: str


class World:
    """All that the providers hold; `recordings` is changed by the methods alone, for lists are remembered until one is called.

    `clock` returns aware datetimes; `seed` decides credentials and the key of presigned URLs. `newest_first` is the order of
    every list (the providers document none). `bulk_deletions` and `deletions` say which deletions were asked for, so that a
    test can hold that none was.
    """

    def __init__(self, *, clock: Callable[[], datetime], seed: int = 0, newest_first: bool = True) -> None:
        self._clock = clock
        self.seed = seed
        self.newest_first = newest_first
        self.recordings: dict[str, Recording] = {}
        self.rooms: dict[str, Room] = {}
        self.sessions: dict[str, Session] = {}
        self.participants: dict[str, Participant] = {}
        self.recording_settings: dict[str, Any] = {}
        self.deletions: list[str] = []
        self.bulk_deletions: list[str] = []
        self.secret = self._derived("secret", 64).encode()
        self.credentials = Credentials(
            api_key="KEY" + self._derived("api key", 32).upper(),
            account_sid="AC" + self._derived("account", 32),
            auth_token=self._derived("auth token", 32),
            api_key_sid="SK" + self._derived("api key sid", 32),
            api_key_secret=self._derived("api key secret", 32),
        )
        self._sorted: dict[Source, list[Recording]] | None = None
        self._turning_points: list[datetime] = []
        self._lists: dict[Hashable, list[Recording]] = {}
        self._lists_hold_for = -1

    def _derived(self, what: str, length: int) -> str:
        return hashlib.shake_256(f"{what} {self.seed}".encode()).hexdigest(length // 2)

    def now(self) -> datetime:
        """The clock's instant; raises ValueError for a naive one."""
        now = self._clock()
        if now.tzinfo is None:
            raise ValueError(f"the world's clock returned {now!r}; an aware datetime is needed")
        return now

    # Changes, all at once effective.

    def add(self, recordings: Iterable[Recording]) -> None:
        """Puts recordings in; one of the same id is replaced."""
        for recording in recordings:
            self.recordings[recording.id] = recording
        self._sorted = None

    def replace(self, recording_id: str, **changes: Any) -> Recording:
        """Changes fields of a recording and returns it; raises KeyError for an unknown id."""
        changed = dataclasses.replace(self.recordings[recording_id], **changes)
        self.add([changed])
        return changed

    def complete(self, recording_id: str, **changes: Any) -> Recording:
        """Ends the processing now."""
        now = self.now()
        ended_at = min(self.recordings[recording_id].ended_at, now)
        return self.replace(recording_id, completed_at=now, ended_at=ended_at, **changes)

    def delete(self, recording_id: str) -> Recording:
        """Deletes it now, as the provider would: Twilio still knows it for 30 days."""
        return self.replace(recording_id, deleted_at=self.now())

    def remove(self, recording_id: str) -> None:
        """Takes it out as if it had never been."""
        del self.recordings[recording_id]
        self._sorted = None

    def change_media(self, recording_id: str, rendition: str = "media", *, size_hint: int | None = None) -> Recording:
        """Gives a rendition other bytes of the same kind."""
        recording = self.recordings[recording_id]
        old = recording.media[rendition]
        new = dataclasses.replace(old, seed=old.seed + "'", size_hint=old.size_hint if size_hint is None else size_hint)
        return self.replace(recording_id, media={**recording.media, rendition: new})

    # Questions.

    def find(self, source: Source, recording_id: str) -> Recording | None:
        """The recording that this id answers to now."""
        recording = self.recordings.get(recording_id)
        if recording is None or recording.source is not source:
            return None
        return None if recording.phase(self.now()) in {Phase.ABSENT, Phase.GONE} else recording

    def listed(self, source: Source, key: Hashable, matches: Callable[[Recording, datetime], bool]) -> list[Recording]:
        """What a list of this source holds now, in the world's order; `key` stands for `matches`, so that paging is cheap."""
        now = self.now()
        ordered = self._in_order()[source]
        moment = bisect_right(self._turning_points, now)
        if moment != self._lists_hold_for or len(self._lists) > _REMEMBERED_LISTS:
            self._lists.clear()
            self._lists_hold_for = moment
        found = self._lists.get((source, key))
        if found is None:
            found = [recording for recording in ordered if recording.is_listed(now) and matches(recording, now)]
            self._lists[source, key] = found
        return found

    def _in_order(self) -> dict[Source, list[Recording]]:
        if self._sorted is None:
            ordered = sorted(
                self.recordings.values(), key=lambda recording: (recording.started_at, recording.id), reverse=self.newest_first
            )
            self._sorted = {source: [recording for recording in ordered if recording.source is source] for source in Source}
            self._turning_points = sorted(point for recording in ordered for point in recording.turning_points())
            self._lists.clear()
        return self._sorted
