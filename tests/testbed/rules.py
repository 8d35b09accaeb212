"""Which faults apply to which connection now, and how often each of them fired."""

import asyncio
import collections
import dataclasses
import re
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from tests.testbed.faults import Direction, Fault

F = TypeVar("F", bound=Fault)

HEAD = 1024  # bytes from the client that predicates and patterns may look at


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Flow:
    """One connection, as predicates see it."""

    number: int  # from 1, in the order of arrival
    head: bytes = b""  # the first KiB that the client sent
    passed: dict[Direction, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(Direction, 0))


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Rule(Generic[F]):
    """A fault and the connections that it is meant for."""

    fault: F
    nth: Collection[int] | None = None
    when: Callable[[Flow], bool] | None = None
    times: int | None = None
    touched: set[int] = dataclasses.field(default_factory=set)
    _first: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    @property
    def fired(self) -> int:
        """How many connections this fault has touched."""
        return len(self.touched)

    async def has_fired(self) -> None:
        """Wait until it has fired once."""
        await self._first.wait()

    def applies(self, flow: Flow) -> bool:
        """Tell whether this connection is meant: by its number, by the predicate, and while `times` is not used up."""
        if flow.number in self.touched:
            return True
        if self.times is not None and self.fired >= self.times:
            return False
        return (self.nth is None or flow.number in self.nth) and (self.when is None or self.when(flow))

    def fire(self, flow: Flow) -> F:
        """Count this connection as touched, once."""
        self.touched.add(flow.number)
        self._first.set()
        return self.fault


class Rules:
    """The rules in force. Connections ask for every piece that they carry, so that a change reaches open ones too."""

    def __init__(self) -> None:
        self._rules: list[Rule[Fault]] = []
        self._removed: collections.Counter[str] = collections.Counter()
        self._changed = asyncio.Event()

    def add(self, rule: Rule[Fault]) -> None:
        self._rules.append(rule)
        self._wake()

    def remove(self, rule: Rule[Fault]) -> None:
        self._rules.remove(rule)
        self._removed[type(rule.fault).__name__] += rule.fired
        self._wake()

    def clear(self) -> None:
        for rule in list(self._rules):
            self.remove(rule)

    def meant_for(self, flow: Flow, kind: type[F]) -> list[Rule[F]]:
        """The rules of one kind that apply to this connection now."""
        return [rule for rule in self._rules if isinstance(rule.fault, kind) and rule.applies(flow)]

    async def change(self) -> None:
        """Wait until a rule is added or removed."""
        await self._changed.wait()

    def fired(self) -> collections.Counter[str]:
        """How many connections each kind of fault has touched, by rules removed since too."""
        counts = self._removed.copy()
        for rule in self._rules:
            counts[type(rule.fault).__name__] += rule.fired
        return counts

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Matcher:
    """Finds a request in a stream that arrives in pieces."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = re.compile(pattern)
        self._tail = b""

    def feed(self, piece: bytes) -> bool:
        """Tell whether the pattern is complete with this piece."""
        seen = self._tail + piece
        found = self._pattern.search(seen) is not None
        self._tail = b"" if found else seen[-HEAD:]
        return found
