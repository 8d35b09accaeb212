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
_ANSWERS = (errors.RecordingGone, errors.MediaUnavailable)
_STORE_FAULTS = (errors.StorageUnavailable, errors.StorageFull, errors.StorageRefused)


class Health:
    """A circuit for each source and one for the store, fed by every attempt."""

    def __init__(self, clock: Clock, sources: Iterable[str]) -> None:
        self._clock = clock
        self._sources = tuple(sources)
        self._circuits = {name: Circuit() for name in (*self._sources, STORE)}
        self._problems: dict[str, str] = {}

    def active(self) -> list[str]:
        """Sources that may be worked on now; none while the store is paused."""
        if not self._circuits[STORE].allows(self._clock.now()):
            return []
        return [name for name in self._sources if self._circuits[name].open_until is None]

    def checkable(self) -> list[str]:
        """Sources whose stored objects may be verified, which needs the store alone."""
        return list(self._sources) if self._circuits[STORE].allows(self._clock.now()) else []

    def on_trial(self) -> list[str]:
        """Sources whose pause is over and that have not worked since: one attempt at a time is enough to find out."""
        now = self._clock.now()
        if not self._circuits[STORE].allows(now):
            return []
        return [name for name in self._sources if self.down(name) and self._circuits[name].allows(now)]

    def trying_store(self) -> bool:
        """Whether the store has just come out of a pause, and one attempt at a time is enough to find out."""
        return self.down(STORE)

    def down(self, name: str) -> bool:
        """Whether a failure now says more about the source (or the store) than about one recording."""
        return self._circuits[name].open_until is not None

    def failed(self, source: str, error: Exception) -> None:
        """Counts a failure against whom it concerns; failures of single recordings concern nobody.

        Where the provider says that it has no such recording or media, it is answering.
        """
        if isinstance(error, _ANSWERS):
            self.succeeded(source)
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
        now = self._clock.now()
        return min(
            (c.open_until for c in self._circuits.values() if c.open_until is not None and c.open_until > now), default=None
        )

    def opens_in(self, source: str) -> float:
        """Seconds until a source may be worked on, 0 when it may be now."""
        now = self._clock.now()
        pauses = [self._circuits[name].open_until for name in (source, STORE)]
        return max(0.0, *((until - now).total_seconds() for until in pauses if until is not None), 0.0)

    def problems(self) -> list[str]:
        """One sentence for each source, or the store, that is in trouble."""
        return [f"{name}: {self._problems[name]}" for name in self._circuits if self.down(name) and name in self._problems]
