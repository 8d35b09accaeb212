"""The program's log lines counted instead of written, for campaigns that would write millions."""

import contextlib
from collections import Counter

import structlog


class Told:
    """How often each event was told; with `keep`, the lines themselves, each with the `now` it was told at."""

    def __init__(self, *, keep=False, now=None, also=None):
        self.counts = Counter()
        self.lines = []
        self._keep = keep
        self._now = now
        self._also = also

    def __call__(self, _logger, level, line):
        self.counts[line.get("event", "")] += 1
        if self._also:
            self._also(_logger, level, line)
        if self._keep:
            self.lines.append({**line, "level": level, **({"now": self._now()} if self._now else {})})
        raise structlog.DropEvent


@contextlib.contextmanager
def told(*, keep=False, now=None, also=None):
    """Log lines of this process end here while the block runs; `also` is a processor that sees each of them."""
    before = structlog.get_config()
    here = Told(keep=keep, now=now, also=also)
    structlog.configure(processors=[here], cache_logger_on_first_use=False)
    try:
        yield here
    finally:
        structlog.configure(**before)
