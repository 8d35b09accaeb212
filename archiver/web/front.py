"""From a request to an answer: address, Host, method, who asks, and only then the page; whatever goes wrong is a page, too."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from archiver.domain.errors import CatalogError
from archiver.web import hosts
from archiver.web.headers import armoured
from archiver.web.refusals import Refusal, bad_request, not_found, unavailable
from archiver.web.routes import READING, Asked, query_of, segments_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from archiver.domain.ports import Clock
    from archiver.web.access import Access
    from archiver.web.pages import Pages
    from archiver.web.routes import Route

log = structlog.get_logger(__name__)


class Front:
    """What the server calls for every request. `ours` are the names it answers to; `local`: only this machine reaches it."""

    def __init__(
        self, *, routes: Sequence[Route], pages: Pages, access: Access, ours: frozenset[str], local: bool, clock: Clock
    ) -> None:
        self._routes = routes
        self._pages = pages
        self._access = access
        self._ours = ours
        self._local = local
        self._clock = clock

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers; raises nothing but CancelledError."""
        try:
            response = await self._answer(request)
        except Refusal as refusal:
            response = self._refused(request, refusal)
        except TimeoutError:
            log.warning("page_timed_out", path=request.raw_path[:200])
            response = self._refused(request, unavailable("The catalog did not answer in time."))
        except CatalogError as error:
            log.warning("page_failed", path=request.raw_path[:200], error=str(error))
            response = self._refused(request, unavailable("The catalog cannot be read at the moment."))
        except Exception:
            reference = self._clock.token()[:8]
            log.exception("page_failed", path=request.raw_path[:200], reference=reference)
            says = f"Something went wrong here. The log has the details under the reference {reference}."
            response = self._refused(request, Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, says))
        if request.body_exists:  # whatever follows on this connection may be a part of it
            response.force_close()
        return armoured(response)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        target = request.raw_path
        if request.method == "CONNECT":
            raise bad_request("This is not a proxy.")
        segments = segments_of(target)
        route, parts = self._routed(segments)
        self._check_host(request, route)
        if route is None or not (route.for_machines or route.signed):
            await self._access.admit(_only(request, "Authorization"), request.remote or "")
        if route is None:
            raise not_found()
        if request.method not in route.methods:
            raise Refusal(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "This address only answers " + " and ".join(route.methods) + ".",
                headers=[("Allow", ", ".join(route.methods))],
            )
        if request.body_exists and route.methods == READING:
            raise bad_request("A request that only reads has no body.")
        path = "/" + "/".join(segments)
        return await route.answer(Asked(path=path, request=request, parts=parts, query=query_of(target)))

    def _routed(self, segments: Sequence[str]) -> tuple[Route | None, Mapping[str, str]]:
        for route in self._routes:
            parts = route.match(segments)
            if parts is not None:
                return route, parts
        return None, {}

    def _check_host(self, request: web.BaseRequest, route: Route | None) -> None:
        """Refuses names that are not ours.

        Monitoring on other machines may call us as it likes: those answers are open to anybody who can reach the port.
        """
        given = _only(request, "Host")
        if given is None and request.version < (1, 1):
            return
        host = hosts.host_of(given or "")
        if host is None:
            raise bad_request("The Host header is not a host name.")
        if route is not None and (route.signed or (route.for_machines and not self._local)):
            return
        sockname = request.transport.get_extra_info("sockname") if request.transport else None
        reached = str(sockname[0]) if sockname else ""
        if not hosts.is_ours(host, ours=self._ours, reached=reached):
            raise bad_request("The Host header names another server.", hint="set web.public_url to the address in use")

    def _refused(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        path = request.raw_path.partition("?")[0]
        machines = any(route.pattern == path and (route.for_machines or route.signed) for route in self._routes)
        if machines or path.startswith("/api/"):
            text, kind = json.dumps(refusal.document) + "\n", "application/json"
        else:
            text, kind = self._pages.refusal(refusal), "text/html"
        response = web.Response(status=refusal.status, text=text, content_type=kind, charset="utf-8")
        for name, value in refusal.headers:
            response.headers.add(name, value)
        return response


def _only(request: web.BaseRequest, name: str) -> str | None:
    """The header's value where there is at most one of it."""
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise bad_request(f"There is more than one {name} header.")
    return values[0] if values else None
