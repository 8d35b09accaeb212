"""Other processes of a benchmark: servers that live as long as a block, and clients whose cost is taken when they end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
LOOK_EVERY = 50  # milliseconds between two looks at a client's peak memory
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a client took: CPU (user and system, children included) and time on the clock in seconds, peak memory in bytes.

    `began` is the monotonic instant at which it was started, the same clock in every process of the machine.
    """

    cpu: float
    wall: float
    rss: int
    out: str
    began: float = 0.0


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    enough: Callable[[], bool] | None = None,
) -> Cost:
    """Runs a client to its end, or until `enough` says so; raises RuntimeError with the end of what it said when it fails."""
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        began = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env=dict(environment))
        try:
            rss, stopped = _watched(child.pid, enough)
        except BaseException:
            child.kill()
            child.wait()
            raise
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode and not stopped:
        said = "\n".join((folder / name).read_text(errors="replace")[-8_000:] for name in ("out", "err"))
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {child.returncode}\n{said}")
    said = (folder / "out").read_text(errors="replace")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, wall=wall, rss=rss, out=said, began=began)


def _watched(pid: int, enough: Callable[[], bool] | None) -> tuple[int, bool]:
    """Waits for a child's end without reaping it; its peak memory, and whether it was stopped.

    VmHWM and not ru_maxrss: Linux lets a child begin with the peak of the process that started it, which is ours.
    """
    peak, stopped = 0, False
    pidfd = os.pidfd_open(pid)
    try:
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        while not ended.poll(LOOK_EVERY):
            peak = max(peak, _status(pid, "VmHWM:"))
            if enough is not None and not stopped and enough():
                os.kill(pid, signal.SIGTERM)
                stopped = True
    finally:
        os.close(pidfd)
    return peak, stopped


def _status(pid: int, name: str) -> int:
    """A number of bytes from /proc/PID/status, 0 where the process has none any more."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a running process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def serving(module: str, *words: str) -> Iterator[dict[str, Any]]:
    """Runs one of our servers while the block runs and yields the JSON line it begins with, and its `pid`."""
    command = [sys.executable, "-m", module, *words]
    environment = os.environ | {"OPENSSL_CONF": str(ROOT / "benchmarks" / "openssl.cnf")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, env=environment) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            if not line:
                raise RuntimeError(f"{module} did not start")
            yield {**json.loads(line), "pid": child.pid}
        finally:
            child.stdin.close()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
