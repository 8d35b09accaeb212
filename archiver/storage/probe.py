"""What an S3 endpoint really enforces: found by canaries under `_probe/`, never believed from documentation.

Compatibles answer 200 to what they do not know, so every protection is tried with something it has to refuse.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from archiver.domain.errors import StorageError
from archiver.domain.ports import Abilities, Lock
from archiver.storage import canaries as trials
from archiver.storage.canaries import BEHIND, FOLDER, METADATA, Canaries, Dialect
from archiver.storage.checksums import CRC64NVME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from archiver.domain.ports import StoredObject
    from archiver.storage.s3_requests import Requests

_LOCK = timedelta(seconds=60)  # of a canary, always governance: nothing irreversible is ever tried out
_OLD = timedelta(hours=1)  # canaries older than this are nobody's any more
_CLOCK = 60.0  # seconds of difference that raise doubt (invariant I13)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a probe leads to. `clock_offset` is in seconds, positive where the endpoint's clock is ahead."""

    abilities: Abilities
    dialect: Dialect
    clock_offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """What stood around the trials: was a lock wanted, does the bucket lock by itself, what could not be removed."""

    lock_wanted: bool
    locks_by_default: bool
    clock_offset: float
    kept: tuple[StoredObject, ...]


async def probe(requests: Requests, *, token: str, now: Callable[[], datetime]) -> Found:
    """Tries an endpoint out in about a dozen round trips and cleans up, after old probes that died as well.

    Raises StorageRefused (credentials, bucket, owner, region; an endpoint that stores other bytes than it is sent),
    StorageUnavailable, StorageFull.
    """
    there, offset = await look(requests, now)
    locks_by_default = await requests.default_retention()
    lock_wanted = requests.settings.object_lock != "off"
    # By the endpoint's own time: retention that ends in its past is refused, whatever our clock says.
    lock = Lock(mode="governance", retain_until=there + _LOCK) if lock_wanted or locks_by_default else None
    canaries = Canaries(requests=requests, token=token, lock=lock, lock_all=locks_by_default)
    kept: list[StoredObject] = []
    try:
        await trials.together(trials.run(canaries), _sweep(requests, there - _OLD))
    finally:
        kept = await trials.clean(canaries)
    around = _Surroundings(lock_wanted=lock_wanted, locks_by_default=locks_by_default, clock_offset=offset, kept=tuple(kept))
    return Found(abilities=_abilities(canaries, around), dialect=canaries.dialect, clock_offset=offset)


def _abilities(canaries: Canaries, around: _Surroundings) -> Abilities:
    put, multipart = canaries.put_seen, canaries.multipart_seen
    return Abilities(
        refuses_wrong_checksum=canaries.refuses_wrong_checksum,
        refuses_wrong_part=canaries.refuses_wrong_part,
        proves_whole=canaries.refuses_wrong_whole and canaries.reports_whole,
        conditional_put=canaries.conditional_put,
        conditional_complete=canaries.conditional_complete,
        versioning=bool(put and put.version_id),
        lock=_locked(put, canaries, around) and _locked(multipart, canaries, around),
        keeps_metadata=_keeps_metadata(put) and _keeps_metadata(multipart),
        notes=tuple(_notes(canaries, around)),
    )


def _shows_lock(seen: StoredObject | None, canaries: Canaries) -> bool:
    """Whether HEAD showed the whole retention that was given at creation."""
    if seen is None or seen.retain_until is None or canaries.lock is None:
        return False
    return seen.lock_mode == canaries.lock.mode and seen.retain_until >= canaries.lock.retain_until.replace(microsecond=0)


def _locked(seen: StoredObject | None, canaries: Canaries, around: _Surroundings) -> bool:
    """Whether retention was shown, and deleting that version refused."""
    held = {(stored.key, stored.version_id) for stored in around.kept}
    return seen is not None and _shows_lock(seen, canaries) and (seen.key, seen.version_id) in held


def _keeps_metadata(seen: StoredObject | None) -> bool:
    return seen is not None and all(seen.metadata.get(name) == value for name, value in METADATA.items())


def _notes(canaries: Canaries, around: _Surroundings) -> Iterator[str]:
    """One sentence for each thing an operator should know."""
    if not canaries.refuses_wrong_checksum:
        yield "A put with a wrong SHA-256 is stored all the same: objects are verified by reading them back."
    if not canaries.refuses_wrong_part:
        yield "A part with a wrong checksum is stored all the same: objects are verified by reading them back."
    elif canaries.dialect.part_checksum != CRC64NVME:
        used = canaries.dialect.part_checksum
        yield f"The endpoint does not check CRC64NVME: parts travel with their {used}, and the whole object is not attested."
    elif not (canaries.refuses_wrong_whole and canaries.reports_whole):
        yield "The endpoint does not check and report the checksum of a whole multipart object."
    if not (canaries.conditional_put and canaries.conditional_complete):
        on = " and ".join(
            name
            for name, holds in (("puts", canaries.conditional_put), ("completions", canaries.conditional_complete))
            if not holds
        )
        yield f"If-None-Match is not enforced on {on}: we look before we write, but two writers at once are not kept apart."
    if not (canaries.put_seen and canaries.put_seen.version_id):
        yield "The bucket keeps no versions."
    if not (_keeps_metadata(canaries.put_seen) and _keeps_metadata(canaries.multipart_seen)):
        yield "The endpoint does not keep object metadata: an upload whose answer is lost has to be recognised by its bytes."
    yield from _lock_notes(canaries, around)
    if abs(around.clock_offset) > _CLOCK:
        yield f"The endpoint's clock is {around.clock_offset:+.0f} s from this machine's: nothing is deleted while that lasts."


def _lock_notes(canaries: Canaries, around: _Surroundings) -> Iterator[str]:
    if around.locks_by_default:
        yield "The bucket has a default retention: whatever is written to it is locked."
    if around.lock_wanted and canaries.lock is None:
        yield f"The endpoint refuses retention at creation ({canaries.lock_refused}); hint: enable Object Lock on the bucket."
    elif around.lock_wanted:
        for name, seen in (("put", canaries.put_seen), ("multipart upload", canaries.multipart_seen)):
            if not _shows_lock(seen, canaries):
                yield f"Retention given with a {name} is not on the object afterwards."
            elif not _locked(seen, canaries, around):
                yield f"A {name} shows its retention, and was deleted all the same."
    if around.kept and canaries.lock is not None:
        yield (f"{len(around.kept)} {BEHIND}, locked for {_LOCK.seconds} s; a probe an hour from now or later removes them.")
    elif around.kept:
        yield f"{len(around.kept)} canaries under {FOLDER}/ could not be deleted."


async def look(requests: Requests, now: Callable[[], datetime]) -> tuple[datetime, float]:
    """The endpoint's time and how many seconds it is ahead of ours; ours and 0 where it does not say."""
    before = now()
    reply = await requests.look()
    after = now()
    middle = before + (after - before) / 2
    try:
        there = parsedate_to_datetime(reply.headers.get("date", "")).astimezone(UTC)
    except ValueError:
        return after, 0.0
    # Date counts whole seconds; inside the second there is nothing to say.
    offset = (there + timedelta(seconds=0.5) - middle).total_seconds()
    return there, 0.0 if abs(offset) <= 0.5 + (after - before).total_seconds() else offset


async def _sweep(requests: Requests, before: datetime) -> None:
    """Removes canaries and uploads of probes that died or whose locks had to run out; what resists is left."""
    try:
        old = [stored async for stored, at in requests.versions(f"{FOLDER}/") if at < before]
        begun = [upload async for upload in requests.uploads(f"{FOLDER}/") if upload.begun_at < before]
    except StorageError:
        return  # poor endpoints list no versions; what keeps us out altogether is reported by `look`
    ends = [requests.delete(stored.key, stored.version_id) for stored in old]
    await asyncio.gather(*ends, *(requests.abort(up.key, up.upload_id) for up in begun), return_exceptions=True)
