"""The store in memory obeys the laws of every storage, so that it may stand for one in this package."""

import pytest

from tests.pipeline.memory_store import POOR, STRICT, MemoryStore
from tests.storage.conftest import MIB, Place
from tests.storage.test_contract import *  # noqa: F403 -- the contract suite, run against this module's fixtures


@pytest.fixture(params=["strict", "poor"])
def place(request):
    shared = ({}, {})
    abilities = STRICT if request.param == "strict" else POOR
    return Place(kind="memory", open=lambda: MemoryStore(5 * MIB, abilities=abilities, shared=shared))


@pytest.fixture
async def storage(place):
    store = place.open()
    yield store
    assert [upload.key async for upload in store.uploads()] == []
