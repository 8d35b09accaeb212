"""Empty databases for migrations to work on, of each kind."""

import contextlib
import itertools

import pytest


@pytest.fixture(scope="session")
def sqlite_empties(tmp_path_factory):
    """URLs of SQLite catalogs that do not exist yet, nor their folders."""
    top, numbers = tmp_path_factory.mktemp("migrations"), itertools.count(1)
    return lambda: contextlib.nullcontext(f"sqlite:///{top}/{next(numbers)}/data/catalog.db")


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def empties(request):
    """A function that makes a context manager for the URL of an empty database, on each."""
    return request.getfixturevalue(f"{request.param}_empties")


@pytest.fixture(scope="session")
def postgresql_empties(postgres):
    """URLs of empty PostgreSQL databases."""
    return postgres.database


@pytest.fixture
def empty_url(empties):
    """The URL of an empty database, on each kind."""
    with empties() as url:
        yield url
