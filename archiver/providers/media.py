"""Media files: followed by hand over guarded links, checked as far as headers go, and streamed with a floor under their speed.

Long by a few lines: what makes an answer a body stands beside what reads it.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http import HttpProcessingError

from archiver.domain.errors import (
    LinkExpired,
    MediaChanged,
    MediaImplausible,
    MediaIncomplete,
    MediaTooSlow,
    MediaUnavailable,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    UrlRefused,
)
from archiver.domain.integrity import DECRYPTION_HEADERS
from archiver.domain.ports import Media, Resume
from archiver.providers.links import MediaHosts, Target
from archiver.providers.ranges import FileSpans, asking, problem, strong
from archiver.providers.reach import HEADER_SECONDS, Reach, open_session, was_forbidden, words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from aiohttp.abc import AbstractResolver

    from archiver.domain.ports import Clock
    from archiver.providers.settings import SourceOptions

MOST_HOPS = 5
FLOOR_SECONDS = 120.0
MOST_BYTES = 5 * 1024**4  # what S3 takes for one object
MOST_UNANNOUNCED = 64 * 1024**3  # 24 hours of video at 5 Mbit/s: an endless body ends somewhere
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_ERROR_CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A media body under way, with what has to be closed after it."""

    media: Media
    response: aiohttp.ClientResponse
    chunks: AsyncGenerator[bytes, None]

    async def aclose(self) -> None:
        """Gives the connection back where the body was read to its end, closes it elsewhere."""
        await self.chunks.aclose()
        self.response.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Which bytes of the whole file a body holds; `total` None where nothing says how many there are."""

    offset: int
    total: int | None


class MediaClient:
    """Opens links to media: no credentials, no cookies, no environment, and a session of its own for each reach.

    `hosts` are the provider's own media hosts, see `MediaHosts`.
    """

    def __init__(
        self, options: SourceOptions, *, hosts: Mapping[str, str], clock: Clock, resolver: AbstractResolver | None = None
    ) -> None:
        self._source = options.name
        self._hosts = MediaHosts(options.name, options.media_hosts, known=hosts)
        self._min_rate = options.min_rate
        self._ranges_from = options.ranges_from
        self._ca_bundle = options.ca_bundle
        self._clock = clock
        self._resolver = resolver
        self._sessions: dict[Reach, aiohttp.ClientSession] = {}

    def target(self, link: object) -> Target:
        """Where a link leads; raises UrlRefused for one that must not be followed."""
        return self._hosts.target(link)

    async def open(
        self, link: object, resume: Resume | None = None, *, fresh: Callable[[], Awaitable[object]] | None = None
    ) -> Opened:
        """Opens a link, following at most five redirects, each guarded as the first.

        Raises UrlRefused, LinkExpired (401, 403, S3's ExpiredToken), MediaUnavailable (404, 410), MediaImplausible (any other
        status that is not 200 or the 206 asked for, any encoding), ProviderUnavailable. What a Resume asks for is believed only
        for exactly that range of the same strong validator; otherwise the body starts at 0. `fresh` gives another link to the
        same file, for ranges of it that are asked for when this one has expired.
        """
        target = self._hosts.target(link)
        response, reached = await self._follow(target, resume)
        if resume is not None and (response.status == 416 or extent(response.status, response.headers, resume) is None):
            response.close()
            response, reached = await self._follow(target, None)
            resume = None
        opened = await self.adopt(response, resume)
        announced = opened.media.announced
        if announced is not None and announced - opened.media.offset >= self._ranges_from:
            return self._with_spans(opened, reached, announced, fresh)
        return opened

    async def span(self, target: Target, first: int, stop: int, *, validator: str, total: int) -> Opened:
        """Opens the bytes [first, stop) of a file of `total` bytes.

        Raises what `open` raises, RateLimited (429, 503), MediaChanged (another strong ETag), and MediaImplausible for
        whatever else is not exactly that span of the file that `validator` names.
        """
        response, _ = await self._follow(target, asking(first, stop, validator))
        status, headers = response.status, response.headers
        wrong = problem(status, headers, first=first, stop=stop, validator=validator, total=total)
        if wrong is not None and (isinstance(wrong, RateLimited | MediaChanged) or status in {200, 206}):
            response.close()
            raise wrong
        return await self.adopt(response, expected=Extent(offset=first, total=stop))

    async def adopt(
        self, response: aiohttp.ClientResponse, resume: Resume | None = None, *, expected: Extent | None = None
    ) -> Opened:
        """Takes an answer for a media body, or raises what `open` raises; the answer is closed if it is none.

        `expected` is what was found out about a range that was asked for without a Resume.
        """
        wrong: ProviderError | None
        try:
            code = await _error_code(response) if response.status >= 400 else ""
            wrong = self._problem(response, code, ranged=resume is not None or expected is not None)
        except BaseException:
            response.close()
            raise
        found = expected or extent(response.status, response.headers, resume)
        if wrong is not None or found is None:
            response.close()
            raise wrong or MediaImplausible(f"{self._source}: the media host sent a part of the file that was not asked for")
        chunks = self._chunks(response, found)
        media = Media(
            offset=found.offset,
            announced=found.total,
            content_type=response.headers.get("Content-Type", ""),
            validator=strong(response.headers.get("ETag", "")),
            metadata={name: response.headers[name] for name in sorted(DECRYPTION_HEADERS) if name in response.headers},
            chunks=chunks,
        )
        return Opened(media=media, response=response, chunks=chunks)

    async def aclose(self) -> None:
        """Closes the connections."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()

    def _with_spans(self, opened: Opened, target: Target, total: int, fresh: Callable[[], Awaitable[object]] | None) -> Opened:
        """A large body with the offer of further connections, where its host serves ranges of a file it can name."""
        media, response = opened.media, opened.response
        serves = response.status == 206 or response.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        if not serves or not media.validator:
            return opened
        spans = FileSpans(self, target, validator=media.validator, total=total, fresh=fresh)
        return replace(opened, media=replace(media, spans=spans))

    async def _follow(self, target: Target, ranged: Resume | Mapping[str, str] | None) -> tuple[aiohttp.ClientResponse, Target]:
        """The answer at the end of all redirects, and the place that gave it."""
        headers = {"Accept": "*/*"}
        if isinstance(ranged, Resume):
            headers |= {"Range": f"bytes={ranged.offset}-", "If-Range": ranged.validator}
        elif ranged is not None:
            headers |= ranged
        for _ in range(MOST_HOPS + 1):
            response = await self._hop(target, headers)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response, target
            response.close()
            target = self._hosts.target(location, base=target)
        raise UrlRefused(f"{self._source}: a link redirects more than {MOST_HOPS} times")

    async def _hop(self, target: Target, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        # Raised outside the except block: the context of an error would carry the presigned URL into tracebacks (F6).
        failure: ProviderError
        try:
            async with asyncio.timeout(HEADER_SECONDS):
                return await self._session(target.reach).get(target.url, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if was_forbidden(error):
                hint = f'add "{target.host}:{target.port}" to media_hosts of source {self._source} if that is its right place'
                failure = UrlRefused(f"{self._source}: {target} has an address that is not {target.reach.value}", hint=hint)
            else:
                failure = ProviderUnavailable(f"{self._source}: media host {target}: {words(error)}")
        raise failure

    def _session(self, reach: Reach) -> aiohttp.ClientSession:
        if reach not in self._sessions:
            self._sessions[reach] = open_session(reach, ca_bundle=self._ca_bundle, limit=0, resolver=self._resolver)
        return self._sessions[reach]

    def _problem(self, response: aiohttp.ClientResponse, code: str, *, ranged: bool) -> ProviderError | None:
        """Why an answer is not a media body; None where it may be one. `ranged`: a part of it was asked for."""
        status = response.status
        text = f"{self._source}: the media host answered {status}{f' {code}' if code else ''}"
        if status in {401, 403} or code == "ExpiredToken":
            return LinkExpired(f"{text}: the link is no longer honoured")
        if status in {404, 410}:
            return MediaUnavailable(f"{text}: no media for this recording (yet)")
        if status >= 500 or status in {408, 429}:
            return ProviderUnavailable(text)
        if status != 200 and not (status == 206 and ranged):
            return MediaImplausible(f"{text}, accepted: 200")
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            return MediaImplausible(f"{text} with content encoding {encoding[:20]!r}, accepted: none")
        if (response.content_length or 0) > MOST_BYTES:
            return MediaImplausible(f"{text} and announced {response.content_length} bytes, more than {MOST_BYTES}")
        return None

    async def _chunks(self, response: aiohttp.ClientResponse, body: Extent) -> AsyncGenerator[bytes, None]:
        """The body as it comes in. Only time spent waiting for the provider counts against it, not the store's."""
        read, monotonic = response.content.readany, self._clock.monotonic
        connection = response.connection  # None once the body has come to its end
        protocol = None if connection is None else connection.protocol
        at, waited, counted = body.offset, 0.0, body.offset
        ceiling = MOST_UNANNOUNCED if body.total is None else body.total
        failure: ProviderError | None = None
        while True:
            before = monotonic()
            try:
                chunk = await read()
            except (aiohttp.ClientError, OSError) as error:
                failure = self._broken_off(error, at, body.total)
            if failure is not None:
                raise failure
            if not chunk:
                break
            at += len(chunk)
            if at > ceiling:
                raise MediaIncomplete(f"{self._source}: more than {ceiling} bytes received, {body.total or 'none'} announced")
            waited += monotonic() - before
            if waited >= FLOOR_SECONDS:
                if at - counted < self._min_rate * waited:
                    raise self._too_slow(at - counted, waited)
                waited, counted = 0.0, at
            try:
                yield chunk
            except GeneratorExit:
                response.close()  # else the rest of the body would wait in its connection until everything is closed
                raise
        self._check_end(at, body.total, None if protocol is None else protocol.exception())

    def _check_end(self, at: int, total: int | None, failure: BaseException | None) -> None:
        if total is not None and at != total:
            raise MediaIncomplete(f"{self._source}: {at} bytes received, {total} announced")
        # aiohttp cuts a body off at its Content-Length (F2), and then stumbles over the rest of it as if that were an answer.
        if isinstance(failure, HttpProcessingError):
            raise MediaIncomplete(f"{self._source}: more bytes came than the {total} announced")

    def _broken_off(self, error: Exception, at: int, total: int | None) -> ProviderError:
        text = f"{self._source}: {words(error)} after {at} bytes, {'an unknown number' if total is None else total} announced"
        return MediaIncomplete(text) if isinstance(error, aiohttp.ClientPayloadError) else ProviderUnavailable(text)

    def _too_slow(self, received: int, waited: float) -> MediaTooSlow:
        return MediaTooSlow(
            f"{self._source}: {received} bytes in {waited:.0f} s of waiting, {self._min_rate:.0f} bytes/s are the floor",
            hint="transfer.min_rate sets the floor",
        )


def extent(status: int, headers: Mapping[str, str], resume: Resume | None) -> Extent | None:
    """Which bytes an answer holds; None for a part that is not exactly the one asked for.

    A part counts only with a Content-Range from the offset asked for to the last byte, a matching length and the same strong
    ETag (I5). The length of a whole body is known from Content-Length alone.
    """
    length = headers.get("Content-Length", "")
    announced = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    if status != 206:
        return Extent(offset=0, total=announced)
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None or resume is None:
        return None
    first, last, total = int(match[1]), int(match[2]), int(match[3])
    same = strong(headers.get("ETag", "")) == resume.validator != ""
    fits = first == resume.offset <= last == total - 1 and announced in {None, total - first}
    return Extent(offset=first, total=total) if same and fits else None


async def _error_code(response: aiohttp.ClientResponse) -> str:
    """S3's code in an error body; nothing else of the body is kept, it may quote the request."""
    try:
        head = await response.content.read(2048)
    except (aiohttp.ClientError, OSError):
        return ""
    match = _ERROR_CODE.search(head)
    return match[1].decode() if match else ""
