"""A vault for every test: a migrated catalog on each database, and an archive folder beside it."""

import pytest
import structlog

from tests.catalog.databases import (  # noqa: F401 -- pytest finds fixtures by these names
    catalog_on_postgres,
    catalogs,
    database_url,
    lite,
    pg,
    postgresql_catalogs,
    sqlite_catalogs,
    sqlite_url,
    world,
)
from tests.ledger.again import anew, living
from tests.ledger.vault import Vault, a_folder
from tests.pipeline.fake_provider import FakeProvider
from tests.testbed.scratch import scratch


@pytest.fixture(autouse=True)
def logged():
    """The log lines of the test; nothing is printed."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def vault(world, tmp_path):  # noqa: F811
    """On SQLite and PostgreSQL."""
    return Vault(world=world, storage=a_folder(tmp_path / "archive"))


@pytest.fixture
def small(lite, tmp_path):  # noqa: F811
    """On SQLite alone, with segments of ten lines."""
    return Vault(world=lite, storage=a_folder(tmp_path / "archive"), limit=10)


@pytest.fixture
def folder():
    with scratch("rebuild", in_memory=True) as path:
        yield a_folder(path / "archive")


@pytest.fixture
async def stage(sqlite_catalogs, folder):  # noqa: F811
    """Three recordings, not archived yet."""
    provider = FakeProvider()
    provider.archivable("r1", "r2", "r3", room_name="Kitchen")
    async with living(sqlite_catalogs, folder, provider) as it:
        yield it


@pytest.fixture
async def fresh(sqlite_catalogs, stage):  # noqa: F811
    async with anew(sqlite_catalogs, stage) as it:
        yield it
