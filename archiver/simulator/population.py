"""A believable mix of recordings over the days before now, the same for the same seed."""

from __future__ import annotations

import enum
import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from archiver.simulator import names
from archiver.simulator.media_file import Kind, MediaFile
from archiver.simulator.recordings import Participant, Recording, Room, Session, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.simulator.world import World


class Fate(enum.Enum):
    """What becomes of a recording."""

    PLAIN = "plain"  # completed within two minutes of its end
    LATE = "late"  # ended in the past and in no list before some time from now
    DELETED = "deleted"  # deleted at the provider before now
    DOOMED = "doomed"  # will be deleted within a day
    ODD = "odd"  # a status or codec that nobody documents, and fields nobody asked for
    MUTED = "muted"  # completed, and no media for ever
    EXTERNAL = "external"  # media in the customer's own bucket
    ENCRYPTED = "encrypted"
    FAILED = "failed"


# In percent. Meetings still going on are not a fate but a share of all meetings (`live`).
FATES: Mapping[Source, Mapping[Fate, int]] = MappingProxyType(
    {
        Source.TELNYX_ROOMS: {Fate.PLAIN: 92, Fate.LATE: 3, Fate.DELETED: 1, Fate.DOOMED: 2, Fate.ODD: 2},
        Source.TELNYX_CALLS: {Fate.PLAIN: 92, Fate.LATE: 3, Fate.DELETED: 1, Fate.DOOMED: 2, Fate.ODD: 2},
        Source.TWILIO_VIDEO: {
            Fate.PLAIN: 79,
            Fate.LATE: 3,
            Fate.DELETED: 3,
            Fate.DOOMED: 2,
            Fate.ODD: 2,
            Fate.MUTED: 4,
            Fate.EXTERNAL: 3,
            Fate.ENCRYPTED: 3,
            Fate.FAILED: 1,
        },
    }
)
# For benchmarks: everything completed and archivable.
ALL_PLAIN: Mapping[Source, Mapping[Fate, int]] = MappingProxyType({source: {Fate.PLAIN: 1} for source in Source})
SHARES: Mapping[Source, int] = MappingProxyType({Source.TELNYX_CALLS: 40, Source.TELNYX_ROOMS: 35, Source.TWILIO_VIDEO: 25})
_CALL_RENDITIONS = {("mp3",): 60, ("wav",): 20, ("mp3", "wav"): 20}
# medium: {(codec as the provider spells it, kind): weight}
_TELNYX_MEDIA = {
    "audio": {("opus", Kind.OGG_OPUS): 1},
    "video": {("vp8", Kind.WEBM_VP8): 75, ("h264", Kind.MP4_H264): 20, ("vp9", Kind.WEBM_VP9): 5},
}
# Upper case as in the specification's enum, lower case as in its examples.
_TWILIO_MEDIA = {
    "audio": {("opus", Kind.MKA_OPUS): 75, ("OPUS", Kind.MKA_OPUS): 20, ("PCMU", Kind.MKA_PCMU): 5},
    "video": {("VP8", Kind.MKV_VP8): 70, ("vp8", Kind.MKV_VP8): 10, ("H264", Kind.MKV_H264): 20},
}
_LARGEST_ENCRYPTED = 8 * 2**20
_WITH_VIDEO = 0.7
_UNTYPED = 0.1  # of Telnyx' room recordings


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What `populate` draws from. Sizes are in bytes, `days` reach back from now, `live` and `hostile` are shares from 0 to 1."""

    days: float = 7.0
    sizes: tuple[int, int] = (3_000, 120_000)
    shares: Mapping[Source, int] = field(default_factory=lambda: SHARES)
    fates: Mapping[Source, Mapping[Fate, int]] = field(default_factory=lambda: FATES)
    live: float = 0.05  # meetings that are still going on
    hostile: float = 0.03  # names that break careless software


def populate(world: World, count: int, *, seed: int | None = None, mix: Mix | None = None) -> list[Recording]:
    """Adds `count` recordings with their rooms, sessions and participants to a world, and returns them.

    The seed is the world's unless another is given. Ten thousand take well under two seconds.
    """
    crowd = _Crowd(world, random.Random(f"population {world.seed if seed is None else seed}"), mix or Mix())  # noqa: S311 -- reproducible, not secret
    recordings = crowd.recordings(count)
    world.add(recordings)
    return recordings


class _Crowd:
    """Draws meetings and calls until there are enough recordings."""

    def __init__(self, world: World, rng: random.Random, mix: Mix) -> None:
        self._world = world
        self._rng = rng
        self._mix = mix
        self._now = world.now()
        self._rooms: list[Room] = []

    def recordings(self, count: int) -> list[Recording]:
        whole = sum(self._mix.shares.values())
        made: list[Recording] = []
        for source, share in self._mix.shares.items():
            wanted = round(count * share / whole)
            part: list[Recording] = []
            while len(part) < wanted:
                part += [self._call()] if source is Source.TELNYX_CALLS else self._meeting(source)
            made += part[:wanted]
        while len(made) < count:
            made.append(self._call())
        return made[:count]

    def _call(self) -> Recording:
        fate = self._pick(self._mix.fates[Source.TELNYX_CALLS])
        times = self._times(live=self._rng.random() < self._mix.live, fate=fate)
        recording_id = self._uuid()
        size = self._size()
        kinds = {"mp3": Kind.MP3, "wav": Kind.WAV}
        media = {
            rendition: MediaFile(kind=kinds[rendition], seed=f"{recording_id}/{rendition}", size_hint=size)
            for rendition in self._pick(_CALL_RENDITIONS)
        }
        return Recording(
            source=Source.TELNYX_CALLS,
            id=recording_id,
            media=media,
            room_id=str(175237942907135700 + self._rng.randrange(5)),
            session_id=self._uuid(),
            participant_id=self._uuid(),
            **{"codec": "", **self._oddity(fate)},
            **times,
        )

    def _meeting(self, source: Source) -> list[Recording]:
        """One meeting with one to three people; each has a recording a medium."""
        twilio = source is Source.TWILIO_VIDEO
        live = self._rng.random() < self._mix.live
        span = self._times(live=live, fate=Fate.PLAIN)
        room = self._room(span, twilio=twilio)
        session_id = "" if twilio else self._uuid()
        if not twilio:
            session = Session(id=session_id, room_id=room.id, started_at=span["started_at"], ended_at=span["ended_at"])
            self._world.sessions[session_id] = session
        made = []
        for _ in range(self._rng.randint(1, 3)):
            person = f"PA{self._hex()}" if twilio else self._uuid()
            if not twilio:
                context = self._name()
                self._world.participants[person] = Participant(
                    id=person, session_id=session_id, context=context, joined_at=span["started_at"], left_at=span["ended_at"]
                )
            for medium in ("audio", "video") if self._rng.random() < _WITH_VIDEO else ("audio",):
                fate = Fate.PLAIN if live else self._pick(self._mix.fates[source])
                made.append(self._track(source, fate, {**span, **self._life(span, fate)}, (room.id, session_id, person), medium))
        return made

    def _track(self, source: Source, fate: Fate, times: dict[str, Any], where: tuple[str, str, str], medium: str) -> Recording:
        twilio = source is Source.TWILIO_VIDEO
        recording_id = f"RT{self._hex()}" if twilio else self._uuid()
        codec, kind = self._pick((_TWILIO_MEDIA if twilio else _TELNYX_MEDIA)[medium])
        encrypted = fate is Fate.ENCRYPTED
        size = min(self._size(), _LARGEST_ENCRYPTED) if encrypted else self._size()
        untyped = not twilio and self._rng.random() < _UNTYPED
        return Recording(
            source=source,
            id=recording_id,
            media={"media": MediaFile(kind=kind, seed=recording_id, size_hint=size, encrypted=encrypted, untyped=untyped)},
            medium=medium,
            name=self._name() if twilio else "",
            room_id=where[0],
            session_id=where[1],
            participant_id=where[2],
            failed=fate is Fate.FAILED,
            muted=fate is Fate.MUTED,
            external=f"https://customer-bucket.s3.amazonaws.com/video/{recording_id}" if fate is Fate.EXTERNAL else None,
            **{"codec": codec, **self._oddity(fate)},
            **times,
        )

    def _oddity(self, fate: Fate) -> dict[str, Any]:
        """What nobody documents: half of the odd ones have an unknown status, half an unknown codec, all have new fields."""
        if fate is not Fate.ODD:
            return {}
        odd = {"status": "archiving"} if self._rng.random() < 0.5 else {"codec": "av2"}
        return {**odd, "extra": {"retention_class": "gold", "labels": {"team": ["a", None, 1.5]}}}

    def _room(self, span: Mapping[str, datetime], *, twilio: bool) -> Room:
        """At Twilio a room for each meeting, at Telnyx one of a few."""
        if not twilio and self._rooms and self._rng.random() < 0.6:
            return self._rng.choice(self._rooms)
        room_id = f"RM{self._hex()}" if twilio else self._uuid()
        ended_at = span["ended_at"] if twilio else None
        created_at = span["started_at"] if twilio else self._now - timedelta(days=self._mix.days + 1)
        room = Room(id=room_id, name=self._name(), created_at=created_at, ended_at=ended_at, twilio=twilio)
        self._world.rooms[room_id] = room
        if not twilio:
            self._rooms.append(room)
        return room

    def _times(self, *, live: bool, fate: Fate) -> dict[str, Any]:
        """The instants of a meeting or call, in whole seconds as Twilio shows them."""
        length = timedelta(seconds=int(20 * 270 ** self._rng.random()))  # 20 s to 90 min
        if live:
            started_at = self._now - length * self._rng.random()
            ended_at = started_at + length + timedelta(minutes=1)
        else:
            ended_at = self._now - timedelta(minutes=3) - timedelta(days=self._mix.days) * self._rng.random()
            started_at = ended_at - length
        started_at = started_at.replace(microsecond=0)
        ended_at = ended_at.replace(microsecond=0)
        times: dict[str, Any] = {"started_at": started_at, "ended_at": ended_at}
        times["completed_at"] = ended_at + timedelta(seconds=self._rng.randint(2, 120))
        return times if live else {**times, **self._life(times, fate)}

    def _life(self, times: Mapping[str, datetime], fate: Fate) -> dict[str, datetime]:
        """What a fate adds to the instants."""
        if fate is Fate.LATE:
            return {"listed_at": self._now + timedelta(minutes=self._rng.randint(1, 24 * 60))}
        if fate is Fate.DOOMED:
            return {"deleted_at": self._now + timedelta(minutes=self._rng.randint(5, 24 * 60))}
        if fate is Fate.DELETED:
            return {"deleted_at": times["completed_at"] + (self._now - times["completed_at"]) * self._rng.random()}
        return {}

    def _pick(self, weights: Mapping[Any, int]) -> Any:
        return self._rng.choices(list(weights), list(weights.values()))[0]

    def _size(self) -> int:
        least, most = self._mix.sizes
        return int(least * (most / least) ** self._rng.random())

    def _name(self) -> str:
        pool = names.HOSTILE if self._rng.random() < self._mix.hostile else names.ORDINARY
        return self._rng.choice(pool)

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def _hex(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"
