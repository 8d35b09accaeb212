"""What a network does to a connection, as values."""

import dataclasses
import enum
from collections.abc import Collection


class Direction(enum.Enum):
    """Which way bytes go through the proxy."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


class End(enum.Enum):
    """How a connection is cut, on both of its sides."""

    FIN = "fin"  # as by a process that exits in order: the other side reads a clean end of file
    RST = "rst"  # as by a crash or a middlebox: the other side gets ECONNRESET


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Every piece arrives `seconds` later; pieces overlap, so that the rate stays what it was."""

    seconds: float
    directions: Collection[Direction] = frozenset(Direction)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `bytes_per_second` pass, for each connection and direction."""

    bytes_per_second: float
    directions: Collection[Direction] = frozenset(Direction)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The connection ends after exactly `after` bytes in `direction`.

    With 0, or when more have passed already, it ends in the moment in which the next byte would pass: `Cut(after=0)` lets the
    request through and no byte of the answer.
    """

    after: int
    direction: Direction = Direction.TO_CLIENT
    end: End = End.RST


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BlackHole:
    """After exactly `after` bytes in `direction` nothing passes any more, either way, and nothing is closed.

    With 0 TO_CLIENT the request still arrives and the answer does not: a timeout after success. Once the rule is removed, what
    was held passes: a partition that heals.
    """

    after: int = 0
    direction: Direction = Direction.TO_SERVER


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The connection is accepted and reset before a byte of it passes; for ECONNREFUSED see `Proxy.closed()`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DropReply:
    """The request reaches the server and is answered; the client gets a reset instead of the answer.

    `request` is a regular expression over what the client sends, matching at most 1 KiB of it: `rb"COMMIT"`, `rb"PUT /bucket/"`.
    What the server sent before the match still passes, and so does an interim `100 Continue`. For protocols that answer one
    request at a time, and requests that the server answers only when it has done them.
    """

    request: bytes = rb"[\x00-\xff]"


Fault = Latency | Rate | Cut | BlackHole | Refuse | DropReply
