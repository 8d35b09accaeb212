"""Catalogs to test: the fixtures of `databases.py`, and a world in which time stands until it is moved."""

import pytest

from tests.catalog.databases import (  # noqa: F401 -- pytest finds fixtures by these names
    catalog_on_postgres,
    catalogs,
    database_url,
    postgresql_catalogs,
    shared_url,
    sqlite_catalogs,
    sqlite_url,
)
from tests.catalog.world import World


@pytest.fixture
async def world(database_url):  # noqa: F811 -- the fixture above
    """A catalog on each database, with workers that go by a clock which the test moves."""
    async with World.at(database_url) as it:
        yield it


@pytest.fixture
async def lite(sqlite_url):  # noqa: F811 -- the fixture above
    """The same on SQLite alone, for what only SQLite does."""
    async with World.at(sqlite_url) as it:
        yield it


@pytest.fixture
async def pg(catalog_on_postgres):  # noqa: F811 -- the fixture above
    """The same on PostgreSQL alone, for what only PostgreSQL does."""
    async with World.at(catalog_on_postgres) as it:
        yield it


@pytest.fixture
async def shared_world(shared_url):  # noqa: F811 -- the fixture above
    """A catalog that the tests of a module share."""
    async with World.at(shared_url) as it:
        yield it
