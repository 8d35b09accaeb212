"""Faults of the body, to be used as a rule's action: something else, something wrong, or another part than was asked for."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from archiver.simulator.actions import MAINTENANCE, After, place
from archiver.simulator.media_host import xml_error
from archiver.simulator.messages import Reply, Stretch, whole
from archiver.simulator.wire import Delivery

if TYPE_CHECKING:
    from archiver.simulator.faults import Action, Exchange

_BOMB_BLOCK = bytes(2**20)


def _with_body(reply: Reply, body: bytes, **headers: str) -> Reply:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(reply, body=body, headers={**reply.headers, **more}, document=None)


def gzipped(how: Literal["valid", "truncated", "bomb"] = "valid", *, bomb_size: int = 64 * 2**20) -> Action:
    """A Content-Encoding that nobody asked for; a bomb holds `bomb_size` zeros, about a thousandth of that on the wire."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        packed = _bomb(bomb_size) if how == "bomb" else gzip.compress(whole(reply), compresslevel=1, mtime=0)
        return Delivery(
            reply=_with_body(reply, packed[: len(packed) // 2] if how == "truncated" else packed, Content_Encoding="gzip")
        )

    return act


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    blocks = [packer.compress(_BOMB_BLOCK) for _ in range(size // len(_BOMB_BLOCK))]
    return b"".join([*blocks, packer.flush()])


def instead(kind: Literal["html", "json", "xml", "empty", "noise"], *, code: int = 200) -> Action:
    """Something else where media or a list was asked for, with a status that says all is well."""
    contents = {
        "html": ("text/html", MAINTENANCE),
        "json": ("application/json", b'{"errors":[{"code":"10007","title":"Unexpected error"}]}'),
        "xml": ("application/xml", whole(xml_error(403, "AccessDenied", "Request has expired"))),
        "empty": ("application/octet-stream", b""),
        "noise": ("audio/ogg", bytes(range(1, 256)) * 20),
    }
    content_type, body = contents[kind]
    return lambda _: Delivery(reply=Reply(status=code, headers={"Content-Type": content_type}, body=body))


def flipped(after: After = 0.5) -> Action:
    """One bit is wrong."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        body = bytearray(whole(reply))
        body[min(place(after, len(body)), len(body) - 1)] ^= 0x01
        return Delivery(reply=_with_body(reply, bytes(body)))

    return act


def other_bytes(*, keep_etag: bool = False) -> Action:
    """The bytes of another file of the same kind and size, under its own ETag or under the one of the file asked for."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        if not isinstance(reply.body, Stretch):
            return Delivery(reply=reply)
        other = replace(reply.body.media, seed=reply.body.media.seed[::-1], size_hint=reply.body.media.size)
        headers = dict(reply.headers) if keep_etag else {**reply.headers, "ETag": other.etag}
        stop = min(reply.body.stop, other.size)
        return Delivery(
            reply=replace(reply, headers=headers, body=Stretch(media=other, start=min(reply.body.start, stop), stop=stop))
        )

    return act


def new_etag() -> Action:
    """Another ETag each time, so that no If-Range ever matches what the host has."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        return Delivery(reply=replace(reply, headers={**reply.headers, "ETag": f'"{exchange.occurrence:032x}"'}))

    return act


# Ranges.


def partial(after: After = 0.5) -> Action:
    """A 206 with the beginning of the file, though all of it was asked for."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        stop = max(1, place(after, len(reply.body)))
        header = {**reply.headers, "Content-Range": f"bytes 0-{stop - 1}/{len(reply.body)}"}
        body = replace(reply.body, stop=stop) if isinstance(reply.body, Stretch) else reply.body[:stop]
        return Delivery(reply=replace(reply, status=206, headers=header, body=body))

    return act


def range_ignored() -> Action:
    """The whole file with 200, whatever range was asked for."""

    def act(exchange: Exchange) -> Delivery:
        headers = {name: value for name, value in exchange.request.headers.items() if name not in {"range", "if-range"}}
        return Delivery(reply=exchange.answer(replace(exchange.request, headers=headers)))

    return act


def wrong_range(shift: int = 1) -> Action:
    """A 206 whose Content-Range is not the range asked for; the bytes are those that were."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        if not isinstance(reply.body, Stretch) or reply.status != 206:
            return Delivery(reply=reply)
        start, stop, size = reply.body.start + shift, reply.body.stop + shift, reply.body.media.size
        return Delivery(reply=replace(reply, headers={**reply.headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}))

    return act


def short_range(by: int = 1) -> Action:
    """A 206 that ends earlier than asked for, and says so."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        if not isinstance(reply.body, Stretch) or reply.status != 206:
            return Delivery(reply=reply)
        body = replace(reply.body, stop=max(reply.body.start + 1, reply.body.stop - by))
        header = f"bytes {body.start}-{body.stop - 1}/{body.media.size}"
        return Delivery(reply=replace(reply, body=body, headers={**reply.headers, "Content-Range": header}))

    return act


def with_headers(**headers: str | None) -> Action:
    """Headers that are others than the honest ones, or with None missing: `with_headers(ETag=None)`."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        kept = {name: value for name, value in {**reply.headers, **more}.items() if value is not None}
        return Delivery(reply=replace(reply, headers=kept))

    return act


def on_ranges(action: Action, *, skip: int = 0, times: int | None = None) -> Action:
    """The fault on `times` requests for a range (None: all) after the first `skip` of them; honest answers to all others."""
    seen = 0

    def act(exchange: Exchange) -> Delivery:
        nonlocal seen
        seen += "range" in exchange.request.headers
        hit = "range" in exchange.request.headers and seen > skip and (times is None or seen <= skip + times)
        return action(exchange) if hit else Delivery(reply=exchange.honest())

    return act
