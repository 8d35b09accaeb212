"""Sealing over an opened App: what the daemon's job and the one-shot commands run, and what is said of a seal that is late."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.ledger import SqlHistory, overdue
from archiver.catalog.manifests import SqlFacts
from archiver.domain.errors import ArchiverError, HistoryForked
from archiver.pipeline.seal import Sealer

if TYPE_CHECKING:
    from archiver.app import App

log = structlog.get_logger()


class Sealing:
    """Seals an App's history and remembers what went wrong with it."""

    def __init__(self, app: App) -> None:
        self._app = app
        # A worker of its own: whoever rewrites manifests in this process must wait for a seal under way, and the other way round.
        leases = SqlCatalog(app.database, replace(app.catalog.worker, name=f"{app.catalog.worker.name}+seal"))
        self._sealer = Sealer(
            history=SqlHistory(app.database),
            facts=SqlFacts(app.database, app.catalog.worker.name),
            catalog=leases,
            storage=app.storage,
            clock=app.clock,
            lock_for_ledger=app.lock_for_ledger,
        )
        self._forked = ""
        self._unlocked = ""

    async def run(self, *, wait: bool) -> None:
        """Seals all that waits; raises HistoryForked and the errors of catalog and storage."""
        try:
            done = await self._sealer.run(wait=wait)
        except HistoryForked as error:
            if not self._forked:
                log.critical("history_forked", error=str(error))
            self._forked = str(error)
            raise
        self._forked = ""
        if done is not None:
            self._app.metrics.ledger_sealed(self._app.clock.now())
            self._unlocked = ", ".join(done.unlocked) or (self._unlocked if not done.segments else "")

    async def job(self) -> None:
        """The daemon's: a history that forked is told once, and by `problems` until somebody has mended it."""
        try:
            await self.run(wait=False)
        except HistoryForked:
            return

    async def problems(self) -> list[str]:
        """Why the history is not as safe as it should be, one sentence each; raises CatalogUnavailable."""
        app = self._app
        found = [f"history: {text}" for text in (self._forked,) if text]
        found += [f"history: {self._unlocked} has no lock in the store"] if self._unlocked else []
        async with app.database.read() as conn:
            return found + await overdue(conn, await app.database.now(), app.settings.schedule.seal_every)


async def seal_before_end(app: App, *, wait: bool) -> ArchiverError | None:
    """Seals at the end of a one-shot command; an error is told and given back, what the run archived stays archived."""
    try:
        await Sealing(app).run(wait=wait)
    except ArchiverError as error:
        log.warning("not_sealed", error=str(error))
        return error
    return None
