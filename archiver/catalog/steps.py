"""State changes of renditions: the row and its ledger line together, never one without the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.history import Change, record
from archiver.catalog.tables import renditions
from archiver.domain import lifecycle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from archiver.catalog.database import Tx
    from archiver.domain.lifecycle import Event
    from archiver.domain.recording import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rendition about to change; where the table of the lifecycle has no such step, making one fails."""

    pk: int
    source: str
    recording_id: str
    rendition: str
    state: State
    event: Event
    reason: str = ""
    error: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)  # for the ledger line

    @property
    def after(self) -> State:
        """The state it goes to; an event the table does not know leaves the state alone."""
        return lifecycle.advance(self.state, self.event) if self.event in lifecycle.TRANSITIONS else self.state

    @property
    def change(self) -> Change:
        """Its ledger line."""
        return Change(
            event=self.event,
            source=self.source,
            recording_id=self.recording_id,
            rendition=self.rendition,
            from_state=self.state.value,
            to_state=self.after.value,
            reason=self.reason,
            data=self.data,
        )


async def take(tx: Tx, actor: str, steps: Sequence[Step], **values: Any) -> None:
    """Writes the new states, `values` for all of them, and the ledger lines. The caller has read the rows in this transaction."""
    moved = [step for step in steps if step.after is not step.state or step.event in lifecycle.TRANSITIONS]
    if moved:
        c = renditions.c
        statement = (
            sa.update(renditions)
            .where(c.id == sa.bindparam("pk"), c.state == sa.bindparam("before"))
            .values(state=sa.bindparam("after"), error=sa.bindparam("why"), revision=c.revision + 1, changed_at=tx.now, **values)
        )
        rows = [{"pk": s.pk, "before": s.state.value, "after": s.after.value, "why": s.error} for s in moved]
        await tx.execute(statement, rows)
    await record(tx, actor, [step.change for step in steps])
