"""What is kept of a clock that was set while the program ran: in the very transaction whose instant shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archiver.catalog.history import Change, record
from archiver.catalog.notes import note, noted
from archiver.domain.stepping import CLOCK

if TYPE_CHECKING:
    from archiver.catalog.database import Tx


async def keep(tx: Tx, said: str) -> None:
    """Keeps that the clock is in doubt, and tells it in the history, unless that is what is known already.

    A kill a moment later loses nothing of it: whatever has a wrong instant was written together with this, or after it.
    """
    found = await noted(tx.conn, CLOCK)
    if found is None or found[0].get("doubt") != said:
        await note(tx, CLOCK, {"doubt": said})
        await record(tx, "clock", [Change(event="clock_doubted", reason=said)])
