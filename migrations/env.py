"""Runs migrations on the connection that `archiver.catalog.schema` hands over."""

from __future__ import annotations

from alembic import context

from archiver.catalog.indexes import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transactional_ddl=True,  # also SQLite: all migrations of an upgrade, or none
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
