"""Deletion at the provider in the catalog: what is known of a recording, the intention, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from archiver.catalog.candidates import CANDIDATE, C, R, custodies
from archiver.catalog.history import Change, record
from archiver.catalog.tables import recordings
from archiver.domain.keeping import Releasable
from archiver.domain.recording import Listed, ProviderStatus, RecordingRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from archiver.catalog.database import Tx
    from archiver.domain.plan import Candidate

INTENDED, DELETED = "intended", "deleted"
_KNOWN = (
    *("recording_id", "status_raw", "raw", "started_at", "ended_at", "duration", "size", "media_type", "codec", "container"),
    *("room_id", "room_name", "session_id", "participant_id", "participant_name", "external_url"),
)


async def releasable(conn: AsyncConnection, source: str, recording_id: str) -> Releasable | None:
    """The recording as the provider listed it last, with all its renditions and objects."""
    query = sa.select(recordings).where(C.source == source, C.recording_id == recording_id)
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    renditions = await custodies(conn, CANDIDATE.where(R.recording_pk == row.id).order_by(R.id))
    known = Listed(
        status=ProviderStatus(row.status),
        renditions=tuple(found.one.rendition for found in renditions),
        flags=tuple(row.flags),
        **{name: getattr(row, name) for name in _KNOWN},
    )
    ref = RecordingRef(source=source, recording_id=recording_id, room_id=row.room_id)
    return Releasable(ref=ref, known=known, renditions=tuple(renditions))


async def authorise(
    tx: Tx, actor: str, source: str, recording_id: str, confirm: Callable[[Sequence[Candidate], datetime], str | None]
) -> str | None:
    """The intention, recorded unless `confirm` objects to what is true in this transaction; the objection otherwise.

    Rows are locked in the order in which a hold locks them.
    """
    mine = C.source == source, C.recording_id == recording_id
    locked = sa.select(R.id).join(recordings, C.id == R.recording_pk).where(*mine).order_by(R.id)
    await tx.conn.execute(locked.with_for_update())
    found = await custodies(tx.conn, CANDIDATE.where(*mine).order_by(R.id))
    objection = confirm([item.one for item in found], tx.now)
    if objection is not None:
        return objection
    await tx.execute(sa.update(recordings).where(*mine).values(release=INTENDED, manifest=None))
    objects = [{"key": ref.key, "version_id": ref.version_id, "sha256": ref.sha256} for item in found for ref in item.objects]
    reason = "read back, locked, cooled off and unchanged at the provider"
    told = Change(event="delete_intent", source=source, recording_id=recording_id, reason=reason, data={"objects": objects})
    await record(tx, actor, [told])
    return None


async def ended(tx: Tx, actor: str, source: str, recording_id: str, *, gone: bool, reason: str, data: Mapping[str, Any]) -> None:
    """What was seen at the provider behind a deletion; anything but its absence leaves the intention open."""
    mine = C.source == source, C.recording_id == recording_id
    row = (await tx.conn.execute(sa.select(C.status, C.release).where(*mine).with_for_update())).one_or_none()
    if row is None or (gone and row.release == DELETED and row.status == ProviderStatus.DELETED.value):
        return
    if gone:
        values = {"release": DELETED, "released_at": tx.now, "status": ProviderStatus.DELETED.value, "changed_at": tx.now}
        await tx.execute(sa.update(recordings).where(*mine).values(**values, manifest=None))
    event = "deleted_at_provider" if gone else "delete_unconfirmed"
    await record(tx, actor, [Change(event=event, source=source, recording_id=recording_id, reason=reason, data=dict(data))])
