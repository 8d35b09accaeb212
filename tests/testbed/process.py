"""Child processes that never outlive the tests: a server is started, watched until it is ready, and killed with all it started."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Hold a TCP port of 127.0.0.1 for the length of the block, for a server that binds it with SO_REUSEADDR, as all of them do.

    Bound and not listening, it is given to nobody who asks for just any port, and Linux lets the server have it all the same.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def bound_to_us(command: Sequence[str], *, signal_name: str = "KILL", user: str | None = None) -> list[str]:
    """Wrap `command` so that the kernel signals it when this process dies, even by SIGKILL, and so that it runs as `user`."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return list(command)
    identity = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    return [setpriv, *identity, f"--pdeathsig={signal_name}", "--", *command]


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    ready: Callable[[], bool],
    within: float = 60.0,
    stop: signal.Signals = signal.SIGKILL,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` in a session of its own until the block ends; enter the block once `ready()` holds.

    Raises RuntimeError with the end of the log when the process dies or is not ready `within` that many seconds.
    """
    with log.open("ab") as sink:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment, cwd=cwd, start_new_session=True
        )
    try:
        _wait(child, command[0], ready, within=within, log=log)
        yield child
    finally:
        _end(child, stop)


def _wait(child: subprocess.Popen[bytes], name: str, ready: Callable[[], bool], *, within: float, log: Path) -> None:
    deadline = time.monotonic() + within
    while not ready():
        if child.poll() is not None:
            raise RuntimeError(f"{name}: ended with {child.returncode} before it was ready\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name}: not ready after {within:g} s\n{_tail(log)}")
        time.sleep(0.02)


def _end(child: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    if child.poll() is None and stop is not signal.SIGKILL:
        child.send_signal(stop)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
    # The group, not the child: LocalStack leaves helpers behind that ignore everything else.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
