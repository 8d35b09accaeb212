"""The ledger's rows: one for every change, written in the transaction of the change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.catalog import batches, tallies
from archiver.catalog.tables import ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from archiver.catalog.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a ledger line says besides when and who; `data` holds facts that later evidence needs."""

    event: str
    source: str = ""
    recording_id: str = ""
    rendition: str = ""
    from_state: str = ""
    to_state: str = ""
    reason: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


async def record(tx: Tx, actor: str, changes: Sequence[Change]) -> None:
    """Writes ledger lines at the transaction's instant."""
    if not changes:
        return
    rows = [
        {
            "event": change.event,
            "source": change.source,
            "recording_id": change.recording_id,
            "rendition": change.rendition,
            "from_state": change.from_state,
            "to_state": change.to_state,
            "reason": change.reason,
            "data": dict(change.data) or None,
        }
        for change in changes
    ]
    await batches.insert(tx.conn, ledger, rows, at=tx.now, actor=actor)
    tallies.note(tx.moves, changes)
