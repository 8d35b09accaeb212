"""Days of an archive under every fault that time brings, for many seeds; each must end with everything archived or named."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import simulation
from tests.faults.reach import Reach, Row
from tests.faults.scenario import Scenario
from tests.faults.simulation import ROWS, campaign, simulate
from tests.testbed.scratch import scratch

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def template():
    with scratch("simulation", in_memory=True) as folder:
        yield simulation.empty_catalog(folder)


def held(courses, campaign_name, rows):
    """No seed broke a law, and every fault that was meant did happen."""
    reach, counts = Reach(campaign_name), Counter()
    for course in courses:
        assert not course.problems, str(course)
        reach.counts.update(course.reach)
        counts.update(course.counts)
    assert reach.missing(rows) == []
    reach.save()
    return counts


@pytest.mark.timeout(300)
def test_fifty_seeds_of_36_hours_end_with_everything_archived_or_named(template):
    scenarios = [Scenario.of(seed, 1.5) for seed in range(50)]
    counts = held(campaign(scenarios, template, jobs=2), "simulation, 50 seeds", ROWS)
    assert counts["outcomes verified"] > 300
    assert counts["polls complete"] > 300


def test_a_seed_takes_the_same_course_every_time_whatever_the_order_of_sets(template):
    scenario = Scenario.of(7, 1.0)
    course = simulate(scenario, template)
    command = [sys.executable, *scenario.command.split()[1:]]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"digest of the last {course.digest[:16]}" in told
    assert simulate(Scenario.of(8, 1.0), template).digest != course.digest


def test_a_law_that_is_broken_is_told_with_the_command_that_repeats_it(template, monkeypatch):
    monkeypatch.setattr(simulation, "verdict", broken_verdict)
    course = simulate(Scenario.of(3, 0.1), template)
    assert str(course).splitlines() == [
        "seed 3: 1 problems; again with: python -m tests.faults.simulation --seed 3 --days 0.1",
        "I6: bytes",
    ]


async def broken_verdict(*_given, **_options):
    return ["I6: bytes"]


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_a_thousand_seeds_end_with_everything_archived_or_named(template):
    scenarios = [Scenario.of(seed, 2.0) for seed in range(1000, 2000)]
    held(campaign(scenarios, template, jobs=2), "simulation, 1,000 seeds", [*ROWS, Row.ACCOUNT_REFUSED, Row.CLEAN_CUT])


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_year_takes_ten_minutes_at_most_and_loses_nothing(template):
    course = simulate(Scenario.year(1), template)
    counts = held([course], "simulation, one year", [Row.KILL, Row.ZOMBIES, Row.CLOCK_JUMPS, Row.DB_COMMIT, Row.S3_LOST_REPLY])
    assert counts["polls complete"] > 4000
    assert course.seconds < 600
