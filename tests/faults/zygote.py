"""The real program, imported once and forked for every start: a start then costs 20 ms instead of a second, and is killed like any other.

    python -m tests.faults.zygote            reads one JSON line a start: {"words": [...], "log": PATH, "environment": {...}}

It answers each with a line {"pid": N} and, whenever one of them has ended, {"pid": N, "code": N}; -9 after SIGKILL. With `--hurry`
retries come within a quarter of a second at first and four seconds at most, and a second look at what is gone within half a second:
the only thing about the program that is not as users have it, so that hundreds of faults fit into minutes.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from datetime import timedelta

import alembic.command
import alembic.ddl.postgresql
import alembic.ddl.sqlite
import psycopg

from archiver import daemon
from archiver.__main__ import main as program
from archiver.catalog import schema
from archiver.cli import root
from archiver.domain import outcomes, retry
from archiver.providers import telnyx_calls, telnyx_rooms, twilio_video

_IMPORTED = (
    alembic,
    psycopg,
    daemon,
    schema,
    root,
    telnyx_calls,
    telnyx_rooms,
    twilio_video,
)  # whatever a run would import itself
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def hurry():
    """Shortens waits between retries."""
    retry.FIRST, retry.LONGEST = timedelta(seconds=0.25), timedelta(seconds=4)
    outcomes.SECOND_LOOK = timedelta(seconds=0.25)


def start(words, log, environment):
    """Forks; the child becomes the program. Its output goes to the end of the file `log`, standard output too."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((nothing, 0), (sink, 1), (sink, 2)):
            os.dup2(old, new)
        signal.set_wakeup_fd(-1)
        os.environ.update(environment)
        sys.argv = ["archiver", *words]
        try:
            program()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main():
    """Until standard input ends. Single-threaded and without a loop: only such a process may fork."""
    if "--hurry" in sys.argv:
        hurry()
    signal.set_wakeup_fd(-1)
    poll = select.poll()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    signal.signal(signal.SIGCHLD, lambda *_given: os.write(writing, b"."))
    poll.register(0)
    poll.register(reading)
    asked = b""
    while True:
        for handle, _event in poll.poll():
            if handle == reading:
                os.read(reading, 4096)
                os.write(1, _reap())
                continue
            got = os.read(0, 65536)
            if not got:
                return
            *lines, asked = (asked + got).split(b"\n")
            for line in lines:
                _answer({"pid": start(**json.loads(line))})


def _reap():
    """A line for each child that has ended."""
    told = b""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            told += json.dumps({"pid": ended[0], "code": os.waitstatus_to_exitcode(ended[1])}).encode() + b"\n"
    return told


def _answer(value):
    os.write(1, json.dumps(value).encode() + b"\n")


class Zygote:
    """The other side of the pipe, for a campaign: starts runs of the program, kills them, waits for them."""

    def __init__(self, process):
        self._process = process
        self._born = asyncio.Queue()
        self._ended = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, *, hurry=False):
        """One zygote for the length of the block; nothing that it started outlives it."""
        words = [sys.executable, "-m", "tests.faults.zygote", *(["--hurry"] if hurry else [])]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
        zygote = cls(process)
        try:
            yield zygote
        finally:
            process.stdin.close()
            await process.wait()
            await zygote._reader

    async def start(self, *words, log, environment=None):
        """Starts the program; a Run."""
        line = json.dumps({"words": [str(word) for word in words], "log": str(log), "environment": environment or {}})
        self._process.stdin.write(line.encode() + b"\n")
        return await self._born.get()

    async def _read(self):
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            pid = told["pid"]
            if "code" in told:
                self._ended.pop(pid).set_result(told["code"])
            else:
                self._ended[pid] = asyncio.get_running_loop().create_future()
                self._born.put_nowait(Run(pid, self._ended[pid]))


class Run:
    """One run of the program."""

    def __init__(self, pid, ended):
        self.pid = pid
        self._ended = ended

    @property
    def over(self):
        """Whether it has ended."""
        return self._ended.done()

    async def ended(self):
        """Its exit code, once it has one; -9 after SIGKILL."""
        return await asyncio.shield(self._ended)

    async def kill(self, number=signal.SIGKILL):
        """Sends a signal and waits for the end; the exit code."""
        if not self.over:
            os.kill(self.pid, number)
        return await self.ended()


if __name__ == "__main__":
    main()
