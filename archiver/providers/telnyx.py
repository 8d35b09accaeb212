"""What Telnyx' recording APIs share: bearer key, three shapes of error, numbered pages, presigned links."""

from __future__ import annotations

import re
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ConfigurationError, ContractBroken, LinkExpired, MediaUnavailable
from archiver.domain.recording import Page
from archiver.providers.bodies import Repeated, scalar
from archiver.providers.http import Api
from archiver.providers.links import LinkCache
from archiver.providers.media import MediaClient, Opened
from archiver.providers.pages import Kept, Pages
from archiver.providers.progress import Progress
from archiver.providers.rows import RowRefused, read_rows

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from aiohttp.abc import AbstractResolver

    from archiver.domain.ports import Clock, Media, Resume
    from archiver.domain.recording import Listed, RecordingRef
    from archiver.providers.http import Route
    from archiver.providers.settings import Observe, SourceOptions

PUBLIC_URL = "https://api.telnyx.com"
MEDIA_HOSTS: Mapping[str, str] = {
    "amazonaws.com": "presigned S3: s3.amazonaws.com/telephony-recorder-prod (T-KB storing-call-recordings.md)",
    "telnyx.com": "Telnyx itself; where a room recording's download_url leads is not documented (providers.md 2.6)",
}
PAGE_SIZE = 250  # the most that both lists take; a day that fits one page cannot drift (F7)
_META = ("page_number", "total_pages", "total_results")


class Telnyx:
    """The part of a Telnyx adapter that speaks HTTP; held by TelnyxRooms and TelnyxCalls.

    `read` turns a row into a recording, `links` finds the download links in one.
    """

    def __init__(
        self,
        options: SourceOptions,
        *,
        routes: Sequence[Route],
        path: str,
        read: Callable[[Any], Listed],
        links: Callable[[Any], Mapping[str, str]],
        clock: Clock,
        observe: Observe | None,
        resolver: AbstractResolver | None,
    ) -> None:
        self.source = options.name
        self._path = path
        self._read = read
        self._links = links
        self._clock = clock
        self._remembered = LinkCache()
        self._pages = Pages()
        self.media = MediaClient(options, hosts=MEDIA_HOSTS, clock=clock, resolver=resolver)
        self.api = Api(
            options,
            default_url=PUBLIC_URL,
            routes=routes,
            authorization=authorization(options),
            describe=describe_error,
            clock=clock,
            observe=observe,
            resolver=resolver,
        )

    async def pages(self, query: Sequence[tuple[str, str]], *, backward: bool) -> AsyncGenerator[Page, None]:
        """Walks the list by page number, numbering the pages as they come."""

        async def fetch(number: int) -> Page:
            asked = (*query, ("page[number]", str(number)), ("page[size]", str(PAGE_SIZE)))
            reading = self._pages.reading(asked)
            payload = await self.api.get(self._path, asked, read=reading)
            if isinstance(payload, Kept):  # its links are as good as unread: hardly anything on it can still be due
                return payload.page
            page = parse_page(payload, requested=number, read=self._read)
            self._pages.keep(reading, Kept(page))
            for row in payload["data"]:
                self._remember(row)
            return page

        progress = Progress(self.source)
        async with aclosing(walk_backward(fetch) if backward else walk_forward(fetch)) as walk:
            async for page in walk:
                progress.check(page)
                yield replace(page, number=progress.pages)

    async def get(self, ref: RecordingRef) -> Listed:
        """The recording as the API has it now."""
        return self._listed(await self._row(ref), ref)

    async def delete(self, ref: RecordingRef) -> None:
        """Deletes by id; a 404 says that it is gone already."""
        await self.api.delete(self.path_of(ref))

    def path_of(self, ref: RecordingRef) -> str:
        """The path of one recording. The table of routes refuses what is no id: an empty one would name the whole collection."""
        return f"{self._path}/{ref.recording_id}"

    async def check(self) -> str:
        """Asks for one row and says how many there are."""
        payload = await self.api.get(self._path, [("page[number]", "1"), ("page[size]", "1")])
        page = parse_page(payload, requested=1, read=self._read)
        return f"{self.source}: {self.api.origin} answers, {page.total} recordings listed"

    @asynccontextmanager
    async def open_media(self, ref: RecordingRef, rendition: str, resume: Resume | None) -> AsyncIterator[Media]:
        """Opens a rendition; see the port."""
        opened = await self._open(ref, rendition, resume)
        try:
            yield opened.media
        finally:
            await opened.aclose()

    async def aclose(self) -> None:
        """Closes connections."""
        await self.api.aclose()
        await self.media.aclose()

    async def _open(self, ref: RecordingRef, rendition: str, resume: Resume | None) -> Opened:
        link = self._remembered.take(ref.recording_id, rendition, now=self._clock.monotonic())
        fresh = partial(self._fresh_link, ref, rendition)
        try:
            return await self.media.open(link or await fresh(), resume, fresh=fresh)
        except LinkExpired:
            # Also what S3 answers for a file that is gone, where listing is not allowed: asking anew tells the two apart.
            pass
        return await self.media.open(await fresh(), resume, fresh=fresh)

    async def _fresh_link(self, ref: RecordingRef, rendition: str) -> str:
        row = await self._row(ref)
        self._listed(row, ref)
        link = self._links(row).get(rendition)
        if not link:
            raise MediaUnavailable(f"{self.source}: recording {ref.recording_id} has no download link for {rendition!r} (yet)")
        return link

    async def _row(self, ref: RecordingRef) -> Any:
        payload = await self.api.get(self.path_of(ref))
        if not isinstance(payload, dict) or isinstance(payload, Repeated) or not isinstance(payload.get("data"), dict):
            raise ContractBroken(f"{self.source}: the record of {ref.recording_id} has no object in data")
        return payload["data"]

    def _listed(self, row: Any, ref: RecordingRef) -> Listed:
        problem = ""
        try:
            listed = self._read(row)
        except RowRefused as error:
            problem = str(error)
        if problem or listed.recording_id.lower() != ref.recording_id.lower():
            raise ContractBroken(f"{self.source}: asked for {ref.recording_id}, got {problem or listed.recording_id}")
        return listed

    def _remember(self, row: Any) -> None:
        if isinstance(row, dict) and isinstance(row.get("id"), str):
            self._remembered.keep(row["id"].lower(), self._links(row), now=self._clock.monotonic())


def authorization(options: SourceOptions) -> str:
    """The bearer header; raises ConfigurationError where there is no key, or one with characters that no header can carry."""
    if not re.fullmatch(r"[!-~]+", options.credentials.api_key):
        accepted = "accepted: api_key of printable ASCII characters without spaces"
        raise ConfigurationError((f"source {options.name}: Telnyx needs a usable API key; {accepted}",))
    return f"Bearer {options.credentials.api_key}"


def parse_page(payload: Any, *, requested: int, read: Callable[[Any], Listed]) -> Page:
    """One page of a Telnyx list; raises ContractBroken for a body that contradicts itself or the documentation.

    A smaller `page_size` than asked for is tolerated, and so are totals that do not fit the rows: only ids prove that a walk
    was complete. A page beyond the last one (rows vanished while we walked) may carry any number.
    """
    if not isinstance(payload, dict) or isinstance(payload, Repeated):
        raise ContractBroken("the page is not an object that names each key once")
    data, meta = payload.get("data"), payload.get("meta")
    if not isinstance(data, list) or not isinstance(meta, dict):
        raise ContractBroken("the page has no list in data or no object in meta")
    counts: list[Any] = [meta.get(name) for name in _META]
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ContractBroken(f"{', '.join(_META)} have to be whole numbers of 0 or more")
    number, pages, total = counts
    if data and (pages == 0 or total == 0):
        raise ContractBroken(f"{len(data)} rows on a list of {pages} pages and {total} results")
    if number != requested and requested <= pages:
        raise ContractBroken(f"asked for page {requested} of {pages}, got page {number}: the list does not advance")
    recordings, rejected = read_rows(data, read)
    last = requested >= pages or not data
    return Page(number=requested, recordings=recordings, rejected=rejected, total=total, pages=pages, last=last)


async def walk_forward(fetch: Callable[[int], Awaitable[Page]]) -> AsyncGenerator[Page, None]:
    """Pages 1, 2, … until the API says that there are no more."""
    number = 1
    while True:
        page = await fetch(number)
        yield page
        if page.last:
            return
        number += 1


async def walk_backward(fetch: Callable[[int], Awaitable[Page]]) -> AsyncGenerator[Page, None]:
    """From the last page to the first. The first is fetched at the start too, because it says which one is the last.

    Rows that vanish meanwhile move the others towards pages still to come, which is what a forward walk misses (F7).
    """
    page = await fetch(1)
    number = page.pages or 1
    yield replace(page, last=number <= 1)
    if number > 1:
        for each in range(number, 0, -1):
            yield replace(await fetch(each), last=each == 1)


def describe_error(payload: Any) -> str:
    """Code, title and detail of an error in any of its three shapes (providers.md 2.7); "" for what is none of them."""
    if not isinstance(payload, dict):
        return ""
    errors = payload.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else payload
    if not isinstance(first, dict):
        return ""
    texts = [scalar(first.get(name)) for name in ("code", "title", "detail", "message")]
    return " ".join(text for text in dict.fromkeys(texts) if text)
