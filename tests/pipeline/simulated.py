"""Simulated providers behind the real adapters, under the virtual clock."""

import contextlib
from datetime import timedelta

from archiver.providers.registry import open_provider
from archiver.providers.settings import Credentials, SourceOptions
from archiver.simulator.media_file import Kind, MediaFile
from archiver.simulator.recordings import Recording, Source
from archiver.simulator.server import serve
from archiver.simulator.world import World
from tests.pipeline.clock import NOON
from tests.pipeline.stage import staged

_MEDIA = {
    Source.TELNYX_ROOMS: {"media": Kind.OGG_OPUS},
    Source.TELNYX_CALLS: {"mp3": Kind.MP3},
    Source.TWILIO_VIDEO: {"media": Kind.MKA_OPUS},
}


def simulated_id(source, number):
    """An id as the source spells it, and no other source has."""
    forms = {Source.TELNYX_ROOMS: "6b61621f-62e0-4aad-ab11-{:012x}", Source.TELNYX_CALLS: "3fa85f64-5717-4562-b3fc-{:012x}"}
    return forms.get(source, "RT{:032x}").format(number)


def simulated(source, number, *, ended_at=None, size=2000, **changes):
    """One plain recording of a source; the higher its number, the newer."""
    recording_id = simulated_id(source, number)
    ended_at = ended_at or NOON - timedelta(hours=6) + timedelta(seconds=number)
    media = {name: MediaFile(kind=kind, seed=f"{recording_id}/{name}", size_hint=size) for name, kind in _MEDIA[source].items()}
    facts = {
        "started_at": ended_at - timedelta(minutes=5),
        "completed_at": ended_at + timedelta(minutes=1),
        "media": media,
    } | changes
    return Recording(source=source, id=recording_id, ended_at=ended_at, **facts)


def world_of(clock, source, count, **changes):
    """A world with that many plain recordings of one source."""
    world = World(clock=clock, seed=3)
    world.add(simulated(source, number, **changes) for number in range(count))
    return world


@contextlib.asynccontextmanager
async def opened(simulation, source, clock, **changes):
    """The adapter of a source, called as the source is, configured for a running simulation."""
    given = simulation.credentials
    options = SourceOptions(
        **{
            "name": str(source),
            "base_url": simulation.twilio_url if source is Source.TWILIO_VIDEO else simulation.telnyx_url,
            "media_hosts": (simulation.media_url.partition("//")[2],),
            "formats": ("mp3",),
            "min_rate": 0.0,
            "credentials": Credentials(
                api_key=given.api_key,
                account_sid=given.account_sid,
                username=given.api_key_sid,
                password=given.api_key_secret,
            ),
        }
        | changes
    )
    provider = open_provider(str(source), options, clock)
    try:
        yield provider
    finally:
        await provider.aclose()


@contextlib.asynccontextmanager
async def over_simulation(url, source, world, clock, faults=None, **changes):
    """A stage whose one provider is the adapter of a source over a simulated world; `stage.simulation` is the latter."""
    async with contextlib.AsyncExitStack() as stack:
        simulation = await stack.enter_async_context(serve(world, faults=faults))
        provider = await stack.enter_async_context(opened(simulation, source, clock, **changes))
        stage = await stack.enter_async_context(staged(url, provider, clock=clock))
        await stack.enter_async_context(clock)
        stage.simulation = simulation
        yield stage
