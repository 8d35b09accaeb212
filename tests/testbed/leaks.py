"""What a test must not leave behind: asyncio tasks and open sockets, found in microseconds."""

import asyncio
import gc
import os

_TURNS = 20  # of the loop, for what was cancelled or closed just now to be gone


def open_sockets() -> set[str]:
    """Name the sockets that this process holds, by inode; none where there is no /proc."""
    try:
        descriptors = os.listdir("/proc/self/fd")  # noqa: PTH208 - the fastest way, and it runs around every test
    except FileNotFoundError:
        return set()
    found = set()
    for descriptor in descriptors:
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        except FileNotFoundError:  # the listing's own
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def leaked_sockets(allowed: set[str]) -> set[str]:
    """Return the open sockets beyond `allowed`; what only waits for the garbage collector is collected, which warns by itself."""
    if open_sockets() <= allowed:
        return set()
    gc.collect()
    return open_sockets() - allowed


async def leaked_tasks() -> list[str]:
    """Return the tasks of this loop, besides the caller, that do not end by themselves in a few turns."""
    for _ in range(_TURNS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return []
        await asyncio.sleep(0)
    return sorted(repr(task) for task in left)
