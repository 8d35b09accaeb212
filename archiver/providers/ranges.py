"""Further connections to one media file: fresh guarded requests for spans of it, tied to it by its strong ETag (I5)."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from archiver.domain.errors import LinkExpired, MediaChanged, MediaImplausible, RateLimited

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from archiver.domain.errors import ProviderError
    from archiver.providers.links import Target
    from archiver.providers.media import MediaClient

LARGE = 64 * 1024 * 1024  # bytes still to come, from which on further connections are offered at all
_STRONG = re.compile(r'"[!#-~]*"')
_SLOW_DOWN = frozenset({429, 503})


class FileSpans:
    """The port's Spans over one link, which all of them use until it expires; then one of them asks for a new one.

    `validator` is the strong ETag of the body under way and `total` its whole length. Without `fresh` an expired link is an end.
    """

    def __init__(
        self,
        client: MediaClient,
        target: Target,
        *,
        validator: str,
        total: int,
        fresh: Callable[[], Awaitable[object]] | None,
    ) -> None:
        self._client = client
        self._target = target
        self._validator = validator
        self._total = total
        self._fresh = fresh
        self._renewing = asyncio.Lock()

    @property
    def host(self) -> str:
        """The media host."""
        return str(self._target)

    @asynccontextmanager
    async def open(self, first: int, stop: int) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Opens the bytes [first, stop); see the port."""
        target = self._target
        try:
            opened = await self._client.span(target, first, stop, validator=self._validator, total=self._total)
        except LinkExpired:
            target = await self._renewed(target)
            opened = await self._client.span(target, first, stop, validator=self._validator, total=self._total)
        try:
            yield opened.chunks
        finally:
            await opened.aclose()

    async def _renewed(self, expired: Target) -> Target:
        """A fresh link instead of the one that expired; asked for once, however many connections found that out."""
        async with self._renewing:
            if self._target is expired:
                if self._fresh is None:
                    raise LinkExpired("the link is no longer honoured, and there is no other")
                self._target = self._client.target(await self._fresh())
            return self._target


def asking(first: int, stop: int, validator: str) -> dict[str, str]:
    """The headers that ask for the bytes [first, stop) of exactly this file."""
    return {"Range": f"bytes={first}-{stop - 1}", "If-Range": validator}


def problem(
    status: int, headers: Mapping[str, str], *, first: int, stop: int, validator: str, total: int
) -> ProviderError | None:
    """Why an answer is not exactly the span asked for; None where it is.

    A span counts only as a 206 with exactly its Content-Range, a matching length and the same strong ETag (I5).
    """
    if status in _SLOW_DOWN:
        return RateLimited(f"the media host answered {status}", wait=None)
    if status not in {200, 206}:
        return MediaImplausible(f"the media host answered {status} to a range")
    etag = strong(headers.get("ETag", ""))
    if etag and etag != validator:
        return MediaChanged("the media host has another file now than the one that was begun")
    if status == 200:
        return MediaImplausible("the media host answered 200 to a range")
    expected = f"bytes {first}-{stop - 1}/{total}"
    found = headers.get("Content-Range", "")
    if found != expected:
        return MediaImplausible(f"the media host sent {found[:60]!r}, asked for was {expected!r}")
    if headers.get("Content-Length", "") not in {"", str(stop - first)}:
        return MediaImplausible(f"the media host announced {headers['Content-Length'][:20]} bytes for {stop - first}")
    return None if etag else MediaImplausible("the media host sent a range without a strong ETag")


def strong(etag: str) -> str:
    """An ETag that may tie ranges together; "" for a weak, missing or malformed one."""
    return etag if _STRONG.fullmatch(etag) else ""
