"""Other processes of a benchmark: servers that live as long as a block, and clients whose cost is taken when they end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a client took: CPU (user and system, children included), time on the clock, both in seconds, and peak memory in bytes."""

    cpu: float
    wall: float
    rss: int
    out: str


def run(command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Cost:
    """Runs a client to its end; raises RuntimeError with the end of what it said when it fails."""
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        began = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env=dict(environment))
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = "\n".join((folder / name).read_text(errors="replace")[-3_000:] for name in ("out", "err"))
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {child.returncode}\n{said}")
    said = (folder / "out").read_text(errors="replace")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, wall=wall, rss=usage.ru_maxrss * 1024, out=said)


@contextlib.contextmanager
def serving(module: str, *words: str) -> Iterator[dict[str, Any]]:
    """Runs one of our servers while the block runs and yields the JSON line it begins with."""
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            if not line:
                raise RuntimeError(f"{module} did not start")
            yield json.loads(line)
        finally:
            child.stdin.close()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A source and a sink that run, and what the source's recordings should become."""

    folder: Path
    api: str
    media: str
    key: str
    endpoint: str
    expected: list[dict[str, Any]]
    certificates: certificates.Certificates
    tls: bool

    @property
    def environment(self) -> dict[str, str]:
        """What every client is given."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
        files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "RCLONE_CONFIG": "/dev/null"}
        return kept | keys | files | {"PYTHONPATH": str(ROOT), **self.certificates.environment}

    def sink(self, path: str, *, method: str = "GET") -> dict[str, Any]:
        """Asks the sink itself."""
        import ssl  # noqa: PLC0415

        context = ssl.create_default_context(cafile=str(self.certificates.authority)) if self.tls else None
        request = urllib.request.Request(f"{self.endpoint}/{path}", method=method)
        with urllib.request.urlopen(request, context=context) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def stage(folder: Path, *source: str, tls: bool) -> Iterator[Stage]:
    """A source started with the words given, and a sink."""
    folder.mkdir(parents=True, exist_ok=True)
    certs = certificates.make(folder)
    secure = ["--tls", str(certs.certificate), str(certs.key)] if tls else []
    manifest = folder / "manifest.json"
    with (
        serving("benchmarks.source", "--manifest", str(manifest), *source, *secure) as places,
        serving("benchmarks.sink", *secure) as sink,
    ):
        yield Stage(
            folder=folder,
            **places,
            **sink,
            expected=json.loads(manifest.read_text()),
            certificates=certs,
            tls=tls,
        )
