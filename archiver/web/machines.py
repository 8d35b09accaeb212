"""What monitoring asks: is the process alive, is it ready, what do its metrics say. No names of recordings or people."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog
from aiohttp import web

from archiver.catalog.tables import renditions
from archiver.domain.errors import CatalogError
from archiver.telemetry import CONTENT_TYPE
from archiver.web.patience import Remembered

if TYPE_CHECKING:
    from archiver.web.archive import Archive
    from archiver.web.patience import Patience
    from archiver.web.routes import Asked
    from archiver.web.view import View

log = structlog.get_logger(__name__)

SOON = 1.5  # seconds for all of /readyz: probes give up after two or three
_FRESH = 1.0  # seconds that an answer of the checks is good for, however many probes ask


class Machines:
    """Health and metrics."""

    def __init__(self, view: View, archive: Archive, patience: Patience) -> None:
        self._view = view
        self._archive = archive
        checks = {"the program's own check": self._live, "the catalog": self._catalog}
        self._checks = {
            name: Remembered(check, patience=patience, clock=view.clock, seconds=_FRESH, queue=False)
            for name, check in checks.items()
        }

    async def livez(self, _asked: Asked) -> web.Response:
        """`ok`: whoever reads it knows that the loop turns."""
        return web.Response(text="ok\n", content_type="text/plain")

    async def readyz(self, _asked: Asked) -> web.Response:
        """200 or 503 with {ready, problems}, within two seconds whatever the catalog does."""
        problems = await self.problems()
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        text = json.dumps({"ready": not problems, "problems": problems}) + "\n"
        return web.Response(status=status, text=text, content_type="application/json", charset="utf-8")

    async def metrics(self, _asked: Asked) -> web.Response:
        """Everything in Prometheus' text format; gauges from the catalog are as old as its last answer (see Remembered)."""
        try:
            await self._count()
        except (CatalogError, TimeoutError) as error:
            log.warning("metrics_not_refreshed", error=str(error))
        return web.Response(body=self._view.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def problems(self) -> list[str]:
        """Why the program is not ready, one sentence each."""
        found = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
        return list(dict.fromkeys(problem for problems in found for problem in problems))

    async def _ask(self, name: str, check: Remembered[list[str]]) -> list[str]:
        try:
            return await check.get(seconds=SOON)
        except TimeoutError:
            return [f"{name} did not answer within {SOON} s"]
        except CatalogError:  # its text says where the catalog is, and this page is for everybody
            return [f"{name} cannot be used"]
        except Exception:
            log.exception("check_failed", check=name)
            return [f"{name} failed"]

    async def _live(self) -> list[str]:
        return await self._view.problems()

    async def _catalog(self) -> list[str]:
        async with self._view.database.read() as conn:
            await conn.execute(sa.select(renditions.c.id).limit(1))
        return []

    async def _count(self) -> None:
        found = await self._archive.gauges(seconds=SOON)
        metrics = self._view.metrics
        metrics.count_recordings(found.counts)
        for source in found.counts:
            age = found.oldest.get(source)
            metrics.set_oldest_unarchived(source, None if age is None else timedelta(seconds=age))
        for source, at in found.passes.items():
            metrics.pass_completed(source, at)
