"""The fault script: which request gets which fault, and how often each has fired."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from archiver.simulator.wire import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from archiver.simulator.messages import Host, Reply, Request
    from archiver.simulator.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What an action has to work with. `honest` asks the API, with its effects; `occurrence` counts the rule's firings from 1."""

    request: Request
    answer: Callable[[Request], Reply]
    world: World
    occurrence: int

    def honest(self) -> Reply:
        """The reply that the provider would give; a deletion is done by asking for it."""
        return self.answer(self.request)


class Action(Protocol):
    """A fault: from an exchange to what is sent."""

    def __call__(self, exchange: Exchange) -> Delivery: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When an action fires: on requests to `host` of `method` whose path and query contain `path` (a regular expression).

    Of those, counted for the whole rule or for each path alone (`per_path`), the first `skip` pass; then it fires on each with
    `probability`, at most `times` times (None: always). The first rule that fires decides.
    """

    name: str
    action: Action
    host: Host | None = None
    method: str | None = None
    path: str = ""
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    per_path: bool = False

    def concerns(self, request: Request) -> bool:
        """Whether the rule is about such requests at all."""
        return (
            self.host in {None, request.host}
            and self.method in {None, request.method}
            and re.search(self.path, request.target) is not None
        )


@dataclass(slots=True)
class Faults:
    """Rules in order, and reach counters: `fired` by rule, `matched` by rule for what it was about.

    Chance is drawn from the seed, the rule and the count, so neither the clock nor the order of other requests changes it.
    """

    rules: list[Rule] = field(default_factory=list)
    seed: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    matched: Counter[str] = field(default_factory=Counter)
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _spent: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, *rules: Rule) -> None:
        """Appends rules."""
        self.rules.extend(rules)

    def clear(self) -> None:
        """Takes every rule away; the counters stay."""
        self.rules.clear()

    def unreached(self) -> list[str]:
        """The rules that never fired: a campaign with any of them proved less than it says."""
        return [rule.name for rule in self.rules if not self.fired[rule.name]]

    def deliver(self, request: Request, answer: Callable[[Request], Reply], world: World) -> Delivery:
        """What is sent for a request."""
        for rule in self.rules:
            if rule.concerns(request) and self._fires(rule, request):
                self.fired[rule.name] += 1
                return rule.action(Exchange(request=request, answer=answer, world=world, occurrence=self.fired[rule.name]))
        return Delivery(reply=answer(request))

    def _fires(self, rule: Rule, request: Request) -> bool:
        counted = (rule.name, request.path if rule.per_path else "")
        self.matched[rule.name] += 1
        self._seen[counted] += 1
        seen = self._seen[counted]
        used_up = rule.times is not None and self._spent[counted] >= rule.times
        if seen <= rule.skip or used_up or self._chance(counted, seen) >= rule.probability:
            return False
        self._spent[counted] += 1
        return True

    def _chance(self, counted: tuple[str, str], seen: int) -> float:
        digest = hashlib.blake2b(f"{self.seed} {counted} {seen}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64
