"""What the last runs of retention, of fixity and of the lock canary found wrong, in sentences."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.catalog import findings
from archiver.catalog.notes import noted
from archiver.config import format_instant

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    """The same, what the last retention run was kept from doing, and what fixity found."""
    found = await noted(conn, RETENTION)
    kept = [f"retention: {problem}" for problem in found[0].get("problems", ())] if found else []
    return [*await locks(conn, now), *kept, *_damage(await findings.counts(conn))]


def _damage(counts: Mapping[str, int]) -> list[str]:
    """What fixity found that no rendition's state tells: earlier objects, evidence, locks, delete markers."""
    says = {
        "unlocked": ("without the lock that the catalog names", "archiver repair"),
        "missing": ("gone, and no provider can give it again", "archiver verify names what it is"),
        "mismatched": ("not what it was, and no provider can give it again", "archiver verify names what it is"),
        "delete_marked": ("hidden by a delete marker", "remove the marker; archiver verify names what it is"),
    }
    named = {kind: kind.replace("_", " ") for kind in says}
    return [
        f"fixity: {counts[kind]:,} {named[kind]}: {what}; hint: {hint}" for kind, (what, hint) in says.items() if counts.get(kind)
    ]
