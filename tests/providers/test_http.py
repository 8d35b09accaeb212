"""The API client: what it sends, to whom, how often, and what it makes of the answers."""

import aiohttp
import pytest
from aiohttp import web

from archiver.domain.errors import (
    ContractBroken,
    CredentialsRefused,
    ProviderError,
    ProviderUnavailable,
    RecordingGone,
    UrlRefused,
)  # fmt: skip
from archiver.providers.http import route
from tests.providers.stage import API_KEY, CANARY, SIGNATURE, Resolver, an_api, replies, sending, serving, texts_of


async def test_a_request_carries_its_credentials_and_asks_for_no_encoding():
    async with serving(replies(200)) as server, an_api(server.url) as api:
        assert await api.get("/v2/things", [("filter[a][gte]", "x y&z")]) == {"ok": True}
    assert dict(server.seen[0].headers) | {"Host": ""} == {
        "Host": "", "Authorization": f"Bearer {API_KEY}", "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "recording-archiver",
    }  # fmt: skip
    assert server.seen[0].raw_path == "/v2/things?filter%5Ba%5D%5Bgte%5D=x+y%26z"
    assert api.observed == [("list", "200")]


async def test_no_cookie_and_nothing_of_the_environment_is_sent(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("default login u password p\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving(replies((200, {}, {"Set-Cookie": "a=b"}))) as server:
        named = f"http://localhost:{server.port}"  # a cookie of an address would not be kept anyway
        async with an_api(named, resolver=Resolver("127.0.0.1")) as api:
            await api.get("/v2/things")
            await api.get("/v2/things")
    assert len(server.seen) == 2
    assert all("Cookie" not in each and each["Authorization"] == f"Bearer {API_KEY}" for each in server.headers())


# What may be asked for at all.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v2/things"), ("DELETE", "/v2/things/"), ("DELETE", "/v2/things//"), ("DELETE", "/v2/things/x"), ("DELETE", "/v2/things/1/../"),
        ("DELETE", "/v2/things/1?filter=x"), ("DELETE", "/v2/things?x"), ("DELETE", "/v2/things/1#"), ("DELETE", "/v2/things/%31"), ("DELETE", ""),
        ("POST", "/v2/things"), ("PUT", "/v2/things/1"), ("PATCH", "/v2/things/1"), ("HEAD", "/v2/things"), ("get", "/v2/things"), ("GET", "/v2/other"),
        ("GET", "//evil.example/v2/things"), ("GET", "@evil.example/v2/things"), ("GET", ".evil.example/v2/things"), ("GET", "/v2/things\n"), ("GET", "/v2/things/١"),
        ("GET", "http://evil.example/v2/things"), ("DELETE", "/v2/things/1\n"), ("DELETE", "/v2/things/1;a"), ("GET", "/V2/things"),
    ],
)  # fmt: skip
async def test_a_request_that_is_not_on_the_list_touches_no_socket(method, path):
    async with serving(replies(200)) as server, an_api(server.url) as api:
        with pytest.raises(UrlRefused, match="ever sent"):
            await api._request(method, path, (), accept=frozenset({200}))
    assert server.seen == []


@pytest.mark.parametrize(
    "path",
    ["/v2/../v1/x", "/v2/a?b=c", "/v2/a#b", "/v2//a", "/v2/a/", "/v2/%2e%2e/x", "/v2/a;b", "/v2/a b", "/v2/ü", "//evil/v2/x"],
)
async def test_a_careless_table_opens_no_more_than_plain_paths(path):
    async with serving(replies(200)) as server, an_api(server.url) as api:
        api._routes = (route("list", "GET", ".*"), route("delete", "DELETE", ".*"))
        for method in ("GET", "DELETE"):
            with pytest.raises(UrlRefused):
                await api._request(method, path, (), accept=frozenset({200}))
    assert server.seen == []


async def test_a_deletion_never_has_a_query():
    async with serving(replies(204)) as server, an_api(server.url) as api:
        for query in ("a=b", [("a", "b")]):
            with pytest.raises(UrlRefused):
                await api._request("DELETE", "/v2/things/1", query, accept=frozenset({204}))
        assert await api.delete("/v2/things/1") == 204
    assert [request.raw_path for request in server.seen] == ["/v2/things/1"]


@pytest.mark.parametrize("query", ["a=b#c", "a b", "a\r\nHost: x", "ü=1", "a\x00"])
async def test_a_query_of_a_providers_own_making_has_to_be_one(query):
    async with serving(replies(200)) as server, an_api(server.url) as api:
        with pytest.raises(UrlRefused):
            await api.get("/v2/things", query)
    assert server.seen == []


async def test_a_redirect_of_the_api_is_not_followed():
    async with (
        serving(replies(200)) as other,
        serving(lambda _: web.Response(status=302, headers={"Location": f"{other.url}/v2/things"})) as server,
        an_api(server.url) as api,
    ):
        with pytest.raises(ContractBroken, match=r"redirect.*hint: check base_url"):
            await api.get("/v2/things")
    assert other.seen == []


async def test_credentials_stay_home_where_a_session_with_basic_auth_would_leak_them():
    """The second half shows that the first half could fail (F4)."""
    async with serving(replies(200)) as foreign:
        location = {"Location": f"{foreign.url}/x"}
        async with serving(lambda _: web.Response(status=302, headers=location)) as home:
            async with an_api(home.url) as api:
                await api.follow("/v2/things/1")
            assert foreign.seen == []
            with pytest.deprecated_call():
                leaky = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "password"))
            async with leaky, leaky.get(f"{home.url}/x"):
                pass
    assert "Authorization" in foreign.headers()[0]


# What comes back.


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (201, ContractBroken), (202, ContractBroken), (204, ContractBroken), (206, ContractBroken), (302, ContractBroken), (400, ContractBroken),
        (401, CredentialsRefused), (403, CredentialsRefused), (404, ContractBroken), (405, ContractBroken), (408, ProviderUnavailable),
        (409, ProviderUnavailable), (410, ContractBroken), (422, ContractBroken), (500, ProviderUnavailable), (502, ProviderUnavailable),
        (503, ProviderUnavailable), (504, ProviderUnavailable), (599, ProviderUnavailable),
    ],
)  # fmt: skip
async def test_every_status_has_its_error_with_the_providers_code_and_title(status, expected):
    body = {"errors": [{"code": "12345", "title": "The title"}]}
    async with serving(replies((status, body))) as server, an_api(server.url) as api:
        with pytest.raises(
            expected, match=rf"src: GET /v2/things answered {status}{'' if status == 204 else ': 12345 The title'}"
        ):
            await api.get("/v2/things", [("secret", CANARY)])


async def test_a_record_that_is_not_found_is_gone_and_a_list_is_not():
    async with serving(replies(404)) as server, an_api(server.url) as api:
        with pytest.raises(RecordingGone):
            await api.get("/v2/things/1")
        with pytest.raises(ContractBroken, match=r"404; hint: check base_url"):
            await api.get("/v2/things")


async def test_a_deletion_needs_no_body_to_have_succeeded():
    async with serving(lambda _: web.Response(status=200, body=b"")) as server, an_api(server.url) as api:
        assert await api.delete("/v2/things/1") == 200


async def test_a_deletion_that_answers_as_the_bulk_one_does_is_not_taken_for_success():
    async with serving(replies((201, {"data": {"room_recordings": 5}}))) as server, an_api(server.url) as api:
        with pytest.raises(ContractBroken, match="201"):
            await api.delete("/v2/things/1")


@pytest.mark.parametrize("status", [200, 204, 404, 410])
async def test_a_deletion_succeeds_also_where_there_is_nothing_left(status):
    async with serving(replies(status)) as server, an_api(server.url) as api:
        assert await api.delete("/v2/things/1") == status


async def test_a_body_of_more_than_16_mib_is_not_read_to_its_end():
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(400):
                await response.write(b"x" * 2**20)
        except ConnectionError:
            pass
        return response

    announced = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n{"
    async with serving(endless) as server, an_api(server.url) as api:
        with pytest.raises(ContractBroken, match="more than 16777216"):
            await api.get("/v2/things")
    async with sending(announced, hold=True) as server, an_api(server.url) as api:
        with pytest.raises(ContractBroken, match="5000000000 bytes, more than 16777216"):
            await api.get("/v2/things")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
async def test_an_encoded_body_is_refused_unread(encoding):
    async with serving(replies((200, {}, {"Content-Encoding": encoding}))) as server, an_api(server.url) as api:
        with pytest.raises(ContractBroken, match="encoded"):
            await api.get("/v2/things")


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"a":NaN}', b"[" * 50_000, b'{"a"'])
async def test_a_200_that_is_no_json_breaks_the_contract(body):
    async with serving(lambda _: web.Response(body=body)) as server, an_api(server.url) as api:
        with pytest.raises(ContractBroken, match="answered 200"):
            await api.get("/v2/things")


# What goes wrong on the way.


async def test_a_provider_that_is_not_there_is_unavailable():
    async with an_api("http://127.0.0.1:1") as api:
        with pytest.raises(ProviderUnavailable):
            await api.get("/v2/things")
        assert api.observed == [("list", "error")] * 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ],
)
async def test_a_connection_that_breaks_off_is_unavailable(answer):
    async with sending(answer) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable):
            await api.get("/v2/things")


async def test_an_answer_that_never_comes_is_given_up(monkeypatch):
    monkeypatch.setattr("archiver.providers.http.CALL_SECONDS", 0.05)
    async with sending(hold=True) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable, match="timed out"):
            await api.delete("/v2/things/1")
        assert api.observed == [("delete", "timeout")]


async def test_a_slowloris_of_an_answer_is_given_up(monkeypatch):
    monkeypatch.setattr("archiver.providers.http.CALL_SECONDS", 0.1)
    async with sending(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{", hold=True) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable, match="timed out"):
            await api.delete("/v2/things/1")


async def test_no_error_shows_the_key_or_a_query():
    told = {"errors": [{"code": "1", "title": f"Bearer {API_KEY}", "detail": f"see https://h/p?{SIGNATURE}"}]}
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"
    failures = []
    for answer in (b"", head, b"garbage\r\n\r\n", b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a":"' + SIGNATURE.encode()):
        async with sending(answer) as server, an_api(server.url) as api:
            with pytest.raises(ProviderError) as failed:
                await api.get("/v2/things", [("x", CANARY)])
        failures.append(failed.value)
    for status in (302, 400, 401, 404, 429, 500):
        async with (
            serving(replies((status, told, {"Retry-After": "100", "Location": f"https://h/p?{SIGNATURE}"}))) as server,
            an_api(server.url) as api,
        ):
            with pytest.raises(ProviderError) as failed:
                await api.get("/v2/things", [("x", CANARY)])
        failures.append(failed.value)
    async with an_api("http://127.0.0.1:1") as api:
        with pytest.raises(ProviderError) as failed:
            await api.get("/v2/things", [("x", CANARY)])
        assert CANARY not in f"{api!r} {api.__dict__['_routes']!r}"
    failures.append(failed.value)
    for failure in failures:
        assert CANARY not in texts_of(failure)
