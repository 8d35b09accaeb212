"""Catalogs to test: the fixtures of `databases.py`."""

from tests.catalog.databases import (  # noqa: F401 -- pytest finds fixtures by these names
    catalog_on_postgres,
    catalogs,
    database_url,
    lite,
    pg,
    postgresql_catalogs,
    shared_url,
    shared_world,
    sqlite_catalogs,
    sqlite_url,
    world,
)
