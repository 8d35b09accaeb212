"""The archive's objects against a catalog that was rebuilt from its history: what is missing, and what nobody told of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from archiver.domain.errors import ObjectMissing, Transient
from archiver.domain.integrity import DECRYPTION_HEADERS
from archiver.domain.rebuilding import Seen, Stray
from archiver.domain.retry import backoff
from archiver.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from archiver.domain.ports import Clock, Storage, StoredObject
    from archiver.domain.rebuilding import KnownObject, Rebuilding

log = structlog.get_logger()
T = TypeVar("T")

PAGE = 200  # objects looked at between two transactions
TRIES = 5  # of a request that fails for a passing reason: a rebuild of hours must not begin anew for one
MOST = 1_000  # problems kept as sentences; the others are counted
_OURS = "_"  # what begins like this is no media: segments, manifests, statements, canaries
_PARTS = 6  # of a key of media, see domain/keys.py
_PREFIX = "x-amz-meta-"


async def patiently(clock: Clock, ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, asked for again while what fails may pass by itself."""
    for attempt in range(1, TRIES + 1):
        try:
            return await ask()
        except Transient as error:
            if attempt == TRIES:
                raise
            log.warning("rebuild_waits", error=str(error), attempt=attempt)
            await clock.sleep(backoff(attempt, chance=clock.chance()).total_seconds())
    raise AssertionError("the last try returns or raises")


class Adoption:
    """Looks at every object once. `adopted` and `missing` count, `problems` tell."""

    def __init__(self, *, target: Rebuilding, storage: Storage, clock: Clock, locks: bool) -> None:
        self._target = target
        self._storage = storage
        self._clock = clock
        self._locks = locks
        self.adopted = 0
        self.missing = 0
        self.problems: list[str] = []

    async def run(self) -> None:
        """Raises the errors of both ports."""
        await self._known()
        await self._strays()

    def _problem(self, text: str) -> None:
        if len(self.problems) < MOST:
            self.problems.append(text)

    # -- what the history tells of

    async def _known(self) -> None:
        after = (0, "")
        while page := await self._target.objects(after=after, limit=PAGE):
            looked: list[Seen] = []

            async def look(known: KnownObject, into: list[Seen] = looked) -> None:
                into.append(await patiently(self._clock, lambda: self._look(known)))

            await side_by_side(page, look)
            await self._target.seen(looked)
            for item in looked:
                if item.missing:
                    self.missing += 1
                    self._problem(f"{item.known.name}: {item.missing}")
            after = (page[-1].pk, page[-1].key)

    async def _look(self, known: KnownObject) -> Seen:
        try:
            found = await self._storage.head(known.key, known.version_id)
        except ObjectMissing as error:
            return Seen(known=known, missing=f"missing: {error}")
        if found.size != known.size:
            return Seen(known=known, missing=f"{known.key} has {found.size} bytes, the history says {known.size}")
        if not self._locks and not found.lock_mode:
            return Seen(known=known, legal_hold=found.legal_hold)
        if not found.lock_mode:
            self._problem(f"{known.name}: {known.key} is not locked")
        return Seen(known=known, lock_mode=found.lock_mode, retain_until=found.retain_until, legal_hold=found.legal_hold)

    # -- what nobody told of

    async def _strays(self) -> None:
        page: list[StoredObject] = []
        async for stored in self._storage.keys(""):
            if stored.key.startswith(_OURS):
                continue
            page.append(stored)
            if len(page) == PAGE:
                await self._look_over(page)
                page = []
        await self._look_over(page)

    async def _look_over(self, page: list[StoredObject]) -> None:
        if not page:
            return
        unknown = await self._target.unknown([stored.key for stored in page])
        for stored in page:
            if stored.key in unknown:
                await self._adopt(stored)

    async def _adopt(self, listed: StoredObject) -> None:
        found = await patiently(self._clock, lambda: self._storage.head(listed.key, listed.version_id))
        sha256 = await patiently(self._clock, lambda: self._sha256(listed))
        stray = _stray(found, sha256)
        refused = stray if isinstance(stray, str) else await self._target.adopt(stray)
        if refused is None:
            self.adopted += 1
            log.info("adopted", key=listed.key)
        else:
            self._problem(f"{listed.key} is in the archive and not in its history, and was left alone: {refused}")

    async def _sha256(self, listed: StoredObject) -> str:
        digest = hashlib.sha256()
        async for chunk in self._storage.read(listed.key, listed.version_id):
            digest.update(chunk)
        return digest.hexdigest()


def _stray(found: StoredObject, sha256: str) -> Stray | str:
    """The object as one of ours, or why it is none: key and metadata have to tell the same."""
    parts, said = found.key.split("/"), found.metadata
    if len(parts) != _PARTS or not said.get("archiver-rendition"):
        return "it does not say which recording it is of"
    if (said.get("archiver-source"), said.get("archiver-recording")) != (parts[0], parts[4]):
        return "its metadata name another recording than its key"
    if said.get("archiver-sha256", sha256) != sha256:
        return "its bytes are not the ones that its metadata name"
    if found.size == 0:
        return "it is empty"
    columns: dict[str, Any] = {
        "key": found.key,
        "version_id": found.version_id,
        "size": found.size,
        "sha256": sha256,
        "token": said.get("archiver-token", ""),
        "proof": {"etag": found.etag, "sha256": found.sha256, "checksums": dict(found.checksums)},
        "metadata": {name: said[name.removeprefix(_PREFIX)] for name in DECRYPTION_HEADERS if name.removeprefix(_PREFIX) in said},
        "lock_mode": found.lock_mode,
        "retain_until": found.retain_until,
    }
    return Stray(source=parts[0], recording=parts[4], rendition=said["archiver-rendition"], columns=columns)
