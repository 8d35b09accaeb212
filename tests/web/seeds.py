"""A catalog that has been in use for a month: three sources, every state, times that fit together."""

import dataclasses
import hashlib
import itertools
import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from archiver.catalog.catalog import SqlCatalog
from archiver.domain import lifecycle
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Entry, Listed, ProviderStatus
from archiver.domain.windows import Window
from archiver.domain.work import Outcome, PassResult
from tests.web.clock import Clock

ROOMS, CALLS, VIDEO = "telnyx-rooms", "support-calls", "twilio-video"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A configured source, as `config.SourceSettings` shows it."""

    name: str
    provider: str
    poll_every: timedelta = timedelta(minutes=5)


SOURCES = (
    Source(name=ROOMS, provider="telnyx-rooms"),
    Source(name=CALLS, provider="telnyx-calls"),
    Source(name=VIDEO, provider="twilio-video", poll_every=timedelta(minutes=10)),
)
_NAMES = {
    ROOMS: (
        ["Weekly planning", "Board meeting", "Interview A. Köhler", "Design review", "غرفة الاجتماعات"],
        ["Ana", "Jonas", "Łukasz", "Zoë"],
    ),
    CALLS: ([""], ["+49 30 901820", "+1 555 0100", "+44 20 7946 0018"]),
    VIDEO: (["Consultation 7", "Onboarding", "Claims hearing 2026/114"], ["dr.meyer@example.org", "claimant-7", "translator"]),
}
_PATHS = {
    "verified": [Event.STORED, Event.VERIFIED],
    "stored": [Event.STORED],
    "failed": [Event.FAILED],
    "unavailable": [Event.UNAVAILABLE],
    "damaged": [Event.STORED, Event.DAMAGED],
    "expiring": [Event.STORED, Event.VERIFIED, Event.EXPIRING],
    "expired": [Event.STORED, Event.VERIFIED, Event.EXPIRING, Event.EXPIRED],
    "lost": [Event.LOST],
    "due": [Event.RETRY_SCHEDULED],
    "transferring": [],
}
_WHY = {
    Event.FAILED: ("url_refused: the link leads to 10.0.0.7, where no recording may lie", "UrlRefused"),
    Event.UNAVAILABLE: ("the provider has had no media for it at 8 attempts: 404", "MediaUnavailable"),
    Event.LOST: ("the provider deleted it before it was archived: gone at two looks", "RecordingGone"),
    Event.RETRY_SCHEDULED: ("503 from the media host", "ProviderUnavailable"),
    Event.DAMAGED: ("SHA-256 differs from the one received", "Damaged"),
}


class Seeder:
    """Brings recordings into a catalog the way the pipeline does."""

    def __init__(self, catalog: SqlCatalog, clock: Clock, *, first: int = 1) -> None:
        self.catalog = catalog
        self.clock = clock
        self._random = random.Random(first)
        self._numbers = itertools.count(first)

    def listed(self, source: str, at: datetime, **changes) -> Listed:
        rooms, people = _NAMES[source]
        number = next(self._numbers)
        digest = hashlib.sha256(f"{source}{number}".encode()).hexdigest()
        key = (
            f"RT{digest[:32]}"
            if source == VIDEO
            else "-".join([digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]])
        )
        seconds = self._random.randrange(20, 5400)
        facts = {
            "recording_id": key,
            "status": ProviderStatus.COMPLETED,
            "status_raw": "completed",
            "renditions": ("mp3",) if source == CALLS else ("media",),
            "started_at": at - timedelta(seconds=seconds),
            "ended_at": at,
            "duration": float(seconds),
            "size": seconds * 16_000,
            "media_type": "call" if source == CALLS else "audio",
            "codec": "mp3" if source == CALLS else "opus",
            "room_id": f"room-{number % len(rooms)}" if rooms[0] else "",
            "room_name": rooms[number % len(rooms)],
            "participant_id": f"p-{number % len(people)}",
            "participant_name": people[number % len(people)],
            "raw": {"id": key, "status": "completed", "duration_secs": seconds, "room": rooms[number % len(rooms)]},
        }
        return Listed(**{**facts, **changes})

    async def bring(self, source: str, state: str, *listed: Listed) -> None:
        """Lists recordings and takes them to `state`, a few minutes after the last of them ended."""
        kind = next(item.provider for item in SOURCES if item.name == source)
        now = self.clock.now()
        ends = [item.ended_at for item in listed if item.ended_at]
        self.clock.moment = max(ends) + timedelta(minutes=2) if ends else now
        await self.catalog.add_page(source, kind, listed)
        if state in _PATHS:
            wanted = {item.recording_id for item in listed}
            entries = await self.catalog.claim(1000, sources=[source])
            mine = [entry for entry in entries if entry.recording_id in wanted]
            others = [entry for entry in entries if entry.recording_id not in wanted]
            await self._hand_back(others)
            for event in _PATHS[state]:
                self.clock.advance(seconds=20)
                await self._happens(mine, event)
                mine = await self._again(mine, event)
        self.clock.moment = now

    async def _hand_back(self, entries) -> None:
        outcomes = [Outcome(entry=entry, event=Event.RELEASED, delay=timedelta(days=3650)) for entry in entries]
        assert await self.catalog.save(outcomes) == []

    async def _happens(self, entries, event: Event) -> None:
        why, kind = _WHY.get(event, ("", ""))
        outcomes = [
            Outcome(
                entry=entry,
                event=event,
                reason=why,
                kind=kind,
                facts=facts_of(entry) if event is Event.STORED else {},
                delay=timedelta(days=3650) if event is Event.RETRY_SCHEDULED else timedelta(0),
            )
            for entry in entries
        ]
        assert await self.catalog.save(outcomes) == []

    async def _again(self, entries, event: Event) -> list[Entry]:
        """The entries as they are now; an outcome moves the revision."""
        return [
            dataclasses.replace(entry, state=lifecycle.advance(entry.state, event), revision=entry.revision + 1)
            for entry in entries
        ]

    async def passed(self, source: str, *, ago: timedelta = timedelta(minutes=2), days: int = 31) -> None:
        """A complete pass over the last days."""
        now = self.clock.now()
        self.clock.moment = now - ago
        day = self.clock.now().date()
        window = Window(first=day - timedelta(days=days), last=day)
        result = PassResult(
            listing="ended",
            window=window,
            started_at=self.clock.now(),
            complete=True,
            listed=100,
            new=1,
            requests=3,
            ids_sha256="00" * 32,
        )
        kind = next(item.provider for item in SOURCES if item.name == source)
        await self.catalog.finish_pass(source, kind, [result], watermark=self.clock.now())
        self.clock.moment = now


def facts_of(entry: Entry) -> dict[str, object]:
    day = entry.ended_at
    ending = {"mp3": "mp3"}.get(entry.rendition, "ogg")
    return {
        "key": f"{entry.source}/{day:%Y/%m/%d}/{entry.recording_id}/{entry.rendition}.{ending}",
        "version_id": hashlib.sha256(entry.recording_id.encode()).hexdigest()[:32],
        "size": entry.listed_size or 1000,
        "sha256": hashlib.sha256(f"{entry.recording_id}!".encode()).hexdigest(),
        "token": "ab" * 16,
        "content_type": "audio/mpeg" if ending == "mp3" else "audio/ogg",
    }


async def a_month(seeder: Seeder, *, recordings: int = 60, trouble: bool = True) -> None:
    """A month of recordings, nearly all verified, with a few in every other state."""
    now = seeder.clock.now()
    shares = {ROOMS: 0.5, CALLS: 0.3, VIDEO: 0.2}
    for place, (source, share) in enumerate(shares.items()):
        count = round(recordings * share)
        batches = max(1, count // 6)
        for batch in range(batches):
            at = now - timedelta(days=30) * (batches - batch) / (batches + 0.5) + timedelta(minutes=97 * place)
            items = [seeder.listed(source, at - timedelta(seconds=41 * n)) for n in range(count // batches)]
            await seeder.bring(source, "verified", *items)
    recent = [(ROOMS, "stored", 12), (ROOMS, "due", 31)]
    rest = [
        (VIDEO, "expired", 60 * 24 * 25),
        (VIDEO, "expiring", 60 * 24 * 24),
        (CALLS, "unavailable", 700),
        (CALLS, "failed", 300),
    ]
    bad = [(ROOMS, "lost", 3000), (VIDEO, "damaged", 5000)]
    claimed = [
        (ROOMS, "transferring", 4),
        (VIDEO, "transferring", 3),
    ]  # last: the next claim would take over what leases have run out
    for source, state, minutes in [*recent, *rest, *(bad if trouble else []), *claimed]:
        await seeder.bring(source, state, seeder.listed(source, now - timedelta(minutes=minutes)))
    waiting = seeder.listed(
        VIDEO, now, status=ProviderStatus.PROCESSING, status_raw="processing", ended_at=None, duration=None, size=None
    )
    await seeder.bring(VIDEO, "waiting", waiting)
    await seeder.bring(
        VIDEO, "external", seeder.listed(VIDEO, now - timedelta(hours=30), external_url="https://bucket.example.org/media")
    )
    for source, _, ago in ((ROOMS, 0, 2), (CALLS, 0, 4), (VIDEO, 0, 7)):
        await seeder.passed(source, ago=timedelta(minutes=ago))
