"""Planted defects: one-line sabotages of our own code, each of which a named test must catch, and for the right reason (G10).

    python -m tests.faults.defects                   # all of them, two at a time, on copies of the tree
    python -m tests.faults.defects --only 3 --only fence           # by number, or by words of the name
    python -m tests.faults.defects --only 3 --shows                # … with what the test said
    python -m tests.faults.defects --try tests/pipeline --only 3   # which tests of a folder catch it

The list is tests/faults/defects.toml. The working tree is never touched. First every named test has to pass where nothing is
planted. A defect whose text is not there exactly once, or whose test passes, or fails by another error than `because` says, fails
the check. Copies are forked from one process that has imported what all of them need, so that one defect takes a second or two.
"""

import argparse
import ast
import contextlib
import functools
import importlib
import json
import os
import re
import shutil
import signal
import sys
import time
import tomllib
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.testbed.scratch import scratch

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("defects.toml")
COPIED = ("archiver", "tests", "migrations", "config", "docs", "README.md", "pyproject.toml")
HANGS = 30  # seconds after which pytest ends a test: a sabotage may make one wait for ever
WITHIN = 90  # … after which the process is ended, where it lets nobody end the test
BASELINE = 600  # seconds for all named tests without a defect
_ERROR = re.compile(r"^E +", re.MULTILINE)
WARM = (
    "pytest_asyncio.plugin",
    "pytest_timeout",
    "_hypothesis_pytestplugin",
    "hypothesis.stateful",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.dialects.postgresql.psycopg",
    "aiohttp.web",
    "boto3",
    "botocore.client",
    "structlog",
    "cryptography.hazmat.primitives.serialization",
    "alembic.command",
    "apscheduler.schedulers.asyncio",
    "prometheus_client",
    "click",
    "rich.console",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One sabotage. `because` is a regular expression that must fit what the test's error says, not the test's own lines."""

    number: int
    name: str
    file: str
    text: str
    replacement: str
    test: str
    because: str

    def misfit(self, root):
        """Why it cannot be planted any more; None where it can."""
        path = root / self.file
        found = path.read_text().count(self.text) if path.exists() else 0
        if found != 1:
            return f"its text stands {found} times in {self.file}, must be there once"
        if self.text == self.replacement:
            return "it changes nothing"
        if path.suffix == ".py":
            try:
                ast.parse(path.read_text().replace(self.text, self.replacement))
            except SyntaxError as error:
                return f"what it leaves of {self.file} is no Python: {error}"
        return self._no_test(root)

    def _no_test(self, root):
        file, _, name = self.test.partition("::")
        path = root / file
        if not path.exists():
            return f"{file} does not exist"
        return None if name.partition("[")[0] in _functions(path) else f"{file} has no test {name.partition('[')[0]}"


@functools.cache
def _functions(path):
    """The names of the tests in a file; the list names many a file more than once."""
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def listed(path=LIST):
    """All defects, numbered from 1."""
    items = tomllib.loads(path.read_text())["defect"]
    return [Defect(number=number, **item) for number, item in enumerate(items, 1)]


@dataclass
class Run:
    """What the named tests did in one copy: what passed and was skipped, failures by test, and what was not even begun."""

    passed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def verdict(self, defect):
        """Why the defect counts as not caught; None where it was caught for the right reason."""
        if self.errors and not self.failed:
            return f"the test did not run: {self.errors[0][:300]}"
        if not self.failed:
            return "NOT CAUGHT: the test passes" if self.passed else "no such test ran"
        told = "\n".join(said(text) for text in self.failed.values())
        return None if re.search(defect.because, told) else f"failed for another reason than {defect.because!r}:\n{told[:1500]}"

    def unsound(self, tests):
        """Why it proves nothing that these tests passed, one line each; empty where all of them ran and passed."""
        wrong = [f"{name} fails: {said(text)[:600]}" for name, text in self.failed.items()]
        wrong += [text[-600:] for text in self.errors]
        ran = {name.partition("[")[0] for name in self.passed} | set(self.passed)
        return wrong or [f"{name} did not run" for name in tests if name not in ran or name in self.skipped]


def said(text):
    """The errors in the text of a failure, without the lines of code around them: a test quotes what it looks for."""
    lines = [line for line in text.splitlines() if _ERROR.match(line)]
    return "\n".join(_ERROR.sub("", line) for line in lines) if lines else text


class Recorder:
    """A pytest plugin that keeps what the tests did."""

    def __init__(self):
        self.run = Run()

    def pytest_runtest_logreport(self, report):
        if report.failed and report.when == "setup":
            self.run.errors.append(report.longreprtext)
        elif report.failed:  # behind the test, too: some laws are looked at by the fixture on the way out
            self.run.failed[report.nodeid] = report.longreprtext
        elif report.skipped:
            self.run.skipped.append(report.nodeid)
        elif report.when == "call":
            self.run.passed.append(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.run.errors.append(report.longreprtext)


class Copies:
    """Copies of the tree, one for each run at a time, and the children that run tests in them."""

    def __init__(self, folder, count):
        self._free = []
        self._busy = {}
        for number in range(count):
            copy = folder / f"copy{number}"
            copy.mkdir()
            for name in COPIED:
                source = ROOT / name
                if source.is_dir():
                    shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
                else:
                    shutil.copy2(source, copy / name)
            self._free.append(copy)

    def results(self, jobs):
        """Runs (defect or None, tests) jobs, as many at a time as there are copies; yields (job, Run) as they end."""
        waiting = list(jobs)
        while waiting or self._busy:
            while waiting and self._free:
                self._start(waiting.pop(0))
            pid = _ended(self._busy)
            job, copy, answer, sound, began = self._busy.pop(pid)
            self._restore(job[0], copy, sound)
            self._free.append(copy)
            yield job, _read(copy, answer, time.monotonic() - began)

    def _start(self, job):
        defect, tests = job
        copy = self._free.pop()
        sound = None
        if defect is not None:
            path = copy / defect.file
            before = path.stat()
            sound = path.read_text()
            path.write_text(sound.replace(defect.text, defect.replacement))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**10))  # so that no compiled file is taken for it
        answer = copy / "answer.json"
        answer.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            _child(copy, tests, answer, stops=defect is not None and len(tests) == 1, within=WITHIN if defect else BASELINE)
        self._busy[pid] = (job, copy, answer, sound, time.monotonic())

    @staticmethod
    def _restore(defect, copy, sound):
        if defect is not None:
            path = copy / defect.file
            planted = path.stat()
            path.write_text(sound)
            os.utime(path, ns=(planted.st_atime_ns, planted.st_mtime_ns - 10**10))  # the compiled file is the right one again


def _child(copy, tests, answer, *, stops, within):
    """Runs tests in a copy and says what they did; never returns."""
    code = 1
    try:
        sink = os.open(copy / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.setsid()
        os.chdir(copy)
        signal.alarm(within)
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "archiver")]:
            del sys.modules[name]
        sys.path[:] = [str(copy), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
        os.environ["PYTHONPATH"] = str(copy)  # the programs that tests start are the copy's, too
        sys.dont_write_bytecode = within == WITHIN
        if sys.dont_write_bytecode:
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        importlib.invalidate_caches()
        import pytest

        recorder = Recorder()
        options = ["-q", "--tb=short", "-p", "no:cacheprovider", "--hypothesis-profile=ci", "-m", "faults or not faults"]
        options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
        options += [f"--basetemp={copy / 'tmp'}", f"--timeout={HANGS}", *(["-x"] if stops else [])]
        pytest.main([*options, *tests], plugins=[recorder])
        found = importlib.import_module("archiver").__file__
        if not Path(found).is_relative_to(copy):
            recorder.run.errors.append(f"{found} was tested, which is no copy")
        answer.write_text(json.dumps({**asdict(recorder.run), "seconds": 0.0}))
        code = 0
    except BaseException:  # noqa: BLE001 -- a child never goes on as if it were the parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(busy):
    """The next child of ours that has ended."""
    while True:
        for pid in busy:
            if os.waitpid(pid, os.WNOHANG)[0]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                return pid
        time.sleep(0.02)


def _read(copy, answer, seconds):
    if not answer.exists():
        told = (copy / "output").read_text(errors="replace")[-400:]
        return Run(errors=[f"ended without an answer after {seconds:.0f} s: {told}"], seconds=seconds)
    return Run(**{**json.loads(answer.read_text()), "seconds": seconds})


def _warm():
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def check(defects, *, jobs=2, tell=print, shows=False):
    """Plants each defect and returns what is wrong, one line each; first every named test must pass where nothing is planted."""
    wrong = [f"{item.number} {item.name}: {why}" for item in defects if (why := item.misfit(ROOT)) is not None]
    if wrong:
        return wrong
    _warm()
    with scratch("defects", in_memory=True) as folder:
        copies = Copies(folder, jobs)
        tests = sorted({item.test for item in defects})
        shares = [tests[at::jobs] for at in range(jobs) if tests[at::jobs]]
        for (_none, share), run in copies.results([(None, share) for share in shares]):
            wrong += [f"without any defect: {why}" for why in run.unsound(share)]
            tell(f"{len(share)} tests {'failed' if wrong else 'passed'} without a defect, {run.seconds:.0f} s")
        if wrong:
            return wrong
        for (defect, _tests), run in copies.results([(item, [item.test]) for item in defects]):
            why = run.verdict(defect)
            tell(f"{'caught' if why is None else 'MISSED'}  {defect.number:>2} {run.seconds:4.1f} s  {defect.name}")
            if shows:
                tell("\n".join(said(text)[:1500] for text in run.failed.values()))
            wrong += [f"{defect.number} {defect.name}: {why}"] if why is not None else []
    return wrong


def tried(defects, tests, *, jobs=2):
    """For whoever writes the list: which of `tests` catch each defect, and what they say."""
    _warm()
    with scratch("defects", in_memory=True) as folder:
        for (defect, _tests), run in Copies(folder, jobs).results([(item, tests) for item in defects]):
            print(f"\n== {defect.number} {defect.name}: {len(run.passed)} passed, {len(run.failed)} failed, {run.seconds:.0f} s")
            for name, text in list(run.failed.items())[:8]:
                print(f"   {name}\n      " + "\n      ".join(said(text).splitlines()[:3]))
            print(*[text[-800:] for text in run.errors[:2]], sep="\n", flush=True)


def chosen(words):
    """The defects that were asked for, by number or by words of their names; all of them where nothing was."""
    found = listed()
    return [item for item in found if not words or any(str(item.number) == word or word in item.name for word in words)]


def main(words=None):
    """Ends with 1 when a defect was not caught, or could not be planted."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.defects", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="N|WORDS", help="number or words of the name; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--shows", action="store_true", help="what each test said")
    parser.add_argument("--try", dest="tests", action="append", metavar="TESTS", help="which of these tests catch it")
    given = parser.parse_args(words)
    defects = chosen(given.only)
    if given.tests:
        tried(defects, given.tests, jobs=given.jobs)
        return 0
    began = time.monotonic()
    wrong = check(defects, jobs=given.jobs, shows=given.shows, tell=lambda text: print(text, flush=True))
    print(*wrong, sep="\n")
    caught = len(defects) - len(wrong)
    print(f"tried {len(defects)} planted defects, found {caught} caught and {len(wrong)} not, {time.monotonic() - began:.0f} s")
    return 1 if wrong or not defects else 0


if __name__ == "__main__":
    sys.exit(main())
