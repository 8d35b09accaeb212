"""Servers from PyPI whose pins would quarrel with ours: each in a venv of its own, made once for a machine and kept."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.testbed.missing import Missing


def cached_venv(name: str, requirements: Sequence[str], *, component: str) -> Path:
    """Return the folder of the venv `name` that holds `requirements`, made now when it is not there (about half a minute).

    Several test runs may ask at once: the first one builds, the others wait for it. Raises Missing when pip cannot install.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archiver-testbed"
    cache.mkdir(parents=True, exist_ok=True)
    folder, wanted = cache / name, "\n".join(requirements)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(folder, wanted):
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder, requirements, component)
            (folder / "complete").write_text(wanted)
    return folder


def _complete(folder: Path, wanted: str) -> bool:
    marker = folder / "complete"
    # The second half: the interpreter behind the venv may have been upgraded away.
    return marker.exists() and marker.read_text() == wanted and (folder / "bin" / "python").exists()


def _build(folder: Path, requirements: Sequence[str], component: str) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    for command in ([sys.executable, "-m", "venv", str(folder)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Missing(component, f"`{' '.join(command[1:4])} …` failed: {last}")
