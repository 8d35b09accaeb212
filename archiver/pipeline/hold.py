"""Legal holds in the store, where it has them: set and cleared until they are what the catalog says.

The catalog's hold protects everywhere and at once; the store's protects against whoever has no use for a catalog.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from archiver.domain import errors
from archiver.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from archiver.domain.keeping import Keeping, StoreHold
    from archiver.domain.ports import Storage

log = structlog.get_logger()

PORTION = 500


@dataclass(slots=True)
class Held:
    """What one run did in the store. `kept` is False where the store keeps no legal holds."""

    kept: bool = True
    set: int = 0
    cleared: int = 0
    foreign: int = 0  # held in the store by somebody else, who alone may clear that
    problems: list[str] = field(default_factory=list)


class StoreHolds:
    """Brings the store's legal holds in line; may be stopped anywhere and run by anybody, twice at once too."""

    def __init__(self, *, storage: Storage, keeping: Keeping) -> None:
        self._storage = storage
        self._keeping = keeping

    async def run(self) -> Held:
        """Sets and clears until nothing differs; raises StorageUnavailable, CatalogUnavailable."""
        held = Held()
        tried: set[int] = set()
        while True:
            found = [item for item in await self._keeping.hold_differences(limit=PORTION + len(tried)) if item.pk not in tried]
            if not found:
                return held
            if not (await self._storage.later()).hold:
                held.kept = False
                return held
            tried |= {item.pk for item in found}
            await side_by_side(found, lambda item: self._one(item, held))

    async def _one(self, item: StoreHold, held: Held) -> None:
        try:
            if item.on and await self._held_already(item):
                held.foreign += 1
                return
            problem = await self._bring(item, on=item.on)
            if problem is not None:
                held.problems.append(problem)
                return
            if not await self._keeping.store_held(item):
                if item.on:  # released, or stored anew, meanwhile: what nobody noted must not stay
                    await self._bring(item, on=False)
                return
        except (errors.StorageRefused, errors.ObjectMissing) as error:
            held.problems.append(str(error))
            log.warning("store_hold_refused", recording_id=item.name[1], error=str(error))
            return
        held.set += item.on
        held.cleared += not item.on

    async def _held_already(self, item: StoreHold) -> bool:
        """Whether somebody else's hold is on any of the objects; clearing ours later would clear theirs."""
        return any([(await self._storage.head(ref.key, ref.version_id)).legal_hold for ref in item.objects])

    async def _bring(self, item: StoreHold, *, on: bool) -> str | None:
        """Sets or clears the hold of every object; why it is not what it should be, None where it is."""
        for ref in item.objects:
            await self._storage.hold(ref.key, ref.version_id, on=on)
            if (await self._storage.head(ref.key, ref.version_id)).legal_hold is not on:
                return f"{ref.key}: the store took a legal hold and does not show it"
        return None
