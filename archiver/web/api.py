"""The read-only API: the same documents as the commands print with `--json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from archiver.web import filters
from archiver.web.attention import attention
from archiver.web.refusals import bad_request

if TYPE_CHECKING:
    from archiver.web.archive import Archive
    from archiver.web.machines import Machines
    from archiver.web.routes import Asked


class Api:
    """`/api/v1/…`."""

    def __init__(self, archive: Archive, machines: Machines) -> None:
        self._archive = archive
        self._machines = machines

    async def status(self, asked: Asked) -> web.Response:
        """`archiver.status/1`; whether it is `ready` is what /readyz says, and its problems are among the `problems`."""
        _no_query(asked)
        live = await self._machines.problems()
        document = await self._archive.status()
        return _document({**document, "ready": not live, "problems": attention(document, live)})

    async def recordings(self, asked: Asked) -> web.Response:
        """`archiver.recordings/1`: {items, next}; `next` is the address of what follows, null at the end."""
        wanted = filters.of_api(asked.query)
        part = await self._archive.listing(
            wanted.selector, limit=wanted.limit, after=wanted.after, newest_first=wanted.newest_first
        )
        going_on = [*wanted.given, ("limit", str(wanted.limit)), ("after", str(part.after))]
        following = None if part.after is None else filters.href("/api/v1/recordings", going_on)
        return _document({"schema": "archiver.recordings/1", "items": list(part.items), "next": following})

    async def recording(self, asked: Asked) -> web.Response:
        """`archiver.show/1`."""
        _no_query(asked)
        return _document(await self._archive.show(asked.parts["id"]))


def _no_query(asked: Asked) -> None:
    if asked.query:
        raise bad_request(f"Unknown parameter {asked.query[0][0][:40]!r}; accepted: none.")


def _document(document: dict[str, Any]) -> web.Response:
    # ASCII only: names hold line separators and half characters that not every reader of JSON survives.
    return web.Response(text=json.dumps(document) + "\n", content_type="application/json", charset="utf-8")
