"""What the last runs of retention and of the lock canary found wrong, in sentences."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.catalog.retention import noted
from archiver.config import format_instant

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

CANARY, RETENTION = "lock_canary", "retention"
STALE = timedelta(hours=49)  # two days without an answer, and locks count as unproved


async def locks(conn: AsyncConnection, now: datetime) -> list[str]:
    """Why locks cannot be relied on; empty where they can, and where nobody ever asked for any."""
    found = await noted(conn, CANARY)
    if found is None:
        return []
    value, at = found
    if not value.get("ok"):
        return [f"locks: {value.get('says')}; hint: archiver doctor, and look at the bucket's Object Lock"]
    if value.get("off") or now - at <= STALE:
        return []
    return [f"locks: the canary has not answered since {format_instant(at)}, one is expected every day"]


async def alarms(conn: AsyncConnection, now: datetime) -> list[str]:
    """The same, and what the last retention run was kept from doing."""
    found = await noted(conn, RETENTION)
    kept = [f"retention: {problem}" for problem in found[0].get("problems", ())] if found else []
    return [*await locks(conn, now), *kept]
