"""LocalStack S3 4.9.2, the most faithful S3 that runs without docker: versioning, Object Lock, checksums, conditional writes.

Not as AWS: a second CompleteMultipartUpload answers 404 (AWS 200); a wrong secret or a skewed clock is not refused outside
presigned URLs; lock headers on a bucket without lock are accepted. All state is in memory.

`python -m tests.testbed.localstack` starts one and prints its address; `… --install` only makes its venv.
"""

import contextlib
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.testbed.cached_venv import cached_venv
from tests.testbed.process import bound_to_us, reserved_port, running
from tests.testbed.s3 import S3Server
from tests.testbed.scratch import scratch

VERSION = "4.9.2"
# Later versions of localstack-core need Python 3.13; later cbor2 and pyOpenSSL break this one; jinja2 it forgets to ask for.
REQUIREMENTS = (f"localstack-core[base-runtime]=={VERSION}", "cbor2<6", "pyOpenSSL<25", "jinja2")


def install() -> Path:
    """Return the venv with LocalStack in it. Raises Missing when it cannot be made."""
    return cached_venv(f"localstack-{VERSION}", REQUIREMENTS, component="LocalStack S3")


@contextlib.contextmanager
def localstack(given: str | None = None) -> Iterator[S3Server]:
    """Start a server for the length of the block (1 to 4 s, 450 MB), or use the one that listens at `given`."""
    if given:
        yield S3Server(endpoint_url=given.rstrip("/"))
        return
    python = install() / "bin" / "python"
    with scratch("localstack") as folder, reserved_port() as port:
        url = f"http://127.0.0.1:{port}"
        # SIGKILL at once: nothing of it is worth keeping, and after SIGTERM some of its processes stay.
        with running(
            bound_to_us([str(python), "-m", "localstack.runtime.main"]),
            log=folder / "log",
            ready=lambda: _serves(url),
            environment=_environment(port, str(folder)),
            cwd=folder,
        ):
            yield S3Server(endpoint_url=url)


def _environment(port: int, folder: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "TMPDIR": folder,
        "SERVICES": "s3",
        "EAGER_SERVICE_LOADING": "1",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_SERVER": "hypercorn",
        "FILESYSTEM_ROOT": folder,
        "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
    }


def _serves(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_localstack/health", timeout=5) as answer:
            return b'"s3": "running"' in answer.read()
    except (urllib.error.URLError, OSError):
        return False


def main() -> None:
    """Keep one server for developers, who point ARCHIVER_TEST_LOCALSTACK at it to save its start."""
    if sys.argv[1:] == ["--install"]:
        print(install())
        return
    with localstack() as server, contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f"export ARCHIVER_TEST_LOCALSTACK={server.endpoint_url}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
