"""Catalogs to ask: the fixtures of `tests/catalog/databases.py`."""

from tests.catalog.databases import (  # noqa: F401 -- pytest finds fixtures by these names
    catalogs,
    database_url,
    lite,
    postgresql_catalogs,
    sqlite_catalogs,
    sqlite_url,
    world,
)
