"""Deletion at the provider: every condition looked at afresh, one recording by its id, and the result read again (I14, I15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from archiver.domain import errors
from archiver.domain.recording import ProviderStatus
from archiver.domain.release import Evidence, ReadBack, refusal
from archiver.pipeline.transfer import read_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from archiver.domain.keeping import Custody, Keeping, Releasable
    from archiver.domain.plan import Candidate, ReleaseRule
    from archiver.domain.ports import Provider, Storage
    from archiver.pipeline.clocks import Time

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """How a deletion at the provider ended: `deleted`, or why not."""

    source: str
    recording_id: str
    deleted: bool
    reason: str


class Releaser:
    """Deletes recordings of one source at its provider, one at a time, while nobody lists it (F7)."""

    def __init__(self, *, provider: Provider, storage: Storage, keeping: Keeping, rule: ReleaseRule, time: Time) -> None:
        self._provider = provider
        self._storage = storage
        self._keeping = keeping
        self._rule = rule
        self._time = time

    async def one(self, recording_id: str) -> Release:
        """Deletes one recording, if nothing speaks against it.

        Raises ProviderUnavailable, RateLimited, CredentialsRefused before anything is tried, StorageUnavailable,
        StorageRefused, CatalogUnavailable. An answer that is lost behind the attempt is settled by asking again.
        """
        source = self._provider.source
        found = await self._keeping.releasable(source, recording_id)
        if found is None:
            return self._not(recording_id, "it is not in the catalog")
        try:
            evidence = await self._evidence(found)
        except errors.RecordingGone as error:
            intended = any(item.one.release == "intended" for item in found.renditions)
            return await self._settle(found, said="") if intended else self._not(recording_id, str(error))
        except (errors.ContractBroken, errors.ObjectMissing) as error:
            return self._not(recording_id, str(error))

        def confirm(renditions: Sequence[Candidate], now: datetime) -> str | None:
            # Locks are held against the store's clock, everything else against the catalog's.
            return refusal(renditions, evidence, self._rule, now=now, store=self._time.store)

        objection = await self._keeping.authorise_release(source, recording_id, confirm)
        if objection is not None:
            return self._not(recording_id, objection)
        try:
            await self._provider.delete(found.ref)
        except errors.ProviderError as error:  # refused or lost: what stands there decides, not the answer
            return await self._settle(found, said=str(error))
        return await self._settle(found, said="")

    async def _evidence(self, found: Releasable) -> Evidence:
        read_back = {item.one.rendition: await self._read_back(item) for item in found.renditions if item.objects}
        provider = await self._provider.get(found.ref)  # last, so that it is as fresh as can be
        return Evidence(provider=provider, known=found.known, read_back=read_back)

    async def _read_back(self, item: Custody) -> ReadBack:
        current = item.objects[-1]
        sha256 = await read_sha256(self._storage, current.key, current.version_id, expected=current.sha256)
        stored = await self._storage.head(current.key, current.version_id)
        return ReadBack(stored=stored, sha256=sha256, expected_sha256=current.sha256, expected_size=current.size)

    async def _settle(self, found: Releasable, *, said: str) -> Release:
        """How it stands behind an attempt, this one or one that was killed: at the provider, and with our own objects."""
        source, recording_id = found.ref.source, found.ref.recording_id
        gone, seen = await self._look(found)
        objects = await self._objects(found)
        reason = seen if not said else f"{seen}; the deletion itself said: {said}"
        data: dict[str, Any] = {"objects": objects}
        await self._keeping.release_ended(source, recording_id, gone=gone, reason=reason, data=data)
        say = log.info if gone else log.warning
        say("released" if gone else "release_unconfirmed", source=source, recording_id=recording_id, reason=reason)
        return Release(source=source, recording_id=recording_id, deleted=gone, reason=reason)

    async def _look(self, found: Releasable) -> tuple[bool, str]:
        """Whether the provider has it no more; 2xx to a deletion proves nothing (I15)."""
        try:
            seen = await self._provider.get(found.ref)
        except errors.RecordingGone:
            return True, "the provider no longer knows it"
        except errors.ProviderError as error:
            return False, f"the provider cannot be asked: {error}"
        if seen.status is ProviderStatus.DELETED:
            return True, "the provider says that it is deleted"
        return False, f"the provider still has it ({seen.status_raw or seen.status.value})"

    async def _objects(self, found: Releasable) -> dict[str, str]:
        """What our own objects look like behind the deletion, by key."""
        seen = {}
        for item in found.renditions:
            for ref in item.objects[-1:]:
                try:
                    stored = await self._storage.head(ref.key, ref.version_id)
                    seen[ref.key] = f"{stored.size} bytes, {stored.lock_mode or 'not locked'}"
                except errors.StorageError as error:
                    seen[ref.key] = str(error)
                    log.warning("object_not_seen", recording_id=found.ref.recording_id, key=ref.key, error=str(error))
        return seen

    def _not(self, recording_id: str, reason: str) -> Release:
        log.warning("release_refused", source=self._provider.source, recording_id=recording_id, reason=reason)
        return Release(source=self._provider.source, recording_id=recording_id, deleted=False, reason=reason)
