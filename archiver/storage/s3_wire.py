"""The data plane: puts, parts, HEAD and GET, signed by us and sent by one aiohttp session.

Nothing is repeated here, nothing is followed, nothing comes from the environment: what was lost on the way is for the caller to
find out, because only it knows the token by which to recognise its own object.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http import StreamWriter
from aiohttp.payload import Payload
from yarl import URL

from archiver.domain.errors import StorageError, StorageUnavailable
from archiver.storage import s3_errors
from archiver.storage.sigv4 import EMPTY, Signer, encode_path, encode_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime

    from aiohttp.abc import AbstractStreamWriter

    from archiver.storage.s3_control import Control
    from archiver.storage.settings import S3Settings

_SLICE = 256 * 1024  # bytes handed to the transport at once: it copies what the socket does not take, at most this much
_STALL = 60.0  # seconds in which a slice has to leave, or an answer has to show a sign of life
_FLOOR = 32 * 1024  # bytes a second below which a request is given up
_MAX_ANSWER = 64 * 1024  # bytes read of an answer that is not an object
_NO_BODY = memoryview(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it goes out. `what` names it in errors; `headers` have lower-case names and are all signed."""

    method: str
    what: str
    key: str = ""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | bytearray | memoryview = _NO_BODY
    payload: str = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A 200 with its headers (their names in any case) and the little body it has."""

    headers: Mapping[str, str]
    body: bytes = b""


class _Body(Payload):
    """The caller's own buffer, sent in slices and only once.

    aiohttp repeats idempotent requests by itself when a kept connection turns out to be closed; PUT counts as one. A consumed
    payload stops it: whether the first one arrived is not known (finding F9).
    """

    def __init__(self, body: bytes | bytearray | memoryview) -> None:
        super().__init__(None, content_type="application/octet-stream")
        self._view = memoryview(body).cast("B")
        self._size = self._view.nbytes

    async def write(self, writer: AbstractStreamWriter) -> None:
        self._consumed = True
        try:
            for start in range(0, len(self._view), _SLICE):
                async with asyncio.timeout(_STALL):
                    await writer.write(self._view[start : start + _SLICE])
        except TimeoutError:
            # aiohttp closes in order, which waits for what the peer does not take: the socket would stay open.
            if isinstance(writer, StreamWriter) and writer.transport is not None:
                writer.transport.abort()
            raise

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._view).decode(encoding, errors)


class Wire:
    """One session to one bucket."""

    def __init__(self, settings: S3Settings, control: Control, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._control = control
        self._now = now
        self._signer = Signer(settings.region)
        self._session: aiohttp.ClientSession | None = None
        self._origin = ""
        self._host = ""
        self._root = ""

    async def send(self, request: Request) -> Reply:
        """The answer to one request, which is sent once.

        Raises what `s3_errors` makes of a refusal, and StorageUnavailable where no answer came: then it may have been carried
        out or not. `request.body` must stay as it is until this returns or raises.
        """
        answer = await self._open(request)
        try:
            async with answer:
                body = b"" if request.method == "HEAD" else await _read(answer)
        except (aiohttp.ClientError, OSError) as lost:
            raise _unavailable(request.what, lost) from lost
        self._check(answer, body, request.what)
        return Reply(headers=answer.headers, body=body)

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """The body of one answer, piece by piece, as the store keeps it."""
        answer = await self._open(request)
        try:
            if answer.status != 200:
                self._check(answer, await _next(answer, request.what), request.what)
            while chunk := await _next(answer, request.what):
                yield chunk
        finally:
            answer.close()

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _check(self, answer: aiohttp.ClientResponse, body: bytes, what: str) -> None:
        if answer.status == 200 and b"<Error>" not in body:
            return
        refusal = s3_errors.parse(answer.status, body, region=self._moved(answer))
        if answer.method == "HEAD" and answer.status in (404, 405):  # 405: a delete marker stands under that version
            refusal = replace(refusal, code=s3_errors.NOT_FOUND)
        if refusal.code in ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"):
            self._control.forget_credentials()
        raise s3_errors.error(refusal, what)

    def _moved(self, answer: aiohttp.ClientResponse) -> str:
        region = answer.headers.get("x-amz-bucket-region", "")
        return region if region != self._settings.region and answer.status in (301, 307, 400, 403) else ""

    async def _open(self, request: Request) -> aiohttp.ClientResponse:
        session = self._session or await self._connect()
        path = encode_path(f"{self._root}/{request.key}")
        query = encode_query(request.query) if request.query else ""
        headers = self._signer.sign(
            await self._control.credentials(),
            self._now(),
            method=request.method,
            path=path,
            query=query,
            headers={"host": self._host, **request.headers},
            payload=request.payload,
        )
        headers["accept-encoding"] = "identity"  # unsigned: proxies change it
        url = URL(f"{self._origin}{path}?{query}" if query else self._origin + path, encoded=True)
        size = memoryview(request.body).nbytes
        try:
            return await session.request(
                request.method,
                url,
                headers=headers,
                data=_Body(request.body) if request.method == "PUT" else None,
                allow_redirects=False,
                timeout=_timeout(None if request.method == "GET" else _STALL + size / _FLOOR),
            )
        except (aiohttp.ClientError, OSError) as lost:
            raise _unavailable(request.what, lost) from lost

    async def _connect(self) -> aiohttp.ClientSession:
        """The session, made when the first request needs it: it belongs to the running loop."""
        parts = urlsplit(await self._control.endpoint())
        default = {"http": 80, "https": 443}.get(parts.scheme)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
        host = f"{self._settings.bucket}.{name}" if self._settings.virtual else name
        self._host = host if parts.port in (None, default) else f"{host}:{parts.port}"
        self._origin = f"{parts.scheme}://{self._host}"
        self._root = parts.path.rstrip("/") + ("" if self._settings.virtual else f"/{self._settings.bucket}")
        tls = await asyncio.to_thread(_tls, self._settings.ca_bundle)  # reads every root certificate there is
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("accept", "content-type"),
                headers={"user-agent": "recording-archiver"},
            )
        return self._session


def _timeout(total: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, connect=None, sock_connect=10, sock_read=_STALL)


def _tls(ca_bundle: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_bundle or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) < _MAX_ANSWER and (chunk := await answer.content.readany()):
        body += chunk
    return body


async def _next(answer: aiohttp.ClientResponse, what: str) -> bytes:
    try:
        return await answer.content.readany()
    except (aiohttp.ClientError, OSError) as lost:
        raise _unavailable(what, lost) from lost


def _unavailable(what: str, lost: BaseException) -> StorageError:
    """Only the kind of failure and the system's own word for it: aiohttp's texts can hold headers (finding F6)."""
    system = lost.strerror if isinstance(lost, OSError) and lost.strerror else ""
    return StorageUnavailable(f"{what}: no answer ({type(lost).__name__}{f': {system}' if system else ''})")
