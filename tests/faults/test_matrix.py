"""A row of the fault matrix counts as hit only by a test that ran and passed."""

import re
from pathlib import Path

from tests.faults.matrix import Passed, counted, named
from tests.faults.reach import ELSEWHERE, Row

TOP = Path(__file__).parents[2]


class Report:
    """As pytest makes them."""

    def __init__(self, nodeid, outcome="passed", when="call"):
        self.nodeid, self.outcome, self.when = nodeid, outcome, when


def test_every_test_that_a_row_names_is_there():
    missing = []
    for names in named().values():
        for name in names:
            file, _, test = name.partition("::")
            if not re.search(rf"^(async )?def {test}\(", (TOP / file).read_text(), re.MULTILINE):
                missing.append(name)
    assert missing == []


def test_what_is_skipped_or_fails_or_does_not_run_hits_nothing_and_is_told():
    (first, second, *_rest) = named([Row.S3_COMPLETE])[Row.S3_COMPLETE]
    ended = Passed()
    for report in (Report(first, when="setup"), Report(f"{first}[a]"), Report(f"{first}[b]"), Report(first, when="teardown")):
        ended.pytest_runtest_logreport(report)
    ended.pytest_runtest_logreport(Report(f"{second}[a]", outcome="skipped", when="setup"))
    reach, wrong = counted([Row.S3_COMPLETE], ended)
    assert reach.counts[Row.S3_COMPLETE] == 2
    assert len(wrong) == len(named([Row.S3_COMPLETE])[Row.S3_COMPLETE]) - 1
    assert "0 passed, 1 did not" in wrong[0]


def test_what_no_campaign_injects_says_why():
    assert all(reason.startswith("does not apply: ") for reason in ELSEWHERE.values())
