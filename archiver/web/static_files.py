"""Style sheet, script and mark: read once from the package, under names that change with their content."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import web

from archiver.web.refusals import not_found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.web.routes import Asked

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOR_EVER = "private, max-age=31536000, immutable"


class StaticFiles:
    """Nothing is looked up on the disk by what a request says: there is a table, and what is not in it does not exist."""

    def __init__(self) -> None:
        folder = resources.files("archiver.web").joinpath("static")
        contents = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}
        self.names: Mapping[str, str] = {name: _named(name, content) for name, content in contents.items()}
        self._served = {self.names[name]: (content, _TYPES[name.rpartition(".")[2]]) for name, content in contents.items()}

    async def answer(self, asked: Asked) -> web.Response:
        """The file of that name; an unknown one is refused."""
        found = self._served.get(asked.parts["file"])
        if found is None:
            raise not_found()
        content, kind = found
        headers = {"Cache-Control": _FOR_EVER, "Content-Type": f"{kind}; charset=utf-8"}
        return web.Response(body=content, headers=headers)


def _named(name: str, content: bytes) -> str:
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
