"""A stage for every test: fakes at the ports, a real SQLite catalog behind the port of the catalog, virtual time."""

import itertools
import shutil

import pytest
import structlog

from archiver.catalog import schema
from tests.pipeline.stage import staged
from tests.testbed.scratch import scratch


@pytest.fixture(scope="session")
def template():
    """A migrated, empty SQLite catalog in memory, to be copied."""
    with scratch("pipeline", in_memory=True) as folder:
        path = folder / "template.db"
        schema.upgrade_now(f"sqlite:///{path}")
        yield path


@pytest.fixture(autouse=True)
def logged():
    """The log lines of the test, as dictionaries; nothing is printed."""
    with structlog.testing.capture_logs() as lines:
        yield lines


_numbers = itertools.count(1)


@pytest.fixture
def sqlite_url(template):
    """An empty catalog of this test's own."""
    path = template.with_name(f"{next(_numbers)}.db")
    shutil.copyfile(template, path)
    yield f"sqlite:///{path}"
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()


@pytest.fixture
async def stage(sqlite_url):
    """One worker, one provider called rooms, one store; in the end no law is broken."""
    async with staged(sqlite_url) as it:
        yield it
        assert await it.violations() == []
