"""Which sources, and whether the store, are worth asking now."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.domain import errors
from archiver.domain.retry import Circuit, wait_asked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from archiver.domain.ports import Clock

STORE = "the store"
REFUSED = timedelta(minutes=1)  # how often refused credentials are tried again: they may be rotated under us
_FAULTS = (errors.ProviderUnavailable, errors.RateLimited, errors.CredentialsRefused)
_STORE_FAULTS = (errors.StorageUnavailable, errors.StorageFull, errors.StorageRefused)


class Health:
    """A circuit for each source and one for the store, fed by every attempt."""

    def __init__(self, clock: Clock, sources: Iterable[str]) -> None:
        self._clock = clock
        self._circuits = {name: Circuit() for name in (*sources, STORE)}
        self._problems: dict[str, str] = {}

    def active(self) -> list[str]:
        """Sources that may be worked on now; none while the store is in trouble."""
        now = self._clock.now()
        if not self._circuits[STORE].allows(now):
            return []
        return [name for name, circuit in self._circuits.items() if name != STORE and circuit.allows(now)]

    def down(self, name: str) -> bool:
        """Whether a failure now says more about the source (or the store) than about one recording."""
        return self._circuits[name].open_until is not None

    def probing(self) -> bool:
        """Whether anything has just come out of a pause: then one attempt at a time is enough to find out."""
        return any(circuit.open_until is not None for circuit in self._circuits.values())

    def failed(self, source: str, error: Exception) -> None:
        """Counts a failure against whom it concerns; failures of single recordings concern nobody."""
        name = STORE if isinstance(error, _STORE_FAULTS) else source if isinstance(error, _FAULTS) else ""
        if not name:
            return
        now = self._clock.now()
        self._problems[name] = str(error)
        circuit = self._circuits[name].failed(now, chance=self._clock.chance())
        pause = self._pause(error)
        if pause is not None:
            until = max(now + pause, circuit.open_until or now)
            circuit = Circuit(failures=circuit.failures, open_until=until)
        self._circuits[name] = circuit

    def _pause(self, error: Exception) -> timedelta | None:
        if isinstance(error, errors.CredentialsRefused | errors.StorageRefused):
            return REFUSED
        if isinstance(error, errors.RateLimited):
            seconds = wait_asked(error.wait, chance=self._clock.chance())
            return None if seconds is None else timedelta(seconds=seconds)
        return None

    def succeeded(self, *names: str) -> None:
        """Closes the circuits of those who just worked."""
        for name in names:
            if self._circuits[name].failures:
                self._circuits[name] = self._circuits[name].succeeded()
                self._problems.pop(name, None)

    def opens_at(self) -> datetime | None:
        """When the first pause ends, None when nothing is paused."""
        return min((c.open_until for c in self._circuits.values() if c.open_until is not None), default=None)

    def problems(self) -> list[str]:
        """One sentence for each source, or the store, that is in trouble."""
        return [f"{name}: {self._problems[name]}" for name in self._circuits if self.down(name) and name in self._problems]
