"""The zygote with leases of seconds instead of a minute: `python -m tests.faults.short_leases SECONDS`.

Nothing else about the program is changed, so that what takes a minute to happen to users can happen hundreds of times here.
"""

import sys
from datetime import timedelta

from archiver.domain import work
from archiver.pipeline import cycle, pump
from tests.faults import zygote


def shorten(seconds):
    """Leases of that length, renewed three times in it, and naps that fit."""
    for name, old, new in (("LEASE", work.LEASE, timedelta(seconds=seconds)), ("HEARTBEAT", work.HEARTBEAT, seconds / 3)):
        for module in [found for path, found in sys.modules.items() if path.startswith("archiver.")]:
            if getattr(module, name, None) is old:
                setattr(module, name, new)
    pump.LONGEST_NAP = min(pump.LONGEST_NAP, seconds / 4)
    cycle.POLL_LEASE = seconds


if __name__ == "__main__":
    shorten(float(sys.argv[1]))
    zygote.main()
