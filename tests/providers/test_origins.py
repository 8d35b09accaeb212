"""Where credentials may go: verified TLS to one origin, and plain HTTP to this machine alone."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from archiver.domain.errors import (
    ConfigurationError,
    ContractBroken,
    ProviderUnavailable,
)  # fmt: skip
from archiver.providers.http import origin, refusal, same_origin_query
from tests.providers.stage import CANARY, Clock, an_api, replies, serving, texts_of

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
    async with (
        serving(replies(200), ssl_context=server_context(certificates["good"])) as server,
        an_api(server.url, ca_bundle=certificates["good"]) as api,
    ):
        assert await api.get("/v2/things") == {"ok": True}


@pytest.mark.parametrize(
    ("kind", "trusted"), [("good", ""), ("wrong host", "wrong host"), ("expired", "expired"), ("good", "wrong host")]
)
async def test_a_certificate_that_is_not_right_ends_it_before_a_byte_is_sent(certificates, kind, trusted):
    async with (
        serving(replies(200), ssl_context=server_context(certificates[kind])) as server,
        an_api(server.url, ca_bundle=certificates.get(trusted, "")) as api,
    ):
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
        f"https://user:{CANARY}@api.telnyx.com", "https://api.telnyx.com/v3", "https://api.telnyx.com/v2?x=1", "https://api.telnyx.com/#x", "https://api telnyx", "//x", "https://x:y", "https://x:0", "https://x:65536",
    ],
)  # fmt: skip
def test_a_base_url_that_would_expose_credentials_is_a_configuration_error(base_url):
    with pytest.raises(ConfigurationError, match="base_url") as refused:
        origin("src", base_url)
    assert CANARY not in texts_of(refused.value)


async def test_localhost_that_resolves_elsewhere_gets_no_credentials():
    from archiver.providers.http import Api
    from tests.providers.stage import TABLE, Resolver, describe_error, options

    api = Api(
        options("http://localhost:9"),
        default_url="",
        routes=TABLE,
        authorization="Bearer x",
        describe=describe_error,
        clock=Clock(),
        observe=None,
        resolver=Resolver("10.0.0.1"),
    )
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
