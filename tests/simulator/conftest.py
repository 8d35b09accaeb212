"""A clock, a small world under it and its servers."""

import aiohttp
import pytest

from archiver.simulator.faults import Rule
from archiver.simulator.server import serve
from tests.simulator.stage import TELNYX_ID, Clock, media_url, small_world


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(clock):
    return small_world(clock)


@pytest.fixture
async def simulation(world):
    async with serve(world) as running:
        yield running


@pytest.fixture
async def client_session():
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
def faulty(simulation):
    """Puts one action before the media host, and gives an URL to try it on."""

    async def put(action, **where):
        url = await media_url(simulation)
        simulation.faults.add(Rule(name="fault", action=action, **{"host": "media", **where}))
        return url

    return put


@pytest.fixture
def truth(world):
    return world.recordings[TELNYX_ID].media["media"].read()
