"""Nothing a provider test opens may outlive it."""

import pytest

from tests.testbed.leaks import leaked_sockets, leaked_tasks, open_sockets


@pytest.fixture(autouse=True)
async def _no_leaks():
    before = open_sockets()
    yield
    assert await leaked_tasks() == []
    assert leaked_sockets(before) == set()
