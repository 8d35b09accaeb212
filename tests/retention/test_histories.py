"""Whatever happens in whatever order: no deletion that a hold, a promise, a lock or a condition of release forbids (I11, I14).

`python -m pytest tests/retention/test_histories.py -m faults` plays 20,000, or as many as RETENTION_HISTORIES says; one of them
again: RETENTION_SEED.
"""

import os
import shutil
from collections import Counter

import pytest

from tests.faults.inline_sqlite import closed
from tests.retention.histories import play

REPLAY = os.environ.get("RETENTION_SEED", "")
MANY = int(os.environ.get("RETENTION_HISTORIES", "20_000"))


async def campaign(template, seeds):
    """Plays histories on copies of one catalog; counts what they came to."""
    path = template.with_name("histories.db")
    url = f"sqlite:///{path}"
    came_to = Counter()
    for seed in seeds:
        shutil.copyfile(template, path)
        async with closed(url):
            world = await play(url, seed)
        for left in path.parent.glob("histories.db*"):
            left.unlink()
        assert world.problems == [], f"seed {seed}: {world.log}"
        came_to += Counter(
            deletions=world.deletions, releases=world.releases, refusals=world.refusals, holds=len(world.holds), histories=1
        )
    return came_to


def bites(came_to):
    """A campaign in which nothing was ever deleted, released or refused would prove nothing."""
    assert all(came_to[name] > came_to["histories"] // 50 for name in ("deletions", "releases", "refusals", "holds")), came_to


async def test_no_history_deletes_what_must_be_kept(template):
    came_to = await campaign(template, [int(REPLAY)] if REPLAY else range(40))
    if not REPLAY:  # one history need not come to a deletion
        bites(came_to)


@pytest.mark.faults
@pytest.mark.timeout(7200)
async def test_twenty_thousand_histories_delete_nothing_that_must_be_kept(template, record_property):
    came_to = await campaign(template, range(1_000, 1_000 + MANY))
    bites(came_to)
    for name, count in came_to.items():
        record_property(name, count)
