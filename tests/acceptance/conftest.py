"""What acceptance tests stand on: real databases and stores of the testbed, and logs put back as they were."""

import logging

import pytest
import structlog

from tests.catalog.databases import (  # noqa: F401 -- pytest finds fixtures by these names
    catalogs,
    database_url,
    postgresql_catalogs,
    sqlite_catalogs,
)
from tests.pipeline.conftest import sqlite_url, template  # noqa: F401 -- the same


@pytest.fixture(autouse=True)
def _logs_as_before():
    """The program sets the logs of the whole process up."""
    handlers = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.captureWarnings(capture=False)
