"""Faults of status, time and connection, to be used as a rule's action, and how faults combine.

Where an action takes `after`, it is a place in the body: an integer counts bytes (negative: from the end), a float is a share.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from archiver.simulator import twilio_lists
from archiver.simulator.media_host import xml_error
from archiver.simulator.messages import Reply, json_reply
from archiver.simulator.wire import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from archiver.simulator.faults import Action, Exchange
    from archiver.simulator.messages import Request
    from archiver.simulator.world import World

After = int | float
MAINTENANCE = b"<!DOCTYPE html><html><head><title>503</title></head><body><h1>Down for maintenance</h1></body></html>"
_TELNYX_CODES = {401: "10009", 403: "10010", 404: "10005", 408: "10008", 429: "10011", 503: "10037"}
_TWILIO_CODES = {401: 20003, 403: 20403, 404: 20404, 429: 20429, 503: 20503}


def place(after: After, length: int) -> int:
    """The byte that `after` means in a body of `length` bytes."""
    at = int(after * length) if isinstance(after, float) else after if after >= 0 else length + after
    return min(max(at, 0), length)


def provider_error(request: Request, status: int) -> Reply:
    """An error as the host behind the request words it."""
    if request.host == "media":
        return xml_error(status, "AccessDenied" if status < 500 else "InternalError", "Simulated fault")
    if request.host == "twilio":
        return twilio_lists.error(status, _TWILIO_CODES.get(status, 20500), "Simulated fault")
    problem = {"code": _TELNYX_CODES.get(status, "10007"), "title": "Simulated fault", "detail": "The fault script asked for it."}
    return json_reply(status, {"errors": [problem]})


# Status.


def status(code: int, *, body: Literal["provider", "html", "empty"] = "provider", **headers: str) -> Action:
    """Answers with a status instead of doing what was asked. Headers are given with underscores: `retry_after="5"`."""

    def act(exchange: Exchange) -> Delivery:
        if code in {204, 304}:
            return Delivery(reply=Reply(status=code))
        replies = {
            "html": Reply(status=code, headers={"Content-Type": "text/html"}, body=MAINTENANCE),
            "empty": Reply(status=code),
        }
        reply = provider_error(exchange.request, code) if body == "provider" else replies[body]
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return Delivery(reply=replace(reply, headers={**reply.headers, **more}))

    return act


def says(code: int) -> Action:
    """Does what was asked and reports an error about it: a deletion that worked and claims that it did not."""

    def act(exchange: Exchange) -> Delivery:
        exchange.honest()
        return Delivery(reply=provider_error(exchange.request, code))

    return act


def redirect(url: str, *, code: int = 302) -> Action:
    """Redirects to anywhere."""
    return lambda _: Delivery(reply=json_reply(code, {"redirect_to": url}, Location=url))


# Time.


def delay(seconds: float) -> Action:
    """An honest answer, late."""
    return lambda exchange: Delivery(reply=exchange.honest(), delay=seconds)


def hang(after: After | None = None) -> Action:
    """An honest answer up to a place in the body, and then nothing until the client goes; None: not even a status."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        return Delivery(reply=reply, hang_after=-1 if after is None else place(after, len(reply.body)))

    return act


def slow(rate: int) -> Action:
    """An honest answer at so many bytes a second."""
    return lambda exchange: Delivery(reply=exchange.honest(), rate=rate)


# Connection.


def no_answer(*, ending: Literal["fin", "rst"] = "fin", done: bool = True) -> Action:
    """The connection ends without a byte: after what was asked is done (an answer lost on its way), or before."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest() if done else Reply(status=500)
        return Delivery(reply=reply, ending=ending, headless=True)

    return act


def cut(after: After, *, ending: Literal["fin", "rst"] = "fin") -> Action:
    """The right Content-Length, and fewer bytes: the connection ends in the middle."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        return Delivery(reply=reply, stop_after=place(after, len(reply.body)), ending=ending)

    return act


def announced(difference: int) -> Action:
    """A Content-Length that is off: longer than the body, or shorter so that bytes are left over."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        return Delivery(reply=reply, announce=len(reply.body) + difference)

    return act


def chunked(after: After | None = None, *, terminated: bool = True) -> Action:
    """Chunks instead of a length, cut or whole; a cut with the proper last chunk looks clean, one without it does not."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        stop = None if after is None else place(after, len(reply.body))
        return Delivery(reply=reply, framing="chunked", stop_after=stop, ending="whole" if terminated else "fin")

    return act


def until_close(after: After | None = None, *, version: Literal["1.1", "1.0"] = "1.1") -> Action:
    """No length at all: the body ends with the connection, whole or cut, and nobody can tell which."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        stop = None if after is None else place(after, len(reply.body))
        return Delivery(reply=reply, framing="eof" if version == "1.1" else "http10", stop_after=stop)

    return act


def head_lines(*lines: str) -> Action:
    """Raw header lines in place of Content-Length: two lengths, a negative one, one with Transfer-Encoding, a line too long."""
    return lambda exchange: Delivery(reply=exchange.honest(), framing="eof", head_lines=lines)


# Combination.


def over(outer: Action, inner: Action) -> Action:
    """Both faults: `outer` takes what `inner` would send for honest, as in `over(cut(0.5), new_etag())`."""

    def act(exchange: Exchange) -> Delivery:
        return outer(replace(exchange, answer=lambda request: inner(replace(exchange, request=request)).reply))

    return act


def first(change: Callable[[World], Any]) -> Action:
    """An honest answer, after something has changed in the world: a list that shifts, a recording that vanishes."""

    def act(exchange: Exchange) -> Delivery:
        change(exchange.world)
        return Delivery(reply=exchange.honest())

    return act


def afterwards(change: Callable[[World], Any]) -> Action:
    """An honest answer, and then something changes in the world."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        change(exchange.world)
        return Delivery(reply=reply)

    return act
