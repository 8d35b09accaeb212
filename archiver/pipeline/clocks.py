"""Whether the time can be trusted with a deletion (I13): several clocks have to agree, and none may have been set meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.domain.retention import DOUBT, clock_doubt, instant
from archiver.domain.stepping import CLOCK, StepWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from archiver.domain.keeping import Keeping
    from archiver.domain.ports import Clock, Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """What the clocks said: `doubt` is why nothing may be deleted now, None where nothing speaks against it.

    `store` is an instant that the store's own clock has certainly passed; locks are held against it, not against ours.
    `sure_since` is when the clocks were first believed again after the last doubt: no instant before it says how long ago
    something was done. None where they were never in doubt.
    """

    now: datetime
    store: datetime
    doubt: str | None
    sure_since: datetime | None


async def sure_since(keeping: Keeping) -> datetime | None:
    """Since when the clocks are believed, as the catalog keeps it, and now where they are not; None if they always were."""
    found = await keeping.noted(CLOCK)
    if found is None:
        return None
    kept, at = found
    return await keeping.now() if kept["doubt"] else at


class Clocks:
    """The machine's clock, the catalog's and the store's.

    `elapsed` gives seconds that no setting of a clock changes and that go on while the machine sleeps: where a folder and a
    SQLite file leave one clock only, it alone can tell that the clock was set.
    """

    def __init__(self, *, clock: Clock, keeping: Keeping, storage: Storage, elapsed: Callable[[], float]) -> None:
        self._clock = clock
        self._keeping = keeping
        self._storage = storage
        self._steps = StepWatch("this machine's clock", elapsed)
        self._steps.see(clock.now())

    async def look(self) -> Time:
        """Asks every clock; raises StorageUnavailable, CatalogUnavailable."""
        before = self._clock.now()
        catalog = await self._keeping.now()
        after = self._clock.now()
        ahead = {"the catalog": (catalog - (before + (after - before) / 2)).total_seconds()}
        store = await self._storage.ahead()
        if store is not None:
            ahead["the store"] = store
        doubt = clock_doubt(ahead) or self._steps.see(self._clock.now()) or await self._before_history(catalog)
        doubt, since = await self._kept(doubt)
        passed = catalog + timedelta(seconds=min(0.0, store or 0.0) - 1)  # its Date header counts whole seconds
        return Time(now=catalog, store=passed if store is not None else catalog, doubt=doubt, sure_since=since)

    def glance(self) -> None:
        """Notices whether this machine's clock was set, without asking anybody: worth doing often, as it may be set back."""
        self._steps.see(self._clock.now())

    async def _kept(self, doubt: str | None) -> tuple[str | None, datetime | None]:
        """The doubt, and since when there is none. An earlier one is over where all clocks agree and nobody saw his set:
        whoever did sees it still when he writes that, and it stays.
        """
        found = await self._keeping.noted(CLOCK)
        if found is not None and found[0]["doubt"] and doubt is None:
            await self._keeping.note(CLOCK, {"doubt": ""})
            found = await self._keeping.noted(CLOCK)
        if found is None:
            return doubt, None
        kept, at = found
        return doubt or kept["doubt"] or None, at

    async def _before_history(self, now: datetime) -> str | None:
        """Whether it is earlier than what was done already."""
        last = await self._keeping.last_event()
        if last is None or last <= now + timedelta(seconds=DOUBT):
            return None
        return f"it is {instant(now)}, and the history was last written on {instant(last)}; nothing is deleted"
