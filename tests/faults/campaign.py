"""The long campaigns, one after the other, and one table of what was tried, hit and found: `make test-faults`.

    python -m tests.faults.campaign [--only NAME …] [--no-reach]

Every campaign is a command of its own that a person can repeat; what it printed last stands in the table. The run fails when one
of them failed or did not end, and when a row of the fault matrix that applies was hit by none (`reach.py`).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults import reach

PYTHON = sys.executable
TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "campaign.md"


@dataclass(frozen=True)
class Campaign:
    """A command, and how long it may take in seconds."""

    name: str
    words: tuple[str, ...]
    limit: int
    says: str


def module(name, *words):
    return (PYTHON, "-m", f"tests.faults.{name}", *words)


def marked(*paths):
    return (PYTHON, "-m", "pytest", "-q", "-m", "faults", "-p", "no:cacheprovider", "-n", "2", *paths)


CAMPAIGNS = (
    Campaign("crash", module("crash", "all"), 400, "killed at every resumption of every flow, SQLite"),
    Campaign("lost replies", module("crash", "all", "--lose"), 300, "every reply of catalog and store lost, SQLite"),
    Campaign("kills", module("kills", "--kills", "500", "--store", "file"), 500, "kill -9 of the real program at random moments"),
    Campaign(
        "chaos", module("chaos", "--database", "sqlite", "--store", "file"), 500, "10,000 recordings, 10 % faults, 500 kills"
    ),
    Campaign(
        "simulation", module("simulation", "--seeds", "1000", "--jobs", "2"), 300, "1,000 seeds of days under a virtual clock"
    ),
    Campaign("year", module("simulation", "--year"), 600, "one year of polling, leases and late arrivals"),
    Campaign(
        "workers", module("workers", "--seconds", "60"), 200, "several processes on one PostgreSQL, stopped past their leases"
    ),
    Campaign("model", marked("tests/faults/test_stateful.py"), 300, "the catalog against a model, both databases"),
    Campaign("outages", marked("tests/faults/test_outages.py"), 300, "an hour without provider, store or database"),
    Campaign("histories", marked("tests/retention/test_histories.py"), 300, "random histories of policies, holds and clocks"),
    Campaign("tampering", marked("tests/ledger"), 300, "every kind of tampering, and a catalog of 10,000 rebuilt"),
)


@dataclass(frozen=True)
class Outcome:
    """How a campaign ended."""

    campaign: Campaign
    held: bool
    seconds: float
    last: str


def run(campaign, environ):
    began = time.monotonic()
    try:
        done = subprocess.run(
            campaign.words, cwd=TOP, env=environ, capture_output=True, text=True, check=False, timeout=campaign.limit
        )
    except subprocess.TimeoutExpired as over:
        text = over.stdout.decode(errors="replace") if isinstance(over.stdout, bytes) else over.stdout or ""
        return Outcome(
            campaign, held=False, seconds=time.monotonic() - began, last=f"not done in {campaign.limit} s: {last_line(text)}"
        )
    text = done.stdout + ("" if done.returncode == 0 else done.stderr)
    if done.returncode:
        print(text[-4000:], flush=True)
    return Outcome(campaign, held=done.returncode == 0, seconds=time.monotonic() - began, last=last_line(text))


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if any(word in line for word in ("tried", "passed", "failed", "kills", "seeds", "recordings"))]
    return (told or lines or ["said nothing"])[-1][:160]


def table(outcomes, counts, missed):
    rows = ["| campaign | what | said | seconds | held |", "|---|---|---|---|---|"]
    rows += [
        f"| {o.campaign.name} | {o.campaign.says} | {o.last.replace('|', '/')} | {o.seconds:.0f} | {'yes' if o.held else '**no**'} |"
        for o in outcomes
    ]
    hit = sum(1 for row in reach.Row if any(found[row] for found in counts.values()))
    rows += ["", f"Rows of the fault matrix hit: {hit}; applying and never hit: {', '.join(missed) or 'none'}."]
    return "\n".join(rows)


def main(words=None):
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=[campaign.name for campaign in CAMPAIGNS], help="may be repeated")
    parser.add_argument("--no-reach", action="store_true", help="do not fail for rows that no campaign hit")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="archiver-campaign-") as folder:
        told = Path(folder) / "reach.jsonl"
        told.touch()
        environ = {**os.environ, reach.VARIABLE: str(told)}
        outcomes = []
        for campaign in CAMPAIGNS:
            if options.only and campaign.name not in options.only:
                continue
            print(f"{campaign.name}: {' '.join(campaign.words[1:])}", flush=True)
            outcomes.append(run(campaign, environ))
            print(
                f"  {'held' if outcomes[-1].held else 'BROKEN'} after {outcomes[-1].seconds:.0f} s: {outcomes[-1].last}",
                flush=True,
            )
        counts = reach.gather(told)
    missed = [] if options.only else [row.value for row in reach.unreached(counts)]
    page = table(outcomes, counts, missed)
    print(f"\n{page}")
    if not options.only:
        PAGE.write_text(f"# The long campaign\n\nRun on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores.\n\n{page}\n")
    return int(any(not outcome.held for outcome in outcomes) or bool(missed and not options.no_reach))


if __name__ == "__main__":
    sys.exit(main())
