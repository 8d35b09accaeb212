"""The data plane: puts, parts, lists, HEAD and GET, signed by us; reads over an aiohttp session, the rest over `Lines`.

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
from yarl import URL

from archiver.domain.errors import StorageError, StorageUnavailable
from archiver.storage import s3_errors, s3_lines
from archiver.storage.s3_lines import LOST, Answer, Lines
from archiver.storage.sigv4 import EMPTY, Signer, encode_path, encode_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime

    from archiver.storage.s3_control import Control
    from archiver.storage.settings import S3Settings

_FLOOR = 32 * 1024  # bytes a second below which a request is given up
_NO_BODY = memoryview(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it goes out. `what` names it in errors; `headers` have lower-case names and are all signed.

    `most` is how many bytes of an answer are read, `patience` how many seconds more than usual it may take.
    """

    method: str
    what: str
    key: str = ""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | bytearray | memoryview = _NO_BODY
    payload: str = EMPTY
    most: int = 64 * 1024
    patience: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A 200 with its headers (their names in any case) and the little body it has."""

    headers: Mapping[str, str]
    body: bytes = b""


class Wire:
    """One session to one bucket."""

    def __init__(self, settings: S3Settings, control: Control, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._control = control
        self._now = now
        self._signer = Signer(settings.region)
        self._session: aiohttp.ClientSession | None = None
        self._lines: Lines | None = None
        self._tls: ssl.SSLContext | None = None
        self._origin = ""
        self._host = ""
        self._root = ""

    async def send(self, request: Request) -> Reply:
        """The answer to one request, which is sent once.

        Raises what `s3_errors` makes of a refusal, and StorageUnavailable where no answer came: then it may have been carried
        out or not. `request.body` must stay as it is until this returns or raises.
        """
        lines = self._lines or await self._connect()
        target, headers = await self._signed(request)
        body = memoryview(request.body).cast("B")
        if request.method in ("PUT", "POST"):
            headers["content-length"] = str(len(body))
        seconds = s3_lines.STALL + request.patience + len(body) / _FLOOR
        try:
            answer = await lines.ask(
                request.method, target, headers, body, seconds=seconds, most=request.most, patience=request.patience
            )
        except LOST as lost:
            raise _unavailable(request.what, lost) from lost
        self._check(request.method, answer, request.what)
        return Reply(headers=answer.headers, body=answer.body)

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """The body of one answer, piece by piece, as the store keeps it."""
        answer = await self._open(request)
        try:
            if answer.status != 200:
                refused = Answer(answer.status, answer.headers, await _next(answer, request.what))
                self._check(request.method, refused, request.what)
            while chunk := await _next(answer, request.what):
                yield chunk
        finally:
            answer.close()

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._lines is not None:
            await self._lines.aclose()
            self._lines = None

    def _check(self, method: str, answer: Answer, what: str) -> None:
        if answer.status == 200 and b"<Error>" not in answer.body:
            return
        refusal = s3_errors.parse(answer.status, answer.body, region=self._moved(answer))
        if method == "HEAD" and answer.status in (404, 405):  # 405: a delete marker stands under that version
            refusal = replace(refusal, code=s3_errors.NOT_FOUND)
        if refusal.code in ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"):
            self._control.forget_credentials()
        raise s3_errors.error(refusal, what)

    def _moved(self, answer: Answer) -> str:
        region = answer.headers.get("x-amz-bucket-region", "")
        return region if region != self._settings.region and answer.status in (301, 307, 400, 403) else ""

    async def _signed(self, request: Request) -> tuple[str, dict[str, str]]:
        """Path and query, and the headers."""
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
        headers["user-agent"] = "recording-archiver"
        return f"{path}?{query}" if query else path, headers

    async def _open(self, request: Request) -> aiohttp.ClientResponse:
        """The answer to a GET, its body unread."""
        await self._connect()
        target, headers = await self._signed(request)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._tls or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("accept", "content-type"),
            )
        url = URL(self._origin + target, encoded=True)
        try:
            return await self._session.get(url, headers=headers, allow_redirects=False, timeout=_timeout())
        except (aiohttp.ClientError, OSError) as lost:
            raise _unavailable(request.what, lost) from lost

    async def _connect(self) -> Lines:
        """What requests go over, made when the first one needs it: it belongs to the running loop."""
        if self._lines is not None:
            return self._lines
        parts = urlsplit(await self._control.endpoint())
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
        host = f"{self._settings.bucket}.{name}" if self._settings.virtual else name
        self._host = host if parts.port in (None, 443 if secure else 80) else f"{host}:{parts.port}"
        self._origin = f"{parts.scheme}://{self._host}"
        self._root = parts.path.rstrip("/") + ("" if self._settings.virtual else f"/{self._settings.bucket}")
        if secure and self._tls is None:
            self._tls = await asyncio.to_thread(_tls, self._settings.ca_bundle)  # reads every root certificate there is
        if self._lines is None:
            self._lines = Lines(host.strip("[]"), port, self._tls)
        return self._lines


def _timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=None, sock_connect=10, sock_read=s3_lines.STALL)


def _tls(ca_bundle: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_bundle or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _next(answer: aiohttp.ClientResponse, what: str) -> bytes:
    try:
        return await answer.content.readany()
    except (aiohttp.ClientError, OSError) as lost:
        raise _unavailable(what, lost) from lost


def _unavailable(what: str, lost: BaseException) -> StorageError:
    """Only the kind of failure and the system's own word for it: aiohttp's texts can hold headers (finding F6)."""
    system = lost.strerror if isinstance(lost, OSError) and lost.strerror else ""
    return StorageUnavailable(f"{what}: no answer ({type(lost).__name__}{f': {system}' if system else ''})")
