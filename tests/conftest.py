"""The fixtures that every test package shares: real servers, a fault proxy, a browser; and the check that nothing leaks.

Servers start when the first test asks for one. A component that this machine lacks skips its tests with one loud line in the
summary; under CI=true it fails them.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, NoReturn, TypeVar

import hypothesis
import pytest

from tests.testbed.browser import browser
from tests.testbed.environment import Given, isolate
from tests.testbed.leaks import leaked_sockets, leaked_tasks, open_sockets
from tests.testbed.localstack import localstack as start_localstack
from tests.testbed.missing import Missing
from tests.testbed.postgres import PostgresServer
from tests.testbed.postgres import postgres as start_postgres
from tests.testbed.proxy import Proxy, proxy
from tests.testbed.rclone_s3 import rclone_s3 as start_rclone_s3
from tests.testbed.s3 import Bucket, S3Server

if TYPE_CHECKING:
    from playwright.async_api import Page

T = TypeVar("T")

_given = pytest.StashKey[Given]()
_missing = pytest.StashKey[dict[str, str]]()
_long_lived = pytest.StashKey[set[str]]()
_failed = pytest.StashKey[bool]()

hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("dev", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_missing] = {}
    config.stash[_long_lived] = set()
    config.stash[_given] = isolate(os.environ)
    # Told that there is no loop, looptime does not make one in every first test without asyncio, which nobody would close.
    asyncio.set_event_loop(None)
    if not config.getoption("--hypothesis-profile", default=None):
        hypothesis.settings.load_profile("ci" if _in_ci() else "dev")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long campaigns to `make test-faults`, or to whoever asks for them with `-m faults`."""
    if not config.option.markexpr:
        campaigns = [item for item in items if item.get_closest_marker("faults")]
        items[:] = [item for item in items if item not in campaigns]
        config.hook.pytest_deselected(items=campaigns)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for component, reason in config.stash[_missing].items():
        terminalreporter.write_line(f"SKIPPED COMPONENT: {component}: {reason}", yellow=True, bold=True)


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"


def _do_without(missing: Missing, config: pytest.Config) -> NoReturn:
    config.stash[_missing][missing.component] = missing.reason
    if _in_ci():
        pytest.fail(f"a component is missing, and CI promises them all: {missing}", pytrace=False)
    pytest.skip(str(missing))


def _held(server: contextlib.AbstractContextManager[T], config: pytest.Config) -> Iterator[T]:
    """Keep `server` for as long as the fixture that yields from this lives."""
    with contextlib.ExitStack() as stack:
        try:
            entered = stack.enter_context(server)
        except Missing as missing:
            _do_without(missing, config)
        yield entered


# --- PostgreSQL


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """The session's PostgreSQL, for tests that make several databases, or make them from a template."""
    yield from _held(start_postgres(pytestconfig.stash[_given].postgres), pytestconfig)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """`postgresql://…` of an empty database of this test's own."""
    with postgres.database() as url:
        yield url


# --- S3


@pytest.fixture(scope="session")
def localstack(pytestconfig: pytest.Config) -> Iterator[S3Server]:
    """The session's faithful S3: endpoint, credentials, `new_bucket()`."""
    yield from _held(start_localstack(pytestconfig.stash[_given].localstack), pytestconfig)


@pytest.fixture
def s3_bucket(localstack: S3Server) -> Iterator[Bucket]:
    """A plain bucket of this test's own, on LocalStack."""
    yield from _bucket(localstack, locked=False)


@pytest.fixture
def locked_bucket(localstack: S3Server) -> Iterator[Bucket]:
    """A bucket of this test's own with versioning and Object Lock, on LocalStack."""
    yield from _bucket(localstack, locked=True)


@pytest.fixture(scope="session")
def rclone_s3(pytestconfig: pytest.Config) -> Iterator[S3Server]:
    """The session's poor S3-compatible: `rclone serve s3`."""
    yield from _held(start_rclone_s3(), pytestconfig)


@pytest.fixture
def rclone_bucket(rclone_s3: S3Server) -> Iterator[Bucket]:
    """A plain bucket of this test's own, on rclone."""
    yield from _bucket(rclone_s3, locked=False)


def _bucket(server: S3Server, *, locked: bool) -> Iterator[Bucket]:
    yield server.new_bucket(locked=locked)
    server.client.close()  # its sockets; the next test opens new ones


# --- Faults


@pytest.fixture
async def tcp_proxy() -> AsyncIterator[Callable[[str, int], Awaitable[Proxy]]]:
    """`p = await tcp_proxy("127.0.0.1", port)`: a fault proxy in front of any server, until the test ends."""
    async with contextlib.AsyncExitStack() as stack:

        async def in_front_of(host: str, port: int) -> Proxy:
            return await stack.enter_async_context(proxy(host, port))

        yield in_front_of


# --- Browser


@pytest.fixture
async def browser_page(pytestconfig: pytest.Config) -> AsyncIterator["Page"]:
    """An empty page of headless chromium that reaches loopback only; what takes longer than 5 s fails."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            chromium = await stack.enter_async_context(browser())
        except Missing as missing:
            _do_without(missing, pytestconfig)
        page = await chromium.new_page()
        page.set_default_timeout(5_000)
        yield page


# --- Leaks


@pytest.fixture(autouse=True)
def _nothing_leaks(request: pytest.FixtureRequest) -> None:
    # By name, because an async fixture for every test would also make a loop for those that need none.
    request.getfixturevalue("_no_async_leaks" if "asyncio" in request.keywords else "_no_open_sockets")


@pytest.fixture
def _no_open_sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    before = open_sockets()
    yield
    _complain(request.node, [], leaked_sockets(before | request.config.stash[_long_lived]))


@pytest.fixture
async def _no_async_leaks(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    before = open_sockets()
    yield
    tasks = await leaked_tasks()
    _complain(request.node, tasks, leaked_sockets(before | request.config.stash[_long_lived]))


def _complain(item: pytest.Item, tasks: list[str], sockets: set[str]) -> None:
    # A test that failed half-way left its things open for a reason that is already being told.
    if (tasks or sockets) and not item.stash.get(_failed, False):
        pytest.fail("\n".join(["the test left behind:", *tasks, *sorted(sockets)]), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    # What hostile texts leave in captured output cannot cross to the process that collects the reports.
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> Iterator[None]:
    """Note the sockets of what outlives a test: servers of the session, loops of a module."""
    if fixturedef.scope == "function":
        return (yield)
    before = open_sockets()
    try:
        return (yield)
    finally:
        request.config.stash[_long_lived] |= open_sockets() - before
