"""Which faults really happened: a campaign that stopped injecting one must fail, not pass (reliability.md, G3b).

`Row` names every row of the fault matrix (reliability.md, section 3). A campaign makes a `Reach`, tells it of each fault that took
effect, and ends with `assert reach.missing(...) == []`:

    reach = Reach("chaos")
    reach.hit(Row.KILL)                                       # by hand, where the fault is ours
    reach.faults(simulation.faults, {"429": Row.RATE_LIMIT})  # by name of the simulator's rules
    reach.proxy(tcp_proxy, {"DropReply": Row.S3_LOST_REPLY})  # by kind of the proxy's faults
    assert reach.missing([Row.KILL, Row.RATE_LIMIT]) == []
    reach.save()                                              # for `make test-faults`, which adds all campaigns up

`save` appends to the file that the variable FAULTS_REACH names, if any; `gather` adds such a file up. Rows that tests of single
parts inject stand in matrix.py, which runs those; what nobody injects stands in ELSEWHERE, with the reason.
"""

import enum
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

VARIABLE = "FAULTS_REACH"


class Row(enum.StrEnum):
    """The rows of the fault matrix, in its order: provider, S3, database, process."""

    RATE_LIMIT = "3a 429 with and without Retry-After"
    SERVER_ERRORS = "3a 500/502/503/504"
    ACCOUNT_REFUSED = "3a 401/403 whole account"
    MEDIA_REFUSED = "3a 403/404 on one media URL"
    NO_CONNECTION = "3a connect refused, DNS fail, TLS error"
    SLOW_PROVIDER = "3a slow headers, stall mid-body, slowloris, throttle"
    CUT_BODY = "3a short Content-Length, RST at byte k"
    CLEAN_CUT = "3a chunked, EOF-delimited and HTTP/1.0 cuts"
    WRONG_LENGTH = "3a Content-Length larger or smaller than the truth"
    ENCODED_BODY = "3a gzip Content-Encoding: valid, truncated, bomb"
    EXPIRED_LINK = "3a URL expired mid-stream or at start"
    NOT_MEDIA = "3a 200 with an error page, random bytes, empty"
    ODD_RANGES = "3a 206 unasked, range ignored, wrong Content-Range, ETag changed"
    REDIRECTS = "3a redirects to where nobody may go"
    LISTED_TWICE = "3a the same recording twice"
    SHIFTING_PAGES = "3a pages shift, lie about totals, never end"
    VANISHES = "3a a recording vanishes between list and fetch"
    LATE_ARRIVAL = "3a a recording arrives late"
    CHANGES = "3a a recording changes: size, status, content"
    PROVIDER_CLOCK = "3a provider clock off, naive dates"
    MALFORMED_BODY = "3a malformed, truncated and enormous JSON"
    UNKNOWN_WORDS = "3a unknown status, type, field"
    DELETE_ANSWERS = "3a DELETE: 404, 409, 500, timeout after success"
    WEBHOOKS = "3a webhook lost, duplicated, reordered"

    S3_ERRORS = "3b 500/503 SlowDown"
    S3_LOST_REPLY = "3b timeout after success"
    S3_COMPLETE = "3b complete: 200 with error, empty, NoSuchUpload, 412"
    S3_REFUSED = "3b 403"
    S3_WRONG_BUCKET = "3b bucket missing, wrong region, other owner"
    S3_LOCK_REFUSED = "3b lock refused or ignored"
    S3_CHECKSUM = "3b checksum mismatch on part, flipped bit at rest or on read"
    S3_PARTS = "3b part lost, reordered, replaced"
    S3_FRAMING = "3b stored bytes contain chunk framing"
    S3_ABANDONED = "3b abandoned uploads, ours and foreign"
    S3_OCCUPIED = "3b existing object at our key"
    S3_TAMPERED = "3b object replaced or deleted by another"
    S3_SLOW = "3b slow S3 with a fast provider"

    DB_LOCKED = "3c SQLite locked by another process"
    DB_DISK = "3c disk full, fsync error, file deleted or replaced"
    DB_DOWN = "3c PostgreSQL down, connections killed"
    DB_COMMIT = "3c commit ambiguous"
    DB_RACES = "3c deadlock, a race lost, unique violation"
    DB_OLD_READER = "3c long foreign transaction"
    DB_MIGRATION = "3c migration interrupted, older and newer binary"
    DB_RESTORED = "3c catalog restored from an old backup"

    KILL = "3d kill -9 anywhere"
    KILL_TWICE = "3d two kills in one recovery"
    SIGTERM = "3d SIGTERM, SIGINT, second signal"
    EXHAUSTED = "3d out of memory, descriptors, threads"
    TWO_DAEMONS = "3d two daemons on one SQLite file"
    ZOMBIES = "3d several workers, SIGSTOP past the lease, SIGCONT"
    CLOCK_JUMPS = "3d clock jumps"
    LOOP_BLOCKED = "3d loop blocked, scheduler misfire"
    SECRET_FILES = "3d secret files missing, empty, rotated"
    CONFIG_RELOAD = "3d config reload with an invalid file"
    BACKFILL_BESIDE = "3d backfill beside the daemon, interrupted, rerun"
    RETENTION_TWICE = "3d retention twice at once"


ELSEWHERE: Mapping[Row, str] = {
    Row.CONFIG_RELOAD: "does not apply: the configuration is read once, at the start",
}


class Reach:
    """The counters of one campaign."""

    def __init__(self, campaign: str) -> None:
        self.campaign = campaign
        self.counts: Counter[Row] = Counter()

    def hit(self, row: Row, times: int = 1) -> None:
        """Counts a fault that took effect; 0 times counts nothing."""
        self.counts[row] += times

    def faults(self, faults: Any, rows: Mapping[str, Row]) -> None:
        """Counts what the simulator's rules fired; raises KeyError for a rule that no row is named for."""
        for name, fired in faults.fired.items():
            self.hit(rows[name], fired)

    def proxy(self, proxy: Any, rows: Mapping[str, Row]) -> None:
        """Counts the connections that a fault proxy's rules touched, by kind of fault."""
        for kind, touched in proxy.fired.items():
            self.hit(rows[kind], touched)

    def missing(self, rows: Iterable[Row], *, least: int = 1) -> list[Row]:
        """The rows that were hit fewer than `least` times."""
        return [row for row in rows if self.counts[row] < least]

    def save(self) -> None:
        """Appends the counters to the campaign's file, where `make test-faults` asked for one."""
        path = os.environ.get(VARIABLE)
        if path:
            line = json.dumps({"campaign": self.campaign, "counts": {row.name: n for row, n in self.counts.items() if n}})
            with Path(path).open("a") as file:
                file.write(line + "\n")


def gather(path: Path) -> dict[str, Counter[Row]]:
    """What every campaign hit, by its name, from a file of `save`."""
    found: dict[str, Counter[Row]] = {}
    for line in path.read_text().splitlines():
        told = json.loads(line)
        counts = found.setdefault(told["campaign"], Counter())
        counts.update({Row[name]: n for name, n in told["counts"].items()})
    return found


def unreached(found: Mapping[str, Counter[Row]]) -> list[Row]:
    """The rows that apply and that no campaign has hit."""
    return [row for row in Row if row not in ELSEWHERE and not any(counts[row] for counts in found.values())]
