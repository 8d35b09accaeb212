"""How often one address may present wrong credentials: a few at once, then one every few seconds."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archiver.domain.ports import Clock

AT_ONCE = 5
EVERY = 12.0  # seconds until another one is allowed: 7,200 guesses a day for an address, against at least 16 characters
ADDRESSES = 10_000  # remembered at once; the longest unseen is forgotten first


class Attempts:
    """A bucket of allowed failures for every address: `at_once` of them, and one more every `every` seconds."""

    def __init__(self, clock: Clock, *, at_once: int = AT_ONCE, every: float = EVERY) -> None:
        self._clock = clock
        self._at_once = float(at_once)
        self._every = every
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # network -> what is left, and as of when

    def spend(self, address: str) -> float:
        """Takes one attempt out of the address's bucket; returns seconds to wait where none is left, else 0."""
        network, now = network_of(address), self._clock.monotonic()
        left, since = self._buckets.pop(network, (self._at_once, now))
        left = min(self._at_once, left + (now - since) / self._every)
        allowed = left >= 1
        self._buckets[network] = (left - 1 if allowed else left, now)
        if len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else math.ceil((1 - left) * self._every)

    def refund(self, address: str) -> None:
        """Gives the attempt back: the credentials were right."""
        network = network_of(address)
        left, since = self._buckets.get(network, (self._at_once, self._clock.monotonic()))
        self._buckets[network] = (min(self._at_once, left + 1), since)


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the 64 bits of IPv6 that one customer of a network gets."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(mapped) if mapped.version == 4 else str(ipaddress.ip_network((mapped, 64), strict=False))
