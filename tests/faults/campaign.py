"""The long campaigns, side by side, and one table of what was tried and found: `make test-faults`.

    python -m tests.faults.campaign [--only NAME …] [--jobs N] [--no-reach]

Every campaign is a command of its own on one core, with a seed, that a person can repeat; its line of what it tried and found stands
in the table. The run fails when one of them failed or did not end, and when a row of the fault matrix that applies was hit by none
(`reach.py`). What came of it is kept in docs/campaign.json, of which docs/campaign.md is made; with --only the others stand as they were.
"""

import argparse
import concurrent.futures
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults import reach

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "campaign.md"
RECORD = PAGE.with_suffix(".json")
SAID = re.compile(r"\btried .*\bfound\b")


@dataclass(frozen=True)
class Campaign:
    """A command, what it does, and how long it may take in seconds; `environ` is set for it besides."""

    name: str
    says: str
    words: tuple[str, ...]
    limit: int
    environ: tuple[tuple[str, str], ...] = ()

    @property
    def command(self):
        """Repeats it by hand."""
        return shlex.join([*(f"{name}={value}" for name, value in self.environ), "python", *self.words])


def module(words):
    """A module of this package, with its words."""
    return ("-m", *f"tests.faults.{words}".split())


def proved(paths, marks="faults or not faults"):
    """Tests of this tree, the long ones too."""
    return ("-m", "tests.faults.proved", "-m", marks, *paths.split())


def long(paths):
    """The long tests of these files alone: the others are in `make test`."""
    return proved(paths, "faults")


# The longest first, so that no core is left alone with one of them in the end.
CAMPAIGNS = (
    Campaign(
        "simulation",
        "1,000 seeds of a day under a virtual clock: two sources, up to three processes, kills, stops, outages",
        module("simulation --seeds 1000 --days 1"),
        1500,
    ),
    Campaign(
        "chaos, SQLite",
        "faults on a tenth of all requests and kills all the while; into a folder",
        module("chaos --recordings 8000 --kills 400 --jobs 1 --database sqlite --store file"),
        1500,
    ),
    Campaign(
        "chaos, PostgreSQL",
        "the same, with replies of S3 and of commits lost; into S3",
        module("chaos --seed 101 --recordings 2000 --kills 100 --jobs 1 --database postgresql --store rclone"),
        1500,
    ),
    Campaign("year", "a year of polling, leases and late arrivals by two processes", module("simulation --year"), 900),
    Campaign(
        "kills, SQLite",
        "the real program killed by SIGKILL at random moments; into folders and S3",
        module("kills --kills 250 --jobs 1 --database sqlite --store file --store rclone"),
        1200,
    ),
    Campaign(
        "kills, PostgreSQL",
        "the same",
        module("kills --seed 101 --kills 250 --jobs 1 --database postgresql --store file --store rclone"),
        1200,
    ),
    Campaign(
        "crash, SQLite",
        "thirteen flows killed at every resumption of a task, statement and call of the store",
        module("crash all --jobs 1 --pairs 100"),
        1200,
    ),
    Campaign(
        "crash, PostgreSQL",
        "the same flows killed behind every commit and call, and at every third other statement; into a folder",
        module("crash all --calls --every 3 --jobs 1 --pairs 50 --database postgresql --store file"),
        1200,
    ),
    Campaign(
        "replies, SQLite",
        "the same flows with connections broken, behind every effect and before every third",
        module("crash all --lose --every 3 --jobs 1"),
        1200,
    ),
    Campaign(
        "replies, PostgreSQL",
        "the same flows with every reply lost behind a commit or a call",
        module("crash all --lose --after --jobs 1 --database postgresql --store file"),
        900,
    ),
    Campaign("defects", "one-line sabotages of our own code, each caught by its test", module("defects --jobs 1"), 900),
    Campaign("model", "the catalog against a model after every step", long("tests/faults/test_stateful.py"), 900),
    Campaign(
        "histories",
        "random histories of policies, holds, clocks and deletions",
        long("tests/retention/test_histories.py"),
        900,
        environ=(("RETENTION_HISTORIES", "500"),),
    ),
    Campaign(
        "tampering", "1,000 events, each altered in six ways in catalog and archive", long("tests/ledger/test_tamper.py"), 900
    ),
    Campaign("secrets", "canaries through every flow, page and command under faults", long("tests/faults/test_secrets.py"), 900),
    Campaign("outages", "provider, store or catalog gone for an hour", proved("tests/faults/test_outages.py"), 900),
    Campaign(
        "workers",
        "processes on one PostgreSQL, stopped past their leases and let go on, killed",
        module("workers --workers 4 --seconds 60"),
        400,
    ),
    Campaign("ruins", "disks that are full, read-only or do not sync, few descriptors", long("tests/faults/test_ruins.py"), 600),
    Campaign(
        "rebuild",
        "a catalog of 10,000 renditions lost, and made again from its archive",
        long("tests/ledger/test_rebuild.py"),
        600,
    ),
    Campaign(
        "hostile providers",
        "every fault of files and lists; recordings that fail for ever",
        proved("tests/faults/test_hostile_provider.py tests/faults/test_poison.py"),
        600,
    ),
    Campaign(
        "daemons",
        "one daemon to a SQLite file and commands beside it; the smaller campaign of several processes",
        proved("tests/faults/test_workers.py", "not faults"),
        400,
    ),
    Campaign("disasters", "clocks, catalogs and accounts gone wrong", proved("tests/retention/test_disasters.py"), 400),
    Campaign("drain", "what a drain cannot end is handed back in time", long("tests/acceptance/test_commands.py"), 300),
    Campaign("matrix", "faults that tests of single parts inject, row by row", module("matrix"), 600),
)


@dataclass(frozen=True)
class Outcome:
    """How a campaign ended."""

    campaign: Campaign
    held: bool
    seconds: float
    last: str


def run(campaign, environ):
    """One campaign to its end, or to its limit."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *campaign.words],
            cwd=TOP,
            env={**environ, **dict(campaign.environ)},
            capture_output=True,
            text=True,
            check=False,
            timeout=campaign.limit,
        )
    except subprocess.TimeoutExpired as over:
        text = over.stdout.decode(errors="replace") if isinstance(over.stdout, bytes) else over.stdout or ""
        last = f"not done in {campaign.limit} s: {last_line(text)}"
        return Outcome(campaign, held=False, seconds=time.monotonic() - began, last=last)
    text = done.stdout + ("" if done.returncode == 0 else done.stderr)
    if done.returncode:
        print(f"{campaign.name}:\n{text[-4000:]}", flush=True)
    return Outcome(campaign, held=done.returncode == 0, seconds=time.monotonic() - began, last=last_line(text))


def last_line(text):
    """What a campaign says it tried and found; its last words where it came to no such line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if SAID.search(line)]
    return (said or lines or ["said nothing"])[-1][:300]


def spread(campaigns, environ, *, jobs):
    """The outcomes in the order of the table; they are told as they come."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(run, campaign, environ): campaign for campaign in campaigns}
        for done in concurrent.futures.as_completed(running):
            outcome = done.result()
            told = f"{'held' if outcome.held else 'BROKEN'} after {outcome.seconds:.0f} s: {outcome.last}"
            print(f"{outcome.campaign.name}: {told}", flush=True)
        return [done.result() for done in running]


def table(outcomes):
    """The outcomes as a table in Markdown."""
    rows = ["| campaign | what | tried and found | seconds | held |", "|---|---|---|---:|---|"]
    for it in outcomes:
        last = it.last.replace("|", "/")
        rows.append(f"| {it.campaign.name} | {it.campaign.says} | {last} | {it.seconds:.0f} | {'yes' if it.held else '**no**'} |")
    return "\n".join(rows)


def reached(counts, missed):
    """Which rows of the fault matrix happened, in sentences."""
    total = sum(counts.values(), Counter())
    rows = [f"Rows of the fault matrix hit: {len([row for row in reach.Row if total[row]])} of {len(reach.Row)}."]
    rows += [f"Applying and never hit: {', '.join(missed) or 'none'}."]
    rows += [f"Left out: {row.value}; {reason}." for row, reason in reach.ELSEWHERE.items()]
    return "\n".join(rows)


def quoted(record):
    """The whole run in two sentences, for the page and the README."""
    whole = record["whole"]
    held = [each["outcome"]["held"] for each in record["campaigns"].values()]
    again = [name for name, each in record["campaigns"].items() if each["commit"] != whole["commit"]]
    alone = f" ({len(again)} of them run again since, alone)" if again else ""
    return (
        f"`make test-faults` on {whole['at']}, commit {whole['commit']}: {whole['seconds'] / 60:.0f} minutes on {whole['cores']} cores, "
        f"{whole['cpu'] / 60:.0f} minutes of CPU time. {sum(held)} of {len(held)} campaigns held{alone}."
    )


def page(record):
    """docs/campaign.md, of what RECORD holds."""
    counts = {name: Counter({reach.Row[row]: n for row, n in found.items()}) for name, found in record["reach"].items()}
    missed = [row.value for row in reach.unreached(counts)]
    outcomes = [Outcome(it, **record["campaigns"][it.name]["outcome"]) for it in CAMPAIGNS if it.name in record["campaigns"]]
    later = [
        f"{name} ({each['at']}, {each['commit']})"
        for name, each in record["campaigns"].items()
        if each["commit"] != record["whole"]["commit"]
    ]
    again = f"\n\nRun again since, alone: {'; '.join(later)}." if later else ""
    total = sum(counts.values(), Counter())
    hits = "\n".join(f"| {row.value} | {total[row]:,} |" for row in reach.Row if row not in reach.ELSEWHERE)
    commands = "\n".join(f"- {it.campaign.name}: `{it.campaign.command}`" for it in outcomes)
    return f"""# The long campaign

{quoted(record)}{again}

{table(outcomes)}

{reached(counts, missed)}

## How often each row was hit

| row of the fault matrix | times |
|---|---:|
{hits}

## One of them again

{commands}
"""


def stamp():
    """The day and the commit."""
    found = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=TOP, capture_output=True, text=True, check=False)
    return {"at": f"{datetime.now(UTC):%Y-%m-%d}", "commit": found.stdout.strip() or "unknown"}


def recorded(before, outcomes, counts, stamped):
    """What is known after these outcomes: the campaigns that were not run stand as they were."""
    mine = {
        it.campaign.name: {**stamped, "outcome": {"held": it.held, "seconds": it.seconds, "last": it.last}} for it in outcomes
    }
    hits = {name: {row.name: n for row, n in found.items()} for name, found in counts.items()}
    return {
        **before,
        "campaigns": {**before.get("campaigns", {}), **mine},
        "reach": {**before.get("reach", {}), **hits},
    }


def main(words=None):
    """Exit code 1 where a campaign broke or a row was missed."""
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=[campaign.name for campaign in CAMPAIGNS], help="may be repeated")
    parser.add_argument(
        "--jobs", type=int, default=cores + 2, help="campaigns at once; some wait, so two more than there are cores"
    )
    parser.add_argument("--no-reach", action="store_true", help="do not fail for rows that no campaign hit")
    options = parser.parse_args(words)
    chosen = [campaign for campaign in CAMPAIGNS if not options.only or campaign.name in options.only]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="archiver-campaign-") as folder:
        told = Path(folder) / "reach.jsonl"
        told.touch()
        outcomes = spread(chosen, {**os.environ, reach.VARIABLE: str(told)}, jobs=options.jobs)
        counts = reach.gather(told)
    stamped, used = stamp(), resource.getrusage(resource.RUSAGE_CHILDREN)
    if options.only:
        record = recorded(json.loads(RECORD.read_text()), outcomes, counts, stamped)
    else:
        whole = {**stamped, "seconds": time.monotonic() - began, "cores": cores, "cpu": used.ru_utime + used.ru_stime}
        record = recorded({"whole": whole}, outcomes, counts, stamped)
    missed = [] if options.only else reach.unreached(counts)
    print(f"\n{table(outcomes)}\n\n{reached(counts, [row.value for row in missed])}")
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    PAGE.write_text(page(record))
    return int(any(not outcome.held for outcome in outcomes) or bool(missed and not options.no_reach))


if __name__ == "__main__":
    sys.exit(main())
