"""The three providers over a simulated world: one small shape for everything that the contract suite runs on."""

import contextlib
from dataclasses import dataclass

from archiver.domain.recording import RecordingRef
from archiver.providers import registry
from archiver.providers.settings import Credentials, SourceOptions
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.faults import Faults, Rule
from archiver.simulator.recordings import Source
from archiver.simulator.server import Simulation, serve
from archiver.simulator.world import World
from tests.providers.stage import WINDOW, Clock
from tests.simulator import stage

KINDS = ("telnyx-rooms", "telnyx-calls", "twilio-video")
MAKE = {"telnyx-rooms": stage.telnyx_recording, "telnyx-calls": stage.call_recording, "twilio-video": stage.twilio_recording}
LIST = {"telnyx-rooms": r"^/v2/room_recordings\?", "telnyx-calls": r"^/v2/recordings\?", "twilio-video": r"^/v1/Recordings\?"}
RECORD = {
    "telnyx-rooms": r"^/v2/room_recordings/",
    "telnyx-calls": r"^/v2/recordings/",
    "twilio-video": r"^/v1/Recordings/RT[0-9a-f]+$",
}


@dataclass
class Stage:
    """One provider, the world behind it, and what the servers saw."""

    kind: str
    provider: object
    world: World
    simulation: Simulation
    clock: Clock
    observed: list

    @property
    def source(self):
        return Source(self.kind)

    @property
    def rendition(self):
        return "mp3" if self.kind == "telnyx-calls" else "media"

    def new_id(self, number):
        return f"RT{number:032x}" if self.kind == "twilio-video" else f"{number:08x}-0000-4000-8000-000000000000"

    def add(self, number=1, **changes):
        """A completed recording of this provider, or as changed."""
        recording = MAKE[self.kind](self.new_id(number), **changes)
        self.world.add([recording])
        return recording

    def ref(self, recording):
        return RecordingRef(source="src", recording_id=recording.id)

    def fault(self, action, *, on="list", **changes):
        path = {"list": LIST[self.kind], "record": RECORD[self.kind], "media": r"", "any": r""}[on]
        host = "media" if on == "media" else ("twilio" if self.kind == "twilio-video" else "telnyx")
        self.simulation.faults.add(
            Rule(name=f"rule {len(self.simulation.faults.rules)}", action=action, host=host, path=path, **changes)
        )

    async def walk(self, name="ended", *, backward=False):
        listing = next(each for each in self.provider.listings if each.name == name)
        return [page async for page in self.provider.pages(listing, WINDOW if listing.windowed else None, backward=backward)]

    async def ids(self, name="ended", *, backward=False):
        return [listed.recording_id for page in await self.walk(name, backward=backward) for listed in page.recordings]

    async def download(self, recording, *, rendition=None, resume=None):
        async with self.provider.open_media(self.ref(recording), rendition or self.rendition, resume=resume) as media:
            return media, b"".join([chunk async for chunk in media.chunks])

    def media_requests(self):
        return self.simulation.requests(host="media")


def credentials(simulation, kind):
    known = simulation.credentials
    if kind == "twilio-video":
        return Credentials(account_sid=known.account_sid, username=known.api_key_sid, password=known.api_key_secret)
    return Credentials(api_key=known.api_key)


@contextlib.asynccontextmanager
async def simulated(kind, *, clock=None, behaviour=None, faults=None, **changes):
    """A provider of this kind over an empty world with two rooms."""
    clock = clock or Clock()
    world = stage.small_world(clock.now)
    world.recordings.clear()
    world._sorted = None
    observed = []
    async with serve(world, behaviour=behaviour or Behaviour(), faults=faults or Faults()) as simulation:
        given = {
            "name": "src",
            "base_url": simulation.twilio_url if kind == "twilio-video" else simulation.telnyx_url,
            "media_hosts": (simulation.media_url.removeprefix("http://"),),
            "credentials": credentials(simulation, kind),
            **changes,
        }
        provider = registry.open_provider(kind, SourceOptions(**given), clock, lambda *seen: observed.append(seen))
        try:
            yield Stage(kind=kind, provider=provider, world=world, simulation=simulation, clock=clock, observed=observed)
        finally:
            await provider.aclose()


def truth(recording, rendition):
    media = recording.media[rendition]
    return b"".join(media.chunks(0, media.size))
