"""The real program on a disk that is full, read-only or fails to sync, and behind lines that are cut: for the long campaign.

`on_a_small_disk` gives a run a file system of its own, a few megabytes in memory, in a mount namespace that vanishes with it.
"""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from archiver.simulator.population import ALL_PLAIN, Mix, populate
from archiver.simulator.world import World
from tests.testbed.missing import Missing

NAMESPACE = ("unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]))
PATIENCE = 15  # seconds; a sync waits five minutes for a store that may come back, a test does not


def plain_world(seed, count):
    """Recordings of which every one can be archived, so that a run that says 0 claims to have archived them all."""
    world = World(clock=lambda: datetime.now(UTC), seed=seed)
    populate(world, count, mix=Mix(days=5, sizes=(20_000, 60_000), fates=ALL_PLAIN, live=0.0))
    return world


def sync(arena, *wrapper):
    """The shell command of a `sync` over an arena, asked to end after a while; `wrapper` words come before the program."""
    words = [
        "timeout",
        "--preserve-status",
        "-s",
        "TERM",
        str(PATIENCE),
        *wrapper,
        sys.executable,
        "-m",
        "archiver",
        "--config",
        str(arena.folder / "archiver.toml"),
        "--log-format",
        "json",
    ]
    return f"{shlex.join(words)} sync --json"


async def shell(script, *, log, environment=None, inside=()):
    """Runs a shell script; its output goes to the end of `log`. Returns the exit code."""
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *inside, "sh", "-c", script, stdout=sink, stderr=sink, env={**os.environ, **(environment or {})}
        )
        return await process.wait()


async def on_a_small_disk(folder, script, *, log, size="3m"):
    """The exit code of a script for which `folder` is a file system of `size`; what it leaves there is there afterwards."""
    saved = folder.with_name(f"{folder.name}.saved")
    around = f"""
mount -t tmpfs -o size={size} none {folder} || exit 90
{script}
code=$?
cp -a {folder} {saved} || exit 91
exit $code
"""
    code = await shell(around, log=log, inside=NAMESPACE)
    if not saved.exists():
        raise Missing("a mount namespace", f"`{' '.join(NAMESPACE)}` cannot mount a tmpfs here ({code})")
    shutil.rmtree(folder)
    saved.rename(folder)
    return code


def strace():
    """The words that trace a command and break its syncs from the n-th on; raises Missing."""
    path = shutil.which("strace")
    if path is None or subprocess.run([path, "-qq", "-e", "trace=none", "true"], check=False, capture_output=True).returncode:
        raise Missing("strace", "it is not installed, or may not trace; hint: `apt-get install strace`")
    return [path, "-f", "-qq", "-o", os.devnull, "-e", "signal=none", "-e", "trace=fsync,fdatasync"]


def broken_sync(nth):
    """… so that every sync of the file system from the n-th on fails."""
    return [*strace(), "-e", f"inject=fsync,fdatasync:error=EIO:when={nth}+"]


def objects(folder):
    """How many media stand in a folder archive."""
    return sum(
        1 for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".") and "_" not in path.parts
    )
