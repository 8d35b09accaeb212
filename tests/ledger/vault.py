"""A catalog and an archive folder, a sealer between them, and short ways to bring history in."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from archiver.catalog.history import Change, record
from archiver.catalog.ledger import SqlHistory
from archiver.catalog.manifests import SqlFacts
from archiver.catalog.tables import ledger
from archiver.domain.errors import CatalogUnavailable, StorageUnavailable
from archiver.pipeline.audit import Audit, audit
from archiver.pipeline.seal import Sealer, SealRun
from archiver.storage.filesystem import Filesystem
from tests.catalog.world import World

PART = 5 * 1024 * 1024


class SealClock:
    """The Clock port over the world's clock: leases are renewed by nobody while time stands still."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self):
        return self._world.clock.now

    def monotonic(self):
        return 0.0

    async def sleep(self, seconds):
        import asyncio

        await asyncio.Event().wait()

    def chance(self):
        return 0.5

    def token(self):
        return "t" * 32


def a_folder(path: Path) -> Filesystem:
    numbers = iter(range(10**9))
    return Filesystem(path, PART, lambda: f"t{next(numbers)}")


@dataclass
class Vault:
    """`world` with an archive; `limit` is how many lines a segment may have."""

    world: World
    storage: Any
    limit: int = 5_000
    lock: Any = None

    @property
    def history(self) -> SqlHistory:
        return SqlHistory(self.world.me.database)

    @property
    def facts(self) -> SqlFacts:
        return SqlFacts(self.world.me.database, "me")

    def sealer(self, **others: Any) -> Sealer:
        parts = {"history": self.history, "facts": self.facts, "catalog": self.world.me, "storage": self.storage}
        rest = {"clock": SealClock(self.world), "lock_for_ledger": lambda _now: self.lock, "limit": self.limit}
        return Sealer(**{**parts, **rest, **others})

    async def seal(self, **others: Any) -> SealRun:
        done = await self.sealer(**others).run(wait=False)
        assert done is not None
        return done

    async def audit(self, **options: Any) -> Audit:
        return await audit(self.history, self.storage, **options)

    async def happens(self, count: int, *, event: str = "tried", **facts: Any) -> None:
        """Lines of history that are no steps of any rendition."""
        changes = [Change(event=event, **{"reason": f"reason {n}", "data": {"n": n}, **facts}) for n in range(count)]
        await self.world.me.database.write(lambda tx: record(tx, "me", changes))

    async def execute(self, statement: sa.Executable) -> Any:
        return await self.world.me.database.write(lambda tx: tx.execute(statement))

    async def rows(self, table: sa.Table = ledger) -> list[Any]:
        return await self.world.rows(sa.select(table).order_by(*table.primary_key.columns))

    async def body(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self.storage.read(key)])

    async def keys(self, prefix: str = "") -> list[str]:
        return [stored.key async for stored in self.storage.keys(prefix)]


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Failing:
    """Does what the inner one does, and fails at the `at`-th call of anything named, before or after doing it."""

    def __init__(self, inner, names, *, at, after):
        self._inner, self._names, self._left, self._after = inner, names, at, after
        self.failed = False

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        async def call(*args, **options):
            self._left -= 1
            if self._left == 0 and not self._after:
                self.failed = True
                raise CatalogUnavailable("the line was cut")
            result = await found(*args, **options)
            if self._left == 0:
                self.failed = True
                raise StorageUnavailable("the answer was lost")
            return result

        return call
