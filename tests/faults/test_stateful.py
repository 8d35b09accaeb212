"""The catalog does what the model does, in whatever order things happen to it."""

import contextlib
import shutil

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from archiver.catalog import schema
from archiver.catalog.database import Database
from archiver.catalog.tables import metadata
from tests.faults.inline_sqlite import InlineDatabase, closed
from tests.faults.reach import Row
from tests.faults.stateful import CatalogMachine, machine
from tests.testbed.scratch import scratch

ROWS = (
    Row.LATE_ARRIVAL,
    Row.CHANGES,
    Row.VANISHES,
    Row.ZOMBIES,
    Row.DB_COMMIT,
    Row.CLOCK_JUMPS,
    Row.SIGTERM,
    Row.KILL,
)


@pytest.fixture(scope="module")
def on_sqlite():
    """Opens a fresh catalog in memory, without threads: a step takes milliseconds."""
    with scratch("stateful", in_memory=True) as folder:
        template, path = folder / "template.db", folder / "catalog.db"
        schema.upgrade_now(f"sqlite:///{template}")

        @contextlib.asynccontextmanager
        async def new(clock):
            for left in folder.glob("catalog.db*"):
                left.unlink()
            shutil.copyfile(template, path)
            async with closed(f"sqlite:///{path}"), InlineDatabase(f"sqlite:///{path}", clock=clock) as database:
                yield database

        yield new


@pytest.fixture(scope="module")
def on_postgresql(postgres):
    """Opens a database that was emptied."""
    with postgres.database(postgres.template("catalog", schema.upgrade_now)) as url:

        @contextlib.asynccontextmanager
        async def new(clock):
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))
            async with Database(url, clock=clock, clock_rules=True) as database:
                yield database

        yield new


def run(new_catalog, campaign, *, examples, steps, again=False):
    """Plays examples; with `again` the same ones every time: so few may miss a fault by chance, which is nobody's mistake."""
    CatalogMachine.reach.campaign = campaign
    CatalogMachine.reach.counts.clear()
    CatalogMachine.steps = 0
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=checks,
        database=None,
        derandomize=again,
        phases=[Phase.generate, Phase.shrink],  # explaining takes minutes and says less than the steps themselves
    )
    run_state_machine_as_test(machine(new_catalog), settings=how)
    assert CatalogMachine.reach.missing(ROWS) == []
    CatalogMachine.reach.save()
    return CatalogMachine.steps


def test_the_catalog_on_sqlite_equals_the_model_after_every_step(on_sqlite):
    assert run(on_sqlite, "stateful, SQLite", examples=150, steps=60, again=True) > 4000


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_the_catalog_on_sqlite_equals_the_model_over_many_steps(on_sqlite, record_property):
    steps = run(on_sqlite, "stateful, SQLite", examples=400, steps=60)
    record_property("steps", steps)
    assert steps > 15_000


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_the_catalog_on_postgresql_equals_the_model_over_many_steps(on_postgresql, record_property):
    steps = run(on_postgresql, "stateful, PostgreSQL", examples=120, steps=50)
    record_property("steps", steps)
    assert steps > 3000
