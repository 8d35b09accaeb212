"""A one-shot run ends, whatever is away for how long, and says that it was not done."""

import asyncio

import pytest

from archiver.domain.errors import CatalogUnavailable
from archiver.pipeline import cycle
from archiver.pipeline.pump import AT_THE_END
from tests.pipeline.conftest import sqlite_url, stage, template  # noqa: F401 -- pytest finds fixtures by these names

DOWN = CatalogUnavailable("the catalog cannot be used now: database or disk is full")


class NoSaving:
    """A catalog whose disk is full from the first outcome on."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def save(self, _outcomes):
        raise DOWN


async def synced(stage, stop):  # noqa: F811 -- the fixture above
    stage.catalog = NoSaving(stage.catalog)
    await cycle.sync(
        discoveries={"rooms": stage.discovery()},
        pump=stage.pump(),
        catalog=stage.catalog,
        health=stage.health,
        clock=stage.clock,
        tally=stage.tally,
        stop=stop,
    )


async def test_a_catalog_that_takes_nothing_for_five_minutes_ends_the_run_with_its_error(stage):  # noqa: F811
    stage.provider.archivable("r1")
    with pytest.raises(CatalogUnavailable, match="disk is full"):
        await synced(stage, asyncio.Event())
    assert cycle.WAITED_IN_ALL <= stage.clock.seconds < cycle.WAITED_IN_ALL + 60


async def test_told_to_stop_meanwhile_it_ends_within_half_a_minute(stage):  # noqa: F811
    stage.provider.archivable("r1")
    stop = asyncio.Event()

    async def stops():
        await stage.clock.sleep(10)
        stop.set()

    told = asyncio.create_task(stops())
    with pytest.raises(CatalogUnavailable):
        await synced(stage, stop)
    await told
    assert stage.clock.seconds <= 10 + AT_THE_END + 30
