"""LocalStack in a time of its own, which a test moves: locks there really hold, and years later really end."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.retention.archive import Clock
from tests.testbed import localstack as server
from tests.testbed.missing import Missing
from tests.testbed.process import bound_to_us, reserved_port, running
from tests.testbed.s3 import S3Server
from tests.testbed.scratch import scratch


class Epoch:
    """The time of one server: real time and what it was moved by."""

    def __init__(self, file):
        self._file = file
        self.offset = timedelta(0)
        self.move(timedelta(0))

    def move(self, by):
        self.offset += by
        self._file.write_text(f"+{int(self.offset.total_seconds())}s\n")

    def now(self):
        return datetime.now(UTC) + self.offset


class MovingClock(Clock):
    """The product's clock, which goes as the server's does."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def now(self):
        return self.epoch.now()

    def __call__(self):
        return self.epoch.now()

    def advance(self, **by):
        self.epoch.move(timedelta(**by))
        super().advance(**by)


def _library():
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise Missing("faketime", "no libfaketimeMT.so.1 below /usr/lib; hint: apt-get install faketime")
    return found[0]


@contextlib.contextmanager
def moving_localstack():
    """Starts a server (about 5 s); gives it and its Epoch."""
    library = _library()
    python = server.install() / "bin" / "python"
    with scratch("moving-localstack") as folder, reserved_port() as port:
        url = f"http://127.0.0.1:{port}"
        epoch = Epoch(folder / "time")
        faked = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(folder / "time"),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            # What it takes for a glibc that waits by the wrong clock makes every wait of a thread last: 0.4 s a request.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }
        with running(
            bound_to_us([str(python), "-m", "localstack.runtime.main"]),
            log=folder / "log",
            ready=lambda: server._serves(url),
            environment={**server._environment(port, str(folder)), **faked},
            cwd=folder,
        ):
            yield S3Server(endpoint_url=url), epoch
