"""The API client: what it sends, to whom, how often, and what it makes of the answers."""

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from archiver.domain.errors import (
    ConfigurationError, ContractBroken, CredentialsRefused, ProviderError, ProviderUnavailable, RateLimited, RecordingGone, UrlRefused,
)  # fmt: skip
from archiver.providers.http import origin, refusal, same_origin_query
from tests.providers.stage import API_KEY, CANARY, SIGNATURE, Clock, an_api, sending, serving, texts_of


def replies(*answers):
    """Each answer once, the last one for ever: a status, or a status with a body or headers."""
    left = list(answers)

    def answer(_):
        found = left.pop(0) if len(left) > 1 else left[0]
        status, body, headers = (*(found if isinstance(found, tuple) else (found,)), None, None)[:3]
        return web.Response(status=status, text=json.dumps({"ok": True} if body is None else body), headers=headers)

    return answer


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
    async with serving(replies((200, {}, {"Set-Cookie": "a=b"}))) as server, an_api(server.url) as api:
        await api.get("/v2/things")
        await api.get("/v2/things")
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
    async with serving(replies(200)) as other, serving(lambda _: web.Response(status=302, headers={"Location": f"{other.url}/v2/things"})) as server:
        async with an_api(server.url) as api:
            with pytest.raises(ContractBroken, match="redirect.*hint: check base_url"):
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
        (401, CredentialsRefused), (403, CredentialsRefused), (404, RecordingGone), (405, ContractBroken), (408, ProviderUnavailable),
        (409, ProviderUnavailable), (410, RecordingGone), (422, ContractBroken), (500, ProviderUnavailable), (502, ProviderUnavailable),
        (503, ProviderUnavailable), (504, ProviderUnavailable), (599, ProviderUnavailable),
    ],
)  # fmt: skip
async def test_every_status_has_its_error_with_the_providers_code_and_title(status, expected):
    body = {"errors": [{"code": "12345", "title": "The title"}]}
    async with serving(replies((status, body))) as server, an_api(server.url) as api:
        with pytest.raises(expected, match=rf"src: GET /v2/things answered {status}{'' if status == 204 else ': 12345 The title'}"):
            await api.get("/v2/things", [("secret", CANARY)])


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


# How often.


async def test_a_question_is_repeated_twice_at_once_when_the_provider_fails():
    clock = Clock()
    async with serving(replies(500, 503, 200)) as server, an_api(server.url, clock) as api:
        assert await api.get("/v2/things") == {"ok": True}
    assert api.observed == [("list", "500"), ("list", "503"), ("list", "200")]
    assert 0 < sum(clock.slept) < 3
    async with serving(replies(500)) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable):
            await api.get("/v2/things")
    assert len(server.seen) == 3


async def test_a_deletion_is_never_repeated_by_itself():
    async with serving(replies(500)) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable):
            await api.delete("/v2/things/1")
    assert len(server.seen) == 1


async def test_a_long_outage_is_not_met_with_three_times_the_requests():
    async with serving(replies(503)) as server, an_api(server.url) as api:
        for _ in range(100):
            with pytest.raises(ProviderUnavailable):
                await api.get("/v2/things")
    assert len(server.seen) == 110


async def test_credentials_that_are_refused_are_not_offered_again_in_the_same_request():
    async with serving(replies(401)) as server, an_api(server.url) as api:
        with pytest.raises(CredentialsRefused, match="hint: check the key"):
            await api.get("/v2/things")
    assert len(server.seen) == 1


async def test_a_short_wait_is_waited_for_and_the_request_repeated():
    clock = Clock()
    async with serving(replies((429, None, {"x-ratelimit-reset": "3"}), (429, None, {"Retry-After": "7"}), 200)) as server:
        async with an_api(server.url, clock) as api:
            assert await api.get("/v2/things") == {"ok": True}
    assert clock.slept == [pytest.approx(3.15), pytest.approx(7.35)]


async def test_a_long_wait_is_handed_on_and_the_whole_source_stays_silent_meanwhile():
    clock = Clock()
    async with serving(replies((429, None, {"Retry-After": "120"}), 200)) as server, an_api(server.url, clock) as api:
        with pytest.raises(RateLimited, match="waits 120 s") as refused:
            await api.get("/v2/things")
        assert refused.value.wait == 120
        for path in ("/v2/things", "/v2/things/1"):
            with pytest.raises(RateLimited):
                await api.get(path)
        with pytest.raises(RateLimited):
            await api.delete("/v2/things/1")
        assert len(server.seen) == 1
        await clock.sleep(121)
        assert await api.get("/v2/things") == {"ok": True}


async def test_one_refusal_slows_every_worker_of_the_source():
    clock = Clock()
    times = []

    def answer(_):
        times.append(clock.monotonic())
        return web.Response(status=429, headers={"Retry-After": "30"}) if len(times) == 1 else web.json_response({})

    async with serving(answer) as server, an_api(server.url, clock) as api:
        first = asyncio.create_task(api.get("/v2/things"))
        while not times or not clock.slept:
            await asyncio.sleep(0)
        await asyncio.gather(first, *(api.get("/v2/things") for _ in range(8)))
    assert min(times[1:]) - times[0] >= 30


async def test_refusals_without_end_end_after_four_requests():
    async with serving(replies((429, None, {"Retry-After": "1"}))) as server, an_api(server.url) as api:
        with pytest.raises(RateLimited):
            await api.get("/v2/things")
    assert len(server.seen) == 4


@pytest.mark.parametrize("value", ["0", "-7", "1000000000", "never", "", "NaN"])
async def test_a_provider_that_asks_for_nonsense_is_met_with_our_own_patience(value):
    clock = Clock()
    async with serving(replies((429, None, {"Retry-After": value, "x-ratelimit-reset": value}), 200)) as server:
        async with an_api(server.url, clock) as api:
            try:
                await api.get("/v2/things")
            except RateLimited as refused:
                assert refused.wait == 900
                return
    assert 0.4 <= clock.slept[0] <= 5


async def test_the_number_of_requests_left_can_be_seen():
    async with serving(replies((200, {}, {"x-ratelimit-remaining": "41", "x-ratelimit-reset": "1"}))) as server, an_api(server.url) as api:
        assert api.gate.remaining is None
        await api.get("/v2/things")
        assert api.gate.remaining == 41


# What goes wrong on the way.


async def test_a_provider_that_is_not_there_is_unavailable():
    async with an_api("http://127.0.0.1:1") as api:
        with pytest.raises(ProviderUnavailable):
            await api.get("/v2/things")
        assert api.observed == [("list", "error")] * 3


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"]
)
async def test_a_connection_that_breaks_off_is_unavailable(answer):
    async with sending(answer) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable):
            await api.get("/v2/things")


async def test_an_answer_that_never_comes_is_given_up(monkeypatch):
    monkeypatch.setattr("archiver.providers.http._WHOLE", aiohttp.ClientTimeout(total=0.05))
    async with sending(hold=True) as server, an_api(server.url) as api:
        with pytest.raises(ProviderUnavailable, match="timed out"):
            await api.delete("/v2/things/1")
        assert api.observed == [("delete", "timeout")]


async def test_a_slowloris_of_an_answer_is_given_up(monkeypatch):
    monkeypatch.setattr("archiver.providers.http._WHOLE", aiohttp.ClientTimeout(total=0.1))
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
        async with serving(replies((status, told, {"Retry-After": "100", "Location": f"https://h/p?{SIGNATURE}"}))) as server, an_api(server.url) as api:
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


# TLS.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def make(folder, *, names=("127.0.0.1",), days=30, sign=hashes.SHA256):
        import ipaddress

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        alternatives = [x509.IPAddress(ipaddress.ip_address(each)) if each[0].isdigit() else x509.DNSName(each) for each in names]
        begin = datetime.now(UTC) - timedelta(days=60)
        made = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(begin).not_valid_after(datetime.now(UTC) + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, sign())
        )  # fmt: skip
        pem = tmp_path_factory.mktemp(folder) / "cert.pem"
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
        return str(pem)

    return {"good": make("good"), "wrong host": make("host", names=("example.com",)), "expired": make("expired", days=-1)}


def server_context(pem, **changes):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    for name, value in changes.items():
        setattr(context, name, value)
    return context


async def test_a_trusted_server_is_spoken_to(certificates):
    async with serving(replies(200), ssl_context=server_context(certificates["good"])) as server:
        async with an_api(server.url, ca_bundle=certificates["good"]) as api:
            assert await api.get("/v2/things") == {"ok": True}


@pytest.mark.parametrize(("kind", "trusted"), [("good", ""), ("wrong host", "wrong host"), ("expired", "expired"), ("good", "wrong host")])
async def test_a_certificate_that_is_not_right_ends_it_before_a_byte_is_sent(certificates, kind, trusted):
    async with serving(replies(200), ssl_context=server_context(certificates[kind])) as server:
        async with an_api(server.url, ca_bundle=certificates.get(trusted, "")) as api:
            with pytest.raises(ProviderUnavailable, match="TLS certificate not accepted"):
                await api.get("/v2/things")
    assert server.seen == []


async def test_tls_1_1_is_not_spoken(certificates):
    with pytest.deprecated_call():
        old = server_context(certificates["good"], minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    async with serving(replies(200), ssl_context=old) as server, an_api(server.url, ca_bundle=certificates["good"]) as api:
        with pytest.raises(ProviderUnavailable):
            await api.get("/v2/things")
    assert server.seen == []


# Addresses.


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.telnyx.com", "https://api.telnyx.com"), ("https://api.telnyx.com/", "https://api.telnyx.com"), ("https://api.telnyx.com/v2", "https://api.telnyx.com"),
        ("https://api.telnyx.com/v2/", "https://api.telnyx.com"), ("https://video.twilio.com/v1//", "https://video.twilio.com"), ("https://API.Telnyx.com:8443/v2", "https://api.telnyx.com:8443"),
        ("http://127.0.0.1:5000/v2", "http://127.0.0.1:5000"), ("http://localhost:80", "http://localhost:80"), ("http://[::1]:1/v1", "http://[::1]:1"),
    ],
)  # fmt: skip
def test_a_base_url_may_end_in_a_slash_and_a_version(base_url, expected):
    assert origin("src", base_url) == expected


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.telnyx.com", "http://10.0.0.1", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "ftp://x", "api.telnyx.com", "https://",
        f"https://user:{CANARY}@api.telnyx.com", "https://api.telnyx.com/v3", "https://api.telnyx.com/v2?x=1", "https://api.telnyx.com/#x", "https://api telnyx", "//x", "https://x:y",
    ],
)  # fmt: skip
def test_a_base_url_that_would_expose_credentials_is_a_configuration_error(base_url):
    with pytest.raises(ConfigurationError, match="base_url") as refused:
        origin("src", base_url)
    assert CANARY not in texts_of(refused.value)


async def test_localhost_that_resolves_elsewhere_gets_no_credentials():
    from archiver.providers.http import Api
    from tests.providers.stage import TABLE, Resolver, describe_error, options

    api = Api(options("http://localhost:9"), default_url="", routes=TABLE, authorization="Bearer x", describe=describe_error, clock=Clock(), observe=None, resolver=Resolver("10.0.0.1"))
    with pytest.raises(ProviderUnavailable, match="address is not one"):
        await api.get("/v2/things")
    await api.aclose()


@pytest.mark.parametrize(
    "link",
    [
        None, 5, "", "/v1/Recordings?Page=1", "http://api.example.com/v1/Recordings?Page=1", "https://api.example.com.evil/v1/Recordings?Page=1", "https://evil@api.example.com/v1/Recordings?x",
        "https://api.example.com:444/v1/Recordings?Page=1", "https://api.example.com/v1/Rooms?Page=1", "https://api.example.com/v1/Recordings", "https://api.example.com/v1/Recordings/../Rooms?x",
        "https://api.example.com/v1/Recordings?" + "x" * 9_000,
    ],
)  # fmt: skip
def test_a_next_page_anywhere_else_breaks_the_contract(link):
    with pytest.raises(ContractBroken, match="next page"):
        same_origin_query("https://api.example.com", link, "/v1/Recordings")


def test_a_next_page_at_home_is_followed_word_for_word():
    assert same_origin_query("https://a", "https://a/p?Page=1&PageToken=PT%2Fx#frag", "/p") == "Page=1&PageToken=PT%2Fx"


def test_server_errors_pass_by_themselves_and_client_errors_do_not():
    assert isinstance(refusal(500, "x"), ProviderUnavailable)
    assert not isinstance(refusal(400, "x"), ProviderUnavailable)
