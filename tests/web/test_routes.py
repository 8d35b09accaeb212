"""Every address answers GET and HEAD and nothing else, and every answer carries the headers, errors included."""

import json
import re

import pytest

from archiver.web.headers import POLICY
from archiver.web.routes import READING
from tests.web.seeds import ROOMS

EXPECTED = {
    "/livez",
    "/readyz",
    "/metrics",
    "/",
    "/recordings",
    "/recordings/{source}/{id}",
    "/api/v1/status",
    "/api/v1/recordings",
    "/api/v1/recordings/{id...}",
    "/static/{file}",
    "/webhooks/telnyx",
    "/webhooks/twilio",
}
OTHER_METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


def assert_armoured(answer, *, cacheable: bool = False) -> None:
    headers = answer.headers
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert ("max-age" in headers["Cache-Control"]) if cacheable else (headers["Cache-Control"] == "no-store")
    assert headers["Server"] == "archiver"
    assert not headers.getall("Access-Control-Allow-Origin", [])


async def an_address_of_each(site) -> dict[str, str]:
    """A real address for each pattern of the table of routes but those that are only told something."""
    (item, *_) = (await site.json("/api/v1/recordings"))["items"]
    home = (await site.get("/")).text
    style = re.search(r"/static/(style\.[0-9a-f]{12}\.css)", home)
    parts = {
        "{source}": item["source"],
        "{id}": item["recording_id"],
        "{id...}": f"{item['source']}/{item['recording_id']}",
        "{file}": style[1],
    }
    reading = [route for route in site.server.routes if route.methods == READING]
    return {route.pattern: re.sub(r"\{[^}]+\}", lambda found: parts[found[0]], route.pattern) for route in reading}


async def test_the_inventory_of_routes_is_this(month):
    assert {route.pattern for route in month.server.routes} == EXPECTED


async def test_every_route_answers_with_the_headers(month):
    for pattern, address in (await an_address_of_each(month)).items():
        answer = await month.get(address)
        assert answer.status == 200, pattern
        assert answer.text, pattern
        assert_armoured(answer, cacheable=pattern.startswith("/static"))


async def test_head_is_get_without_its_body(month):
    for pattern, address in (await an_address_of_each(month)).items():
        whole, head = await month.get(address), await month.get(address, method="HEAD")
        assert (head.status, head.text) == (whole.status, ""), pattern
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]
        assert_armoured(head, cacheable=pattern.startswith("/static"))


async def test_other_methods_are_not_allowed_anywhere(month):
    for pattern, address in (await an_address_of_each(month)).items():
        for method in OTHER_METHODS:
            answer = await month.get(address, method=method)
            assert answer.status == 405, (method, pattern)
            assert answer.headers["Allow"] == "GET, HEAD"
            assert_armoured(answer)


async def test_a_posted_body_is_refused_and_not_read_as_a_request(month):
    answer = await month.get("/", method="POST", data=b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    assert answer.status == 405
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/", "text/html"),
        ("/recordings", "text/html"),
        ("/livez", "text/plain"),
        ("/metrics", "text/plain"),
        ("/readyz", "application/json"),
        ("/api/v1/status", "application/json"),
    ],
)
async def test_an_answer_says_what_it_is(month, address, kind):
    content_type = (await month.get(address)).headers["Content-Type"]
    assert content_type.startswith(kind)
    assert "charset=utf-8" in content_type


async def test_static_files_are_cacheable_because_their_name_is_their_content(month):
    home = (await month.get("/")).text
    names = set(re.findall(r'/static/([^"]+)', home))
    assert {name.partition(".")[0] for name in names} == {"style", "page", "mark"}
    for name in names:
        answer = await month.get(f"/static/{name}")
        assert "immutable" in answer.headers["Cache-Control"]
        assert "://" not in answer.text.replace("http://www.w3.org/2000/svg", "")


async def test_pages_hold_no_inline_script_or_style_and_nothing_from_elsewhere(month):
    addresses = await an_address_of_each(month)
    for pattern in ("/", "/recordings", "/recordings/{source}/{id}"):
        text = (await month.get(addresses[pattern])).text
        assert re.findall(r"<script\b[^>]*>", text) == [re.search(r'<script src="/static/page\.[0-9a-f]+\.js" defer>', text)[0]]
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text)


async def test_a_recording_is_found_by_its_bare_id_and_by_its_source_and_id(month):
    (item, *_) = (await month.json("/api/v1/recordings"))["items"]
    whole = await month.json(f"/api/v1/recordings/{item['source']}/{item['recording_id']}")
    bare = await month.json(f"/api/v1/recordings/{item['recording_id']}")
    assert whole == bare
    assert whole["schema"] == "archiver.show/1"
    assert {key: whole["renditions"][0][key] for key in item} == item


async def test_an_id_with_a_slash_in_it_has_a_page(month):
    await month.seeder.bring(ROOMS, "due", month.seeder.listed(ROOMS, month.clock.now(), recording_id="a/b c"))
    answer = await month.get(f"/recordings/{ROOMS}/a%2Fb%20c")
    assert answer.status == 200
    assert "a/b c" in answer.text


@pytest.mark.parametrize(
    "address", ["/recordings/telnyx-rooms/no-such-id", "/recordings/nowhere/x", "/api/v1/recordings/no-such-id"]
)
async def test_an_unknown_recording_is_not_found(month, address):
    answer = await month.get(address)
    assert answer.status == 404
    assert_armoured(answer)
    if address.startswith("/api"):
        assert json.loads(answer.text)["schema"] == "archiver.error/1"
