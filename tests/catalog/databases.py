"""A migrated, empty catalog for each test, on SQLite and PostgreSQL; made once and copied.

`catalogs` is a fixture of the session, because its server is: what starts inside a test would look like a leak of that test.
"""

import contextlib
import itertools
import shutil

import psycopg
import pytest
import pytest_asyncio

from archiver.catalog import schema
from archiver.catalog.tables import metadata
from tests.catalog.world import World


@pytest.fixture(scope="session")
def sqlite_catalogs(tmp_path_factory):
    """Makes SQLite catalogs: `with sqlite_catalogs() as url`."""
    template = tmp_path_factory.mktemp("catalog") / "template.db"
    schema.upgrade_now(f"sqlite:///{template}")
    numbers = itertools.count(1)

    @contextlib.contextmanager
    def new():
        path = template.with_name(f"{next(numbers)}.db")
        shutil.copyfile(template, path)
        yield f"sqlite:///{path}"

    return new


@pytest.fixture(scope="session")
def postgresql_catalogs(postgres):
    """Makes PostgreSQL catalogs: `with postgresql_catalogs() as url`.

    A database is emptied and used again, which takes a hundredth of the time that dropping it would.
    """
    with contextlib.ExitStack() as stack:
        free = []

        @contextlib.contextmanager
        def new():
            url = free.pop() if free else stack.enter_context(postgres.database(postgres.template("catalog", schema.upgrade_now)))
            yield url
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))
            free.append(url)

        yield new


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def catalogs(request):
    """Makes catalogs of each kind in turn."""
    return request.getfixturevalue(f"{request.param}_catalogs")


@pytest.fixture
def database_url(catalogs):
    """`sqlite:///…` and `postgresql://…` of an empty catalog of this test's own."""
    with catalogs() as url:
        yield url


@pytest.fixture(scope="module")
def shared_url(catalogs):
    """The same for a whole module, whose tests each bring recordings of their own."""
    with catalogs() as url:
        yield url


@pytest.fixture
def sqlite_url(sqlite_catalogs):
    """An empty SQLite catalog of this test's own."""
    with sqlite_catalogs() as url:
        yield url


@pytest.fixture
def catalog_on_postgres(postgresql_catalogs):
    """An empty PostgreSQL catalog of this test's own."""
    with postgresql_catalogs() as url:
        yield url


@pytest.fixture
async def world(database_url):
    """A catalog on each database, with workers that go by a clock which the test moves."""
    async with World.at(database_url) as it:
        yield it


@pytest.fixture
async def lite(sqlite_url):
    """The same on SQLite alone, for what only SQLite does."""
    async with World.at(sqlite_url) as it:
        yield it


@pytest.fixture
async def pg(catalog_on_postgres):
    """The same on PostgreSQL alone, for what only PostgreSQL does."""
    async with World.at(catalog_on_postgres) as it:
        yield it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_world(shared_url):
    """A catalog that the tests of a module share, as long as they share its loop: `@pytest.mark.asyncio(loop_scope="module")`."""
    async with World.at(shared_url) as it:
        await it.count(metadata.tables["renditions"])  # connects now: later it would look like a leak of the first test
        yield it
