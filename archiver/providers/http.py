"""The API of one provider over HTTP: an allow-list of requests, credentials for one origin only, one gate for rate limits."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from archiver.domain.errors import (
    ConfigurationError,
    ContractBroken,
    CredentialsRefused,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RecordingGone,
    UrlRefused,
)
from archiver.providers import bodies
from archiver.providers.gate import PATIENCE, Gate
from archiver.providers.reach import Reach, open_session, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp.abc import AbstractResolver

    from archiver.domain.ports import Clock
    from archiver.providers.settings import Observe, SourceOptions

CALL_SECONDS = 60.0  # for the headers of an answer, and as long again for its body
CONNECTIONS = 16
LIST = "list"
REPEATS_LIMITED, REPEATS_FAILED = 3, 2
_TEMPORARY = frozenset({408, 409, 425})  # besides 5xx; 409: Telnyx' 10036 "resource is being processed"
_BASE_URL = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/v[12])?/*")
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One kind of request that may be made: `endpoint` is its name in metrics, `path` has to match whole.

    The endpoint of lists is called LIST.
    """

    endpoint: str
    method: str
    path: re.Pattern[str]


def route(endpoint: str, method: str, path: str) -> Route:
    """A row of an adapter's table of routes; `path` is a regular expression."""
    return Route(endpoint=endpoint, method=method, path=re.compile(path, re.ASCII))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer whose status the caller asked for. `response` is there instead of `payload` where the body was left unread."""

    status: int
    payload: Any = None
    location: str = ""
    response: aiohttp.ClientResponse | None = None


class Api:
    """Makes requests that are on the allow-list, waits at the gate, and translates everything that goes wrong.

    `describe` finds code and title in an error's JSON. Requests raise ProviderUnavailable, RateLimited, CredentialsRefused,
    RecordingGone (404), ContractBroken and, before any socket is touched, UrlRefused.
    """

    def __init__(
        self,
        options: SourceOptions,
        *,
        default_url: str,
        routes: Sequence[Route],
        authorization: str,
        describe: Callable[[Any], str],
        clock: Clock,
        observe: Observe | None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._source = options.name
        self.origin = origin(options.name, options.base_url or default_url)
        self._ca_bundle = options.ca_bundle
        self._routes = tuple(routes)
        self._authorization = authorization
        self._secrets = (*options.credentials.secrets, authorization.rpartition(" ")[2])
        self._describe = describe
        self._clock = clock
        self._observe = observe or (lambda _endpoint, _code: None)
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self.gate = Gate(options.name, clock)

    async def get(
        self, path: str, query: Sequence[tuple[str, str]] | str = (), *, read: Callable[[bytes], Any] = bodies.decode
    ) -> Any:
        """The JSON of a 200. `query` as pairs, or as a string that the provider itself made.

        `read` makes of the body what is returned, or NotJson.
        """
        return (await self._request("GET", path, query, accept=frozenset({200}), read=read)).payload

    async def delete(self, path: str) -> int:
        """Deletes one resource; returns 200, 204 or, where it is gone already, 404 or 410."""
        return (await self._request("DELETE", path, (), accept=frozenset({200, 204, 404, 410}))).status

    async def follow(self, path: str) -> Reply:
        """Asks for media: a redirect with its `location` and JSON, a 200 whose body is left unread, or a 404."""
        return await self._request("GET", path, (), accept=frozenset({200, 301, 302, 303, 307, 308, 404}), stream=True)

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _url(self, method: str, path: str, query: Sequence[tuple[str, str]] | str) -> tuple[Route, URL]:
        """The route and URL of a request; raises UrlRefused for one that the adapter's table does not have."""
        found = next((each for each in self._routes if each.method == method and each.path.fullmatch(path)), None)
        text = query if isinstance(query, str) else urlencode(query)
        if found is None or not _PATH.fullmatch(path) or (method != "GET" and text) or not re.fullmatch(r"[!$-~]*", text):
            raise UrlRefused(f"{self._source}: {method} {path[:100]!r} is not a request that this provider is ever sent")
        return found, URL(f"{self.origin}{path}{'?' if text else ''}{text}", encoded=True)

    async def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] | str,
        *,
        accept: frozenset[int],
        stream: bool = False,
        read: Callable[[bytes], Any] = bodies.decode,
    ) -> Reply:
        found, url = self._url(method, path, query)
        limited = failed = 0
        while True:
            entered_at = await self.gate.enter()
            outcome = await self._once(found, url, accept, entered_at, stream=stream, read=read)
            if isinstance(outcome, Reply):
                return outcome
            if isinstance(outcome, RateLimited):
                limited += 1
                if limited > REPEATS_LIMITED or (outcome.wait or 0) > PATIENCE:
                    raise outcome
            elif (
                isinstance(outcome, ProviderUnavailable)
                and method == "GET"
                and failed < REPEATS_FAILED
                and self.gate.may_repeat()
            ):
                failed += 1
                await self._clock.sleep(failed * (0.1 + 0.4 * self._clock.chance()))
            else:
                raise outcome

    async def _once(
        self,
        found: Route,
        url: URL,
        accept: frozenset[int],
        entered_at: float,
        *,
        stream: bool,
        read: Callable[[bytes], Any],
    ) -> Reply | ProviderError:
        """One request and its answer. Errors are returned and not raised, so that no foreign error becomes their context."""
        what = f"{self._source}: {found.method} {url.path}"
        try:
            async with asyncio.timeout(CALL_SECONDS):
                response = await self._open_session().request(
                    found.method,
                    url,
                    headers={"Authorization": self._authorization, "Accept": "application/json"},
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._observe(found.endpoint, "timeout" if isinstance(error, TimeoutError) else "error")
            return ProviderUnavailable(f"{what} failed: {words(error)}")
        self._observe(found.endpoint, str(response.status))
        self.gate.heard(response.headers)
        if stream and response.status == 200:
            self.gate.succeeded()
            return Reply(status=200, response=response)
        async with response:
            body = await bodies.read(response, seconds=CALL_SECONDS)
        if isinstance(body, ProviderError):
            return type(body)(f"{what}: {body}")
        payload = read(body) if response.status in accept else bodies.decode(body)
        return self._judge(found, response, payload, accept, entered_at)

    def _judge(
        self, found: Route, response: aiohttp.ClientResponse, payload: Any, accept: frozenset[int], entered_at: float
    ) -> Reply | ProviderError:
        what = f"{self._source}: {found.method} {response.url.path}"
        status = response.status
        if status in accept:
            self.gate.succeeded()
            if status == 200 and found.method == "GET" and isinstance(payload, bodies.NotJson):
                return ContractBroken(f"{what} answered 200, {payload.why}")
            location = response.headers.get("Location", "")
            return Reply(status=status, payload=None if isinstance(payload, bodies.NotJson) else payload, location=location)
        told = bodies.shown(self._describe(payload), self._secrets)
        text = f"{what} answered {status}{f': {told}' if told else ''}"
        if status == 429:
            wait = self.gate.refused(response.headers, entered_at=entered_at)
            return RateLimited(f"{text}; the source waits {wait:.0f} s", wait=wait)
        return refusal(status, text, of_list=found.endpoint == LIST)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            reach = Reach.CONFIGURED if self.origin.startswith("https:") else Reach.LOOPBACK
            self._session = open_session(reach, ca_bundle=self._ca_bundle, limit=CONNECTIONS, resolver=self._resolver)
        return self._session


def refusal(status: int, text: str, *, of_list: bool = False) -> ProviderError:
    """The error for a status that nobody asked for, 429 aside; a list that is not found (`of_list`) is no recording gone."""
    if status in {401, 403}:
        return CredentialsRefused(text, hint="check the key of this source and what it may do")
    if status in {404, 410}:
        return ContractBroken(text, hint="check base_url of this source") if of_list else RecordingGone(text)
    if status >= 500 or status in _TEMPORARY:
        return ProviderUnavailable(text)
    if 300 <= status < 400:
        return ContractBroken(f"{text}, a redirect, which an API request never follows", hint="check base_url of this source")
    return ContractBroken(text)


def origin(source: str, base_url: str) -> str:
    """The origin that a base URL names, without a trailing slash or version path.

    Raises ConfigurationError for anything but https:// (http:// where the host is this machine) and a host.
    """
    match = _BASE_URL.fullmatch(base_url)
    if match is None or int((match[3] or ":443")[1:]) not in range(1, 65536):
        accepted = "accepted: https://host[:port], http:// only to loopback, no user name, path or query"
        # The value is not quoted: whoever puts a user name into it puts a password there too.
        raise ConfigurationError((f"source {source}: base_url is not usable; {accepted}",))
    scheme, host, port = match[1], match[2].lower(), match[3] or ""
    if scheme == "http" and not (host in {"localhost", "[::1]"} or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host)):
        raise ConfigurationError(
            (f"source {source}: base_url http://{host} would send credentials in the clear; accepted: https://",)
        )
    return f"{scheme}://{host}{port}"


def same_origin_query(api_origin: str, link: object, path: str) -> str:
    """The query of a provider's own link to the next page, where it leads to `path` on the API's origin.

    Raises ContractBroken for any other link: with our credentials we go nowhere else (reliability.md S3).
    """
    if not isinstance(link, str) or len(link) > 8192:
        raise ContractBroken(
            f"the link to the next page is {'too long' if isinstance(link, str) else f'a {type(link).__name__}'}"
        )
    start = f"{api_origin}{path}?"
    if not link.startswith(start):
        raise ContractBroken(f"the link to the next page does not lead to {start}…")
    return link.removeprefix(start).partition("#")[0]
