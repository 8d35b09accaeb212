"""Catalogs for the pages: empty ones, and one that has been in use for a month, made once and copied."""

import asyncio
import contextlib
import shutil

import pytest

from archiver.catalog import schema
from tests.web.seeds import Seeder, a_month
from tests.web.site import catalog_at, site_at


@pytest.fixture(scope="session")
def empty_template(tmp_path_factory):
    path = tmp_path_factory.mktemp("web") / "empty.db"
    schema.upgrade_now(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def month_template(empty_template):
    path = empty_template.with_name("month.db")
    shutil.copyfile(empty_template, path)

    async def fill():
        async with catalog_at(f"sqlite:///{path}") as (catalog, clock):
            await a_month(Seeder(catalog, clock))

    asyncio.run(fill())
    return path


@pytest.fixture
def empty_url(empty_template, tmp_path):
    """An empty catalog of this test's own."""
    return f"sqlite:///{shutil.copyfile(empty_template, tmp_path / 'catalog.db')}"


@pytest.fixture
def month_url(month_template, tmp_path):
    """A month of recordings, of this test's own."""
    return f"sqlite:///{shutil.copyfile(month_template, tmp_path / 'catalog.db')}"


@pytest.fixture
async def empty(empty_url):
    """A server over an empty catalog."""
    async with site_at(empty_url) as site:
        yield site


@pytest.fixture
async def month(month_url):
    """A server over a month of recordings."""
    async with site_at(month_url) as site:
        yield site


@pytest.fixture
def migrated_postgres_url(postgres):
    """An empty PostgreSQL catalog of this test's own."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(postgres.database(postgres.template("catalog", schema.upgrade_now)))
