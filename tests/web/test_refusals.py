"""Addresses, queries and Host headers that no honest client sends get a 400 or a 404 without a word about our insides."""

import json

import pytest

from archiver.web import hosts
from tests.web.site import site_at
from tests.web.test_routes import assert_armoured

TELLTALES = ("Traceback", 'File "', "sqlalchemy", "sqlite", ".py", "aiohttp", "jinja", "SELECT", "/work", "/tmp")

BAD_ADDRESSES = [
    "//",
    "//evil.example/",
    "///etc/passwd",
    "/static/../../etc/passwd",
    "/static/..%2f..%2fetc%2fpasswd",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "/static/....//....//etc/passwd",
    "/static/style.css",
    "/static/",
    "/static//style.css",
    "/static/style.css%00.html",
    "/recordings//x",
    "/recordings/../livez",
    "/recordings/./x",
    "/recordings/a%00b/c",
    "/recordings/a%0d%0aSet-Cookie:x/c",
    "/recordings/a%5c..%5cb/c",
    "/recordings/%zz/c",
    "/recordings/%ff%fe/c",
    "/recordings/%",
    "/recordings/",
    "/recordings/x",
    "/recordings/x/y/z",
    "/api/v1/recordings/",
    "/api/v1/recordings//",
    "/api/v1/../v1/status",
    "/api/v2/status",
    "/api",
    "/API/v1/status",
    "/livez/",
    "/livez/x",
    "/readyz%20",
    "/metrics;x",
    "/.env",
    "/.git/config",
    "/admin",
    "/favicon.ico",
    "/recordings/" + "a" * 2000 + "/b",
    "/" + "a/" * 500,
    "/recordings/telnyx-rooms/' OR 1=1 --",
    "/recordings/telnyx-rooms/{{7*7}}",
    "/recordings/telnyx-rooms/$%7Bjndi:ldap:x%7D",
]

BAD_QUERIES = [
    "/recordings?page=-1",
    "/recordings?sort=1;drop%20table%20recordings",
    "/recordings?sort=1%3Bdrop",
    "/recordings?after=-1",
    "/recordings?after=1e9",
    "/recordings?after=99999999999999999999",
    "/recordings?after=%EF%BC%91",
    "/recordings?after=1&after=2",
    "/recordings?limit=10",
    "/recordings?state=gone",
    "/recordings?state=verified%27%20OR%201=1",
    "/recordings?source=Telnyx%20Rooms",
    "/recordings?source=../../x",
    "/recordings?since=yesterday",
    "/recordings?since=2026-03-02T10:00:00",
    "/recordings?since=2026-02-30",
    "/recordings?since=2026-03-02&until=2026-03-01",
    "/recordings?ended=1y",
    "/recordings?ended=7d&since=2026-01-01",
    "/recordings?ended=7d&after=999999",
    "/recordings?room=" + "x" * 201,
    "/recordings?room=%ff",
    "/recordings?room=%",
    "/recordings?room=a%00b",
    "/recordings?" + "&".join(["state=due"] * 41),
    "/recordings?" + "x" * 2049,
    "/?refresh=1",
    "/recordings/telnyx-rooms/x?y=1",
    "/api/v1/status?x=1",
    "/api/v1/recordings?limit=0",
    "/api/v1/recordings?limit=501",
    "/api/v1/recordings?limit=-1",
    "/api/v1/recordings?limit=ten",
    "/api/v1/recordings?limit=10&limit=20",
    "/api/v1/recordings?order=size",
    "/api/v1/recordings?order=newest;drop",
    "/api/v1/recordings?page=2",
    "/api/v1/recordings/x?verbose=1",
]


def assert_says_nothing(answer) -> None:
    assert_armoured(answer)
    for telltale in TELLTALES:
        assert telltale not in answer.text, telltale


async def test_bad_addresses_are_refused(month):
    for address in BAD_ADDRESSES:
        answer = await month.get(address)
        assert answer.status in (400, 404), address
        assert_says_nothing(answer)


async def test_bad_queries_are_refused_and_say_what_is_accepted(month):
    for address in BAD_QUERIES:
        answer = await month.get(address)
        assert answer.status == 400, address
        assert_says_nothing(answer)
        if address.startswith("/api"):
            document = json.loads(answer.text)
            assert (document["schema"], document["status"]) == ("archiver.error/1", 400)
            assert "accepted" in document["error"]


async def test_a_query_of_eight_kilobytes_is_refused_by_whoever_sees_it_first(month):
    answer = await month.get("/recordings?room=" + "x" * 9000)
    assert answer.status == 400
    assert_says_nothing(answer)


async def test_a_range_is_ignored(month):
    answer = await month.get("/api/v1/status", headers={"Range": "bytes=0-1,5-6,0-99999999"})
    assert answer.status == 200
    assert json.loads(answer.text)["schema"] == "archiver.status/1"


# -- who is meant

OTHERS = [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example@127.0.0.1",
    "10.0.0.1",
    "[::2]",
    "[::ffff:10.0.0.1]",
    "",
    " ",
    "a b",
    "127.0.0.1:x",
    "-",
    "[",
    "127.0.0.1/..",
    "0x7f.1",
    "2130706433",
    "LOCALHOST\x7f",
]
OURS = ["127.0.0.1", "127.0.0.1:1", "localhost", "LocalHost:8080", "localhost.", "[::1]", "[::1]:80", "[::ffff:127.0.0.1]"]


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/livez", "/readyz", "/metrics", "/nowhere"])
async def test_a_host_header_that_is_not_ours_is_refused(month, path):
    for host in OTHERS:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        answer = await month.raw(request.encode("latin-1"))
        assert answer.split(b" ", 2)[1] == b"400", host
        assert b"Content-Security-Policy" in answer


async def test_our_own_names_are_answered(month):
    for host in OURS:
        answer = await month.raw(f"GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200"), host


async def test_the_host_of_the_public_address_is_ours(month_url):
    async with site_at(month_url, public_url="https://Archive.Example.org:8443") as site:
        for host in ("archive.example.org", "ARCHIVE.example.org:8443", "archive.example.org."):
            assert (await site.get("/", headers={"Host": host})).status == 200
        assert (await site.get("/", headers={"Host": "example.org"})).status == 400


def test_an_address_that_was_reached_is_ours_and_a_name_that_leads_there_is_not():
    ours = hosts.names(listen="0.0.0.0", public_url="")
    assert hosts.is_ours("10.1.2.3", ours=ours, reached="10.1.2.3")
    assert not hosts.is_ours("10.1.2.4", ours=ours, reached="10.1.2.3")
    assert not hosts.is_ours("rebound.example", ours=ours, reached="10.1.2.3")


async def test_http_1_0_needs_no_host(month):
    assert (await month.raw(b"GET /livez HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.")


# -- what goes wrong here

SECRET = "postgresql://archiver:hunter2@db/archive"


async def test_an_unexpected_error_is_a_page_with_a_reference_and_nothing_else(month_url):
    def broken(key: str) -> str:
        raise RuntimeError(SECRET)

    async with site_at(month_url, full_key=broken) as site:
        for address in ("/recordings", "/api/v1/recordings"):
            answer = await site.get(address)
            assert answer.status == 500
            assert "reference" in answer.text
            assert "hunter2" not in answer.text
            assert_says_nothing(answer)


async def test_a_catalog_that_is_gone_is_a_page_that_says_so(empty_url, tmp_path):
    async with site_at(f"sqlite:///{tmp_path / 'nothing.db'}") as site:
        for address in ("/", "/recordings", "/recordings/a/b", "/api/v1/status", "/api/v1/recordings"):
            answer = await site.get(address)
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "10"
            assert_says_nothing(answer)
