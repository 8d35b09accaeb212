"""The crash sweep: a flow killed at every instant, restarted, and held to every law (reliability.md, KX and G2).

    python -m tests.faults.crash multipart --database postgresql --store file --at 137       one point, told in detail
    python -m tests.faults.crash multipart                                                   every point of a flow

A point is a resumption of a task, an SQL statement (before it; for COMMIT also behind it), or a call of the store (before it, and
when it is done and not yet answered). With --lose nobody is killed there: the connection breaks instead, before the effect or
behind it. `--at 40,12` kills the process that recovers from the first kill, at its 12th instant. With --calls resumptions are left
out: whatever outlives the process is the same at all of them that lie between the same two statements or calls.
"""

import argparse
import contextlib
import functools
import random
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from multiprocessing.util import Finalize

from tests.faults.crash_flows import FLOWS
from tests.faults.crash_place import Place
from tests.faults.crash_trial import Case, attempt
from tests.faults.jobs import collect_rarely, spread
from tests.faults.reach import Reach, Row
from tests.testbed.postgres import postgres
from tests.testbed.scratch import scratch

LONG = 250  # instants of a recovery, about
SLICES = 2  # of a flow, so that no process is left alone with the longest
LOST = {
    "sql after": Row.DB_COMMIT,
    "sql before": Row.DB_DOWN,
    "store after": Row.S3_LOST_REPLY,
    "provider after": Row.DELETE_ANSWERS,
}


def cases_of(place, case, *, part=(0, 1), calls=False, after=False, every=1):
    """The case of each instant of a flow; with `part` (i, n), of every n-th of them from the i-th on; with `calls` or `after`, of
    those at statements and calls, or behind them, alone; with `every`, of all behind a commit or a call and of every n-th other.

    How many there are shows a run in which nobody is killed, and which has to keep every law itself.
    """
    whole = attempt(place, replace(case, at=(), lose=False))
    if whole.violations:
        raise AssertionError(str(whole))
    instants = [instant for instant in whole.instants if not case.lose or not _resumption(instant)]  # others are not counted then
    chosen = [
        at
        for at, instant in enumerate(instants, 1)
        if not (calls and _resumption(instant)) and (not after or " after" in instant)
    ]
    behind = [at for at in chosen if " after" in instants[at - 1]]
    chosen = sorted({*behind, *[at for at in chosen if at not in behind][::every]})
    first, step = part
    return [replace(case, at=(at,)) for at in chosen[first::step]]


def _resumption(instant):
    return instant.startswith("resume")


def pairs_of(place, case, rng, count):
    """Double kills, drawn: somewhere in the flow, and somewhere in the recovery."""
    return [
        replace(case, at=(*rng.choice(cases).at, rng.randint(1, LONG))) for cases in [cases_of(place, case)] for _ in range(count)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A share of a campaign: every n-th instant of a flow, or so many double kills of it."""

    case: Case
    part: tuple[int, int] = (0, 1)
    calls: bool = False
    after: bool = False
    every: int = 1
    pairs: int = 0
    seed: int = 0


@dataclass(slots=True, kw_only=True)
class Tried:
    """What came of it. `struck` counts the instants at which it was killed, by kind."""

    flow: str = ""
    struck: Counter = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    reach: Reach = field(default_factory=lambda: Reach("crash sweep"))

    def add(self, other):
        """Takes in another share."""
        self.struck += other.struck
        self.broken += other.broken
        self.reach.counts += other.reach.counts

    def __str__(self):
        kinds = ", ".join(f"{n} {what}" for what, n in sorted(self.struck.items()))
        return f"{self.flow}: {self.struck.total()} points, {len(self.broken)} broke a law ({kinds})"


def swept(place, cases, tried=None):
    """Every trial; one whose kill never came, because the flow had ended before, counts for nothing but its laws."""
    tried = tried or Tried()
    for case in cases:
        trial = attempt(place, case)
        tried.broken += [str(trial)] if trial.violations else []
        if trial.reached:
            struck = kind(trial.struck[-1])
            tried.struck[struck] += 1
            tried.reach.hit(Row.KILL_TWICE if len(case.at) > 1 else LOST.get(struck, Row.S3_ERRORS) if case.lose else Row.KILL)
    return tried


def kind(instant):
    """`resume`, `sql before`, `sql after`, `store before`, …"""
    words = instant.split()
    return words[0] if words[0] == "resume" else " ".join(words[:2])


def _sweep_part(part):
    place = _shared_place(part.case.database)
    cases = (
        pairs_of(place, part.case, random.Random(part.seed), part.pairs)
        if part.pairs
        else cases_of(place, part.case, part=part.part, calls=part.calls, after=part.after, every=part.every)
    )
    return swept(place, cases, Tried(flow=part.case.flow))


@functools.cache
def _shared_place(database):
    """One for all the parts that this process does: a server takes longer to start than a part of theirs."""
    stack = contextlib.ExitStack()
    Finalize(None, stack.close, exitpriority=0)
    return _place(stack, Case(flow="", database=database))


def _place(stack, case):
    folder = stack.enter_context(scratch("crash", in_memory=True))
    url = stack.enter_context(stack.enter_context(postgres()).database()) if case.database == "postgresql" else ""
    return Place(folder, url)


def _sweep(given, flows, facts):
    """Every instant of these flows, and double kills where nobody's connection is what breaks."""
    slices = [(n, SLICES) for n in range(SLICES)]
    which = {"calls": given.calls, "after": given.after, "every": given.every}
    parts = [Part(case=Case(flow=flow, **facts), part=part, **which) for flow in flows for part in slices]
    if not given.lose:
        parts += [
            Part(case=Case(flow=flow, **facts), pairs=-(-given.pairs // len(flows)), seed=given.seed)
            for flow in flows
            if given.pairs
        ]
    by_flow = {flow: Tried(flow=flow) for flow in flows}
    for done in spread(_sweep_part, parts, jobs=given.jobs):
        by_flow[done.flow].add(done)
    whole = Tried(flow="all" if len(flows) > 1 else flows[0])
    for tried in by_flow.values():
        print(tried, *tried.broken, sep="\n", flush=True)
        whole.add(tried)
    whole.reach.save()
    kinds = ", ".join(f"{n:,} {what}" for what, n in sorted(whole.struck.items()))
    what = "broken connections" if given.lose else "kills"
    pairs = f", {whole.reach.counts[Row.KILL_TWICE]} of them second kills" if given.pairs and not given.lose else ""
    where = f"{len(flows)} flows, {given.database}, {given.store}"
    print(f"tried {whole.struck.total():,} {what}{pairs} in {where} ({kinds}): found {len(whole.broken)} broken laws")
    return whole.broken


def main(words=None):
    """Exit code 1 where a law broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crash", description=__doc__.splitlines()[0])
    parser.add_argument("flow", choices=[*FLOWS, "all"])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--store", choices=["memory", "file"], default="memory")
    parser.add_argument("--at", type=lambda text: tuple(int(word) for word in text.split(",")), default=())
    parser.add_argument("--lose", action="store_true", help="connections break instead of the process")
    parser.add_argument("--elsewhere", action="store_true", help="the next process runs on another machine")
    parser.add_argument("--calls", action="store_true", help="at statements and calls only, and at no resumption")
    parser.add_argument("--after", action="store_true", help="only behind a commit or a call, before its reply")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="every instant behind a commit or call, and every N-th other"
    )
    parser.add_argument("--pairs", type=int, default=300, help="double kills besides, over all flows")
    parser.add_argument("--seed", type=int, default=1, help="of the double kills")
    parser.add_argument("--jobs", type=int, help="processes at once; as many as there are cores")
    given = parser.parse_args(words)
    facts = {"database": given.database, "store": given.store, "lose": given.lose, "elsewhere": given.elsewhere}
    if not given.at:
        return int(bool(_sweep(given, list(FLOWS) if given.flow == "all" else [given.flow], facts)))
    with contextlib.ExitStack() as stack:
        case = Case(flow=given.flow, at=given.at, **facts)
        trial = attempt(_place(stack, case), case)
        print(trial)
    return int(bool(trial.violations))


if __name__ == "__main__":
    collect_rarely()
    sys.exit(main())
