"""Whether the time can be trusted with a deletion (I13): several clocks have to agree, and none may have been set meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.domain.retention import DOUBT, clock_doubt, instant

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from archiver.domain.keeping import Keeping
    from archiver.domain.ports import Clock, Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """What the clocks said: `doubt` is why nothing may be deleted now, None where nothing speaks against it.

    `store` is an instant that the store's own clock has certainly passed; locks are held against it, not against ours.
    """

    now: datetime
    store: datetime
    doubt: str | None


class Clocks:
    """The machine's clock, the catalog's and the store's.

    `elapsed` gives seconds that no setting of a clock changes and that go on while the machine sleeps: where a folder and a
    SQLite file leave one clock only, it alone can tell that the clock was set.
    """

    def __init__(self, *, clock: Clock, keeping: Keeping, storage: Storage, elapsed: Callable[[], float]) -> None:
        self._clock = clock
        self._keeping = keeping
        self._storage = storage
        self._elapsed = elapsed
        self._began = clock.now(), elapsed()
        self._was_set: str | None = None

    async def look(self) -> Time:
        """Asks every clock; raises StorageUnavailable, CatalogUnavailable."""
        before = self._clock.now()
        catalog = await self._keeping.now()
        after = self._clock.now()
        ahead = {"the catalog": (catalog - (before + (after - before) / 2)).total_seconds()}
        store = await self._storage.ahead()
        if store is not None:
            ahead["the store"] = store
        doubt = clock_doubt(ahead) or self._set() or await self._before_history(catalog)
        passed = catalog + timedelta(seconds=min(0.0, store or 0.0) - 1)  # its Date header counts whole seconds
        return Time(now=catalog, store=passed if store is not None else catalog, doubt=doubt)

    def glance(self) -> None:
        """Notices whether this machine's clock was set, without asking anybody: worth doing often, as it may be set back."""
        self._set()

    def _set(self) -> str | None:
        """Whether this machine's clock was seen to be set since we began; setting it back makes nothing good.

        What was verified in between has an instant that is wrong, and may look as if it had cooled off for a day.
        """
        began, elapsed = self._began
        jump = (self._clock.now() - began).total_seconds() - (self._elapsed() - elapsed)
        if abs(jump) > DOUBT:
            said = f"this machine's clock was set by {jump:+.0f} s since {instant(began)}"
            self._was_set = f"{said}; nothing is deleted before a restart"
        return self._was_set

    async def _before_history(self, now: datetime) -> str | None:
        """Whether it is earlier than what was done already."""
        last = await self._keeping.last_event()
        if last is None or last <= now + timedelta(seconds=DOUBT):
            return None
        return f"it is {instant(now)}, and the history was last written on {instant(last)}; nothing is deleted"
