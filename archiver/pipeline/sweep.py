"""Unfinished uploads that nobody goes on with: ours are dropped, foreign ones only told of (I18)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from archiver.domain.work import UploadOwner

if TYPE_CHECKING:
    from archiver.domain.ports import Clock, Storage
    from archiver.domain.work import Catalog

log = structlog.get_logger()

AGE = timedelta(hours=24)  # an upload younger than this may still be gone on with


@dataclass(slots=True)
class Swept:
    """How many unfinished uploads were dropped, and how many foreign ones stand under our prefix."""

    aborted: int = 0
    foreign: int = 0


async def sweep(*, storage: Storage, catalog: Catalog, clock: Clock, age: timedelta = AGE) -> Swept:
    """Drops our uploads older than `age`; raises StorageUnavailable, StorageRefused, CatalogUnavailable."""
    found = Swept()
    before = clock.now() - age
    async for upload in storage.uploads():
        if upload.begun_at > before:
            continue
        owner = await catalog.upload_owner(upload.upload_id, upload.key)
        if owner is UploadOwner.FOREIGN:
            found.foreign += 1
            log.warning("foreign_upload", key=upload.key, begun_at=upload.begun_at.isoformat())
        elif owner is UploadOwner.OURS:
            await storage.abort(upload.key, upload.upload_id)
            await catalog.forget_upload(upload.upload_id)
            found.aborted += 1
            log.info("upload_swept", key=upload.key, begun_at=upload.begun_at.isoformat())
    return found
