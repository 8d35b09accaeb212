"""A clock, a small world under it and its servers."""

import aiohttp
import pytest

from archiver.simulator.server import serve
from tests.simulator.stage import Clock, small_world


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
