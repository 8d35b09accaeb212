"""The catalog's schema: which revision stands there, which one this program needs, and the way between them."""

from __future__ import annotations

import asyncio
import fcntl
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

import archiver
from archiver.catalog.database import driver_url, prepare, shown, sqlite_path, translated
from archiver.domain.errors import SchemaMismatch, StorageFull

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config

UPGRADE_LOCK = 0x61726368  # "arch": one upgrade at a time on one PostgreSQL database


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """`found` is None in an empty database; `known` says whether this program has heard of it."""

    found: str | None
    head: str
    known: bool

    @property
    def current(self) -> bool:
        """Whether the schema is the one this program was made for."""
        return self.found == self.head


def scripts() -> Path:
    """Where the migrations lie: inside the installed package, or at the top of a checkout."""
    package = Path(archiver.__file__).parent
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def revisions() -> dict[str, str]:
    """Every revision this program knows, with the one before it ("" before the first), as the migrations' files name them."""
    found: dict[str, str] = {}
    for path in (scripts() / "versions").glob("*.py"):
        text = path.read_text()
        revision, before = (re.search(rf'^{name}(?:: [^=]+)? = (?:"(\w+)"|None)$', text, re.MULTILINE) for name in _NAMES)
        if revision is not None and revision[1]:
            found[revision[1]] = (before[1] or "") if before is not None else ""
    return found


_NAMES = ("revision", "down_revision")


def alembic_config() -> Config:
    """Alembic's settings, without an ini file. Importing it takes a quarter of a start, and is needed for upgrades only."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts()))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _connected(url: str, *, reading: bool = False) -> Iterator[sa.Connection]:
    path = sqlite_path(url)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFull(f"catalog.url: the folder {path.parent} cannot be made: {error.strerror}") from None
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool)
    prepare(engine)
    try:
        with engine.connect() as connection:
            yield connection.execution_options(archiver_reads=reading)
    except (OSError, sa.exc.SQLAlchemyError) as error:
        raise translated(error, where=shown(driver_url(url))) from None
    finally:
        engine.dispose()


@contextmanager
def _alone(url: str, connection: sa.Connection) -> Iterator[None]:
    """Lets one process at a time upgrade; the others wait and then find nothing to do."""
    path = sqlite_path(url)
    if path is None:
        connection.execute(sa.select(sa.func.pg_advisory_lock(UPGRADE_LOCK)))
        connection.commit()
        try:
            yield
        finally:
            connection.rollback()
            connection.execute(sa.select(sa.func.pg_advisory_unlock(UPGRADE_LOCK)))
            connection.commit()
        return
    with path.with_name(f"{path.name}.upgrade").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _state(connection: sa.Connection) -> SchemaState:
    known = revisions()
    head = next(iter(known.keys() - set(known.values())), "")
    made = sa.inspect(connection).has_table("alembic_version")
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if made else None
    connection.rollback()
    return SchemaState(found=found, head=head, known=found is None or found in known)


def state_now(url: str) -> SchemaState:
    """Which revision stands in the database; blocks."""
    with _connected(url, reading=True) as connection:
        return _state(connection)


def upgrade_now(url: str) -> SchemaState:
    """Brings the schema to this program's revision and returns what stood there before; blocks.

    Raises SchemaMismatch where a newer program has been here: a downgrade would lose what it wrote.
    """
    with _connected(url) as connection, _alone(url, connection):
        before = _state(connection)
        if not before.known:
            raise SchemaMismatch(
                _newer(before), hint="start the newer program again, or restore the catalog from before its upgrade"
            )
        if not before.current:
            from alembic import command  # noqa: PLC0415 -- see alembic_config

            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return before


def _newer(state: SchemaState) -> str:
    return f"the catalog's schema is {state.found}, which this program has never heard of (it knows up to {state.head})"


async def ready(url: str, *, upgrade: bool) -> SchemaState:
    """Makes sure that the schema fits, upgrading when allowed; raises SchemaMismatch, CatalogUnavailable."""
    if upgrade:
        return await asyncio.to_thread(upgrade_now, url)
    state = await asyncio.to_thread(state_now, url)
    if not state.known:
        raise SchemaMismatch(_newer(state))
    if not state.current:
        raise SchemaMismatch(
            f"the catalog's schema is {state.found or 'empty'}, this program needs {state.head}",
            hint="run `archiver catalog upgrade`, or set catalog.auto_upgrade = true",
        )
    return state
