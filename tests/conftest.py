"""The fixtures that every test package shares."""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.testbed.localstack import localstack as start_localstack
from tests.testbed.missing import Missing
from tests.testbed.postgres import PostgresServer
from tests.testbed.postgres import postgres as start_postgres
from tests.testbed.rclone_s3 import rclone_s3 as start_rclone_s3
from tests.testbed.s3 import Bucket, S3Server

_missing = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_missing] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for component, reason in config.stash[_missing].items():
        terminalreporter.write_line(f"SKIPPED COMPONENT: {component}: {reason}", yellow=True, bold=True)


def _without(missing: Missing, config: pytest.Config) -> NoReturn:
    """Skip, loudly; where CI promises every component, fail."""
    config.stash[_missing][missing.component] = missing.reason
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing component under CI=true: {missing}", pytrace=False)
    pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """The session's PostgreSQL, for tests that make databases of their own or from a template."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(start_postgres(os.environ.get("ARCHIVER_TEST_POSTGRES")))
        except Missing as missing:
            _without(missing, request.config)
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """`postgresql://…` of an empty database of this test's own."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def localstack(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """The session's LocalStack S3: endpoint and credentials."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(start_localstack(os.environ.get("ARCHIVER_TEST_LOCALSTACK")))
        except Missing as missing:
            _without(missing, request.config)
        yield server


@pytest.fixture
def s3_bucket(localstack: S3Server) -> Iterator[Bucket]:
    """A plain bucket of this test's own, on LocalStack."""
    yield localstack.new_bucket()
    localstack.client.close()


@pytest.fixture
def locked_bucket(localstack: S3Server) -> Iterator[Bucket]:
    """A bucket of this test's own with versioning and Object Lock, on LocalStack."""
    yield localstack.new_bucket(locked=True)
    localstack.client.close()


@pytest.fixture(scope="session")
def rclone_s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """The session's poor S3-compatible: `rclone serve s3`."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(start_rclone_s3())
        except Missing as missing:
            _without(missing, request.config)
        yield server


@pytest.fixture
def rclone_bucket(rclone_s3: S3Server) -> Iterator[Bucket]:
    """A plain bucket of this test's own, on rclone."""
    yield rclone_s3.new_bucket()
    rclone_s3.client.close()
