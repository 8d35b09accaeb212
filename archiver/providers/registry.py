"""Finds providers by name, ours and those of other packages alike.

A package adds one with an entry point in the group `archiver.providers`; its name is the value of `provider` in the
configuration, and it points to a class that is a `domain.ports.Provider` and has

    @classmethod
    def open(cls, options: SourceOptions, clock: Clock, observe: Observe | None) -> Self

`open` connects to nothing yet and raises ConfigurationError for options it cannot use. `observe` is to be called for every
request to the API. An attribute `ratelimit_remaining` (int or None), where there is one, becomes a metric.
"""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from archiver.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

    from archiver.domain.ports import Clock, Provider
    from archiver.providers.settings import Observe, SourceOptions

GROUP = "archiver.providers"


class Opens(Protocol):
    """A provider's class, as far as it is needed here."""

    def open(self, options: SourceOptions, clock: Clock, observe: Observe | None) -> Provider:
        """Makes the provider of one source."""


def names() -> tuple[str, ...]:
    """The names that `provider` may have, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def open_provider(name: str, options: SourceOptions, clock: Clock, observe: Observe | None = None) -> Provider:
    """The provider of one source; raises ConfigurationError for an unknown name and for a class that cannot be used."""
    return load(name, entry_points(group=GROUP)).open(options, clock, observe)


def load(name: str, entries: Iterable[EntryPoint]) -> Opens:
    """The class behind a name; raises ConfigurationError where there is none, more than one, or one that does not load."""
    entries = tuple(entries)
    found = {entry.value for entry in entries if entry.name == name}
    if not found:
        known = sorted({entry.name for entry in entries})
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError((f"unknown provider {name!r}, accepted: {', '.join(known)}{meant}",))
    if len(found) > 1:
        raise ConfigurationError((f"provider {name!r} is offered by more than one package: {', '.join(sorted(found))}",))
    entry = next(entry for entry in entries if entry.name == name)
    try:
        loaded: Opens = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError((f"provider {name!r} ({entry.value}) does not load: {error}",)) from error
    if not callable(getattr(loaded, "open", None)):
        raise ConfigurationError((f"provider {name!r} ({entry.value}) has no class method open(options, clock, observe)",))
    return loaded
