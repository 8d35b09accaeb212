"""Faults of API answers: JSON that is none, lists that lie about themselves, and lists that shift while they are read."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from archiver.simulator.messages import whole
from archiver.simulator.pieces import number_from
from archiver.simulator.recordings import Phase, Recording, Source
from archiver.simulator.wire import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from archiver.simulator.faults import Action, Exchange
    from archiver.simulator.messages import Reply
    from archiver.simulator.world import World

Garbling = Literal[
    "truncated", "not json", "empty", "byte order mark", "utf-16", "nan", "huge", "deep", "duplicate keys", "lone surrogate",
    "nul", "big integers", "null", "array", "string", "no list", "object for list", "no meta", "strings for integers",
]  # fmt: skip
_HUGE = 24 * 2**20
_DEEP = 100_000


def garbled(kind: Garbling) -> Action:
    """An answer whose JSON is broken or not what the specification promises."""
    return lambda exchange: _garble(exchange.honest(), kind)


def _garble(reply: Reply, kind: Garbling) -> Delivery:
    body, items = whole(reply), _list_key(reply.document)
    raw: dict[str, Callable[[], bytes]] = {
        "truncated": lambda: body[: len(body) // 2],
        "not json": lambda: b"upstream connect error or disconnect/reset before headers",
        "empty": lambda: b"",
        "byte order mark": lambda: b"\xef\xbb\xbf" + body,
        "utf-16": lambda: body.decode().encode("utf-16"),
        "nan": lambda: b'{"extra": NaN, ' + body[1:],
        "huge": lambda: b'{"padding": "' + b"x" * _HUGE + b'", ' + body[1:],
        "deep": lambda: b'{"extra": ' + b"[" * _DEEP + b"]" * _DEEP + b", " + body[1:],
        "duplicate keys": lambda: body[:-1] + f', "{items}": []}}'.encode(),
        "lone surrogate": lambda: _in_items(reply, "name", "\ud800"),
        "nul": lambda: _in_items(reply, "name", "\x00"),
        "big integers": lambda: _in_items(reply, "size", 2**70),
        "null": lambda: b"null",
        "array": lambda: b"[]",
        "string": lambda: b'"ok"',
        "no list": lambda: _without(reply, items),
        "object for list": lambda: json.dumps({**reply.document, items: {"id": 1}}).encode(),
        "no meta": lambda: _without(reply, "meta"),
        "strings for integers": lambda: _stringly(reply),
    }
    return Delivery(reply=replace(reply, body=raw[kind](), document=None))


def _list_key(document: Any) -> str:
    """Under which name a list's items are: `data` at Telnyx, the list's own name at Twilio."""
    return str(document["meta"].get("key", "data")) if isinstance(document, dict) and "meta" in document else "data"


def _in_items(reply: Reply, name: str, value: Any) -> bytes:
    changed = _items_changed(reply.document, lambda item: {**item, name: value, "track_name" if name == "name" else name: value})
    return json.dumps(changed).encode()


def _without(reply: Reply, key: str) -> bytes:
    return json.dumps({name: value for name, value in reply.document.items() if name != key}).encode()


def _stringly(reply: Reply) -> bytes:
    meta = {name: str(value) if isinstance(value, int) else value for name, value in reply.document.get("meta", {}).items()}
    return json.dumps({**reply.document, "meta": meta}).encode()


def edited(change: Callable[[Any], Any]) -> Action:
    """An honest answer whose JSON goes through a function (which gets a copy and returns what is sent)."""

    def act(exchange: Exchange) -> Delivery:
        reply = exchange.honest()
        document = change(copy.deepcopy(reply.document))
        return Delivery(reply=replace(reply, body=json.dumps(document).encode(), document=document))

    return act


def _items_changed(document: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The document with each of its items, or its one resource, changed."""
    key = _list_key(document)
    if isinstance(document.get(key), list):
        return {**document, key: [change(item) for item in document[key]]}
    return {**document, key: change(document[key])} if isinstance(document.get(key), dict) else change(document)


def with_fields(**fields: Any) -> Action:
    """Every item of a list, or the single resource, with these fields laid over it: wrong types, wrong status, foreign ids."""
    return edited(lambda document: _items_changed(document, lambda item: {**item, **fields}))


def links_to(url: str) -> Action:
    """Download links that lead elsewhere: `download_url`, each of `download_urls`, and Twilio's redirect with its Location."""

    def aim(item: dict[str, Any]) -> dict[str, Any]:
        changed = {name: url if name in {"download_url", "redirect_to"} else value for name, value in item.items()}
        if isinstance(item.get("download_urls"), dict):
            changed["download_urls"] = dict.fromkeys(item["download_urls"], url)
        return changed

    def act(exchange: Exchange) -> Delivery:
        delivery = edited(lambda document: _items_changed(document, aim))(exchange)
        headers = {name: url if name == "Location" else value for name, value in delivery.reply.headers.items()}
        return replace(delivery, reply=replace(delivery.reply, headers=headers))

    return act


def _with_meta(**meta: Any) -> Action:
    return edited(lambda document: {**document, "meta": {**document["meta"], **meta}})


def wrong_totals(*, pages: int | None = None, results: int | None = None) -> Action:
    """Telnyx' totals as given here, whatever the list holds."""
    given = {"total_pages": pages, "total_results": results}
    return _with_meta(**{name: value for name, value in given.items() if value is not None})


def endless() -> Action:
    """There is always a next page, with the same items again."""

    def act(exchange: Exchange) -> Delivery:
        request = exchange.request
        query = tuple((name, value) for name, value in request.query if name not in {"page[number]", "PageToken"})
        reply = exchange.answer(replace(request, query=query))
        number = int(request.parameter("page[number]") or request.parameter("Page") or "1")
        meta: dict[str, Any] = {"page_number": number, "total_pages": number + 1}
        if request.host == "twilio":
            url = f"{request.base_url}{request.path}?Page={number + 1}&PageSize=50&PageToken=PT{number + 1}"
            meta = {"page": number, "next_page_url": url}
        document = {**reply.document, "meta": {**reply.document["meta"], **meta}}
        return Delivery(reply=replace(reply, body=json.dumps(document).encode(), document=document))

    return act


def stuck() -> Action:
    """The next page is this one: the number does not move at Telnyx, and Twilio's next_page_url is the page's own."""

    def act(exchange: Exchange) -> Delivery:
        request = exchange.request
        query = tuple((name, value) for name, value in request.query if name != "page[number]")
        reply = exchange.answer(replace(request, query=query))
        meta: dict[str, Any] = {"total_pages": 1000}
        if request.host == "twilio":
            meta = {"next_page_url": f"{request.base_url}{request.target}"}
        document = {**reply.document, "meta": {**reply.document["meta"], **meta}}
        return Delivery(reply=replace(reply, body=json.dumps(document).encode(), document=document))

    return act


def next_page_at(origin: str) -> Action:
    """A next_page_url on another origin, such as `http://127.0.0.1:9`; it is there even on the last page."""

    def act(exchange: Exchange) -> Delivery:
        return _with_meta(next_page_url=f"{origin}{exchange.request.target}")(exchange)

    return act


def page_size_ignored(size: int) -> Action:
    """Pages of another size than was asked for, with a meta that says so."""

    def act(exchange: Exchange) -> Delivery:
        names = {"page[size]", "PageSize"}
        kept = tuple((name, value) for name, value in exchange.request.query if name not in names)
        own = "PageSize" if exchange.request.host == "twilio" else "page[size]"
        return Delivery(reply=exchange.answer(replace(exchange.request, query=(*kept, (own, str(size))))))

    return act


def no_items() -> Action:
    """A page without items in a list that has some."""
    return edited(lambda document: {**document, _list_key(document): []})


def doubled() -> Action:
    """Every item twice, the second time with its id in upper case."""

    def again(item: dict[str, Any]) -> dict[str, Any]:
        name = "sid" if "sid" in item else "id"
        return {**item, name: item[name][:2] + item[name][2:].upper() if name == "sid" else item[name].upper()}

    def change(document: Any) -> Any:
        key = _list_key(document)
        return {**document, key: [each for item in document[key] for each in (item, again(item))]}

    return edited(change)


# Changes for `actions.first` and `actions.afterwards`: with one of them a list shifts while it is read.


def inserts(source: Source, pick: Callable[[Recording], bool] = lambda _: True) -> Callable[[World], None]:
    """Adds a twin of the newest completed recording that `pick` takes, a little newer: everything behind it moves down."""

    def change(world: World) -> None:
        model = _newest(world, source, pick)
        if model is None:
            return
        twin_id = f"RT{number_from(model.id, size=16):032x}" if source is Source.TWILIO_VIDEO else _uuid(model.id)
        media = {rendition: replace(file, seed=f"{twin_id}/{rendition}") for rendition, file in model.media.items()}
        world.add([replace(model, id=twin_id, media=media, started_at=model.started_at + timedelta(milliseconds=1))])

    return change


def deletes(source: Source, pick: Callable[[Recording], bool] = lambda _: True) -> Callable[[World], None]:
    """Deletes the newest completed recording that `pick` takes: everything behind it moves up."""

    def change(world: World) -> None:
        model = _newest(world, source, pick)
        if model is not None:
            world.delete(model.id)

    return change


def _newest(world: World, source: Source, pick: Callable[[Recording], bool]) -> Recording | None:
    now = world.now()
    completed = (each for each in world.recordings.values() if each.source is source and each.phase(now) is Phase.COMPLETED)
    return max(
        (each for each in completed if each.is_listed(now) and pick(each)),
        key=lambda each: (each.started_at, each.id),
        default=None,
    )


def _uuid(seed: str) -> str:
    digits = f"{number_from(seed, size=16):032x}"
    return "-".join((digits[:8], digits[8:12], "4" + digits[13:16], "8" + digits[17:20], digits[20:]))
