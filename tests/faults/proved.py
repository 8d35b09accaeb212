"""Tests run as a campaign: pytest, and at the end one line of what was tried and found.

    python -m tests.faults.proved tests/ledger/test_tamper.py -m faults

Whatever follows is pytest's. A test tells its own figures by `record_property("steps", 20_000)`; they are summed up by name.
"""

import sys
from collections import Counter

import pytest


class Tally:
    """What ran, how it ended, and the figures that tests told."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0
        self.figures = Counter()

    def pytest_runtest_logreport(self, report):
        """One call a phase of a test."""
        self.failed += report.failed
        self.skipped += report.skipped
        if report.when == "call":
            self.passed += report.passed
            self.figures.update({name: value for name, value in report.user_properties if isinstance(value, int)})

    def __str__(self):
        figures = "".join(f", {count:,} {name}" for name, count in self.figures.items())
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"tried {self.passed + self.failed:,} tests{figures}: found {self.failed} failures{skipped}"


def main(words):
    """Exit code 1 where a test failed, was skipped, or none was found: a campaign that tries less than it says has not held."""
    tally = Tally()
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-n", "0", *words], plugins=[tally])
    print(tally)
    return int(code != 0 or tally.skipped > 0 or not tally.passed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
