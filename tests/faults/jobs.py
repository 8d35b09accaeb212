"""Parts of a campaign side by side in processes of their own, which die with it."""

import concurrent.futures
import ctypes
import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent dies, however it dies."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)


def collect_rarely() -> None:
    """Has the garbage collector look less often, and not at what is there already: a tenth of a simulation's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _begin() -> None:
    die_with_parent()
    collect_rarely()


def spread(act: Callable[[Any], Any], tasks: Sequence[Any], *, jobs: int | None = None) -> Iterator[Any]:
    """The results of `act` for every task, as they come, at most `jobs` at once (as many as there are cores)."""
    jobs = min(jobs or os.cpu_count() or 1, len(tasks))
    if jobs <= 1:
        yield from map(act, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin) as pool:
        for done in concurrent.futures.as_completed([pool.submit(act, task) for task in tasks]):
            yield done.result()
