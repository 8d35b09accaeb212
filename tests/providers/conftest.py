"""Nothing a provider test opens may outlive it."""

import pytest

from tests.providers.simulated import KINDS, simulated
from tests.testbed.leaks import leaked_sockets, leaked_tasks, open_sockets


@pytest.fixture(autouse=True)
async def _no_leaks():
    before = open_sockets()
    yield
    assert await leaked_tasks() == []
    assert leaked_sockets(before) == set()


@pytest.fixture(params=KINDS)
async def on(request):
    """Every provider over its simulated API."""
    async with simulated(request.param) as stage:
        yield stage


@pytest.fixture(params=["telnyx-rooms", "telnyx-calls"])
async def on_telnyx(request):
    """The providers with numbered pages, and with links in their lists."""
    async with simulated(request.param) as stage:
        yield stage


@pytest.fixture(params=["telnyx-rooms", "twilio-video"])
async def on_video(request):
    """The providers that list what is still processing, and that have rooms."""
    async with simulated(request.param) as stage:
        yield stage


@pytest.fixture
async def on_twilio():
    async with simulated("twilio-video") as stage:
        yield stage
