"""Archives to keep and to delete from: on SQLite for most laws, on both databases where the database decides."""

import pytest

from tests.catalog.databases import (  # noqa: F401 -- pytest finds fixtures by these names
    catalogs,
    database_url,
    postgresql_catalogs,
    sqlite_catalogs,
)
from tests.pipeline.conftest import sqlite_url, template  # noqa: F401
from tests.retention.archive import archive, policy


@pytest.fixture
async def it(sqlite_url):  # noqa: F811
    """An archive without locks that keeps for a year; in the end no law is broken."""
    async with archive(sqlite_url, policies=[policy("year", "1y")]) as found:
        yield found
        assert found.lawless() == []
        assert await found.violations() == []


@pytest.fixture
async def locked(sqlite_url):  # noqa: F811
    """The same under governance locks."""
    async with archive(sqlite_url, policies=[policy("year", "1y")], mode="governance") as found:
        yield found
        assert found.lawless() == []
        assert await found.violations() == []
