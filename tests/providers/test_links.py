"""Links: one strict reading, a short list of hosts, and one exception that the operator has to write down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain.errors import ConfigurationError, UrlRefused
from archiver.providers.links import LinkCache, MediaHosts, Target
from archiver.providers.reach import Reach
from tests.providers.stage import CANARY, KNOWN, SIGNATURE, texts_of

HOSTS = MediaHosts("src", ("127.0.0.1:9000", "minio.internal", "[::1]:9000"), known=KNOWN)


@pytest.mark.parametrize(
    "link",
    [
        f"https://s3.amazonaws.com/telephony-recorder-prod/u/2026-03-10/leg.wav?{SIGNATURE}",
        f"https://com-twilio-us1-video-recording.s3.amazonaws.com/AC/RT.mka?{SIGNATURE}",
        "https://S3.AmazonAWS.com:443/x",
        "HTTPS://api.telnyx.com/v2/x",
        "https://telnyx.com",
        "https://media.twilio.com?x=1",
        "https://a.b.c.d.e.amazonaws.com/x#fragment",
    ],
)
def test_a_link_to_a_providers_host_leads_to_public_addresses_only(link):
    target = HOSTS.target(link)
    assert (target.scheme, target.port, target.reach) == ("https", 443, Reach.PUBLIC)


def test_a_link_is_sent_byte_for_byte_as_it_was_signed_and_without_its_fragment():
    rest = "/a%2Fb/%e2%82%ac//c/../d?X=%2f%2B+a&b=%3D&c=[1]&X-Amz-Signature=0Af"
    target = HOSTS.target(f"https://s3.amazonaws.com{rest}#frag?ment")
    assert target.url.raw_path_qs == rest


@pytest.mark.parametrize(
    "host",
    [
        "evil-telnyx.com",
        "telnyx.com.evil.example",
        "telnyx.com.",
        "xtelnyx.com",
        "telnyx.co",
        "amazonaws.com.cn",
        "s3.amazonaws.com..",
        ".telnyx.com",
        "a..telnyx.com",
        "telnyx。com",
        "xn--telnyx-cua.com",
        "tеlnyx.com",
        "telnyx.com%2eevil.example",
        "cdn.example.com",
    ],
)
def test_only_the_label_boundary_counts(host):
    with pytest.raises(UrlRefused):
        HOSTS.target(f"https://{host}/x")


def test_a_host_that_is_not_known_is_refused_with_the_setting_that_would_allow_it():
    with pytest.raises(UrlRefused, match=r'hint: add "cdn\.example\.com:443" to media_hosts of source src'):
        HOSTS.target("https://cdn.example.com/x")


def test_a_configured_host_may_be_private_and_plain_on_its_own_port_only():
    assert HOSTS.target("http://127.0.0.1:9000/x").reach is Reach.INTERNAL
    assert HOSTS.target("https://127.0.0.1:9000/x").reach is Reach.CONFIGURED
    assert HOSTS.target("http://[0:0::1]:9000/x").host == "[::1]"
    assert HOSTS.target("http://minio.internal/x").port == 80
    assert HOSTS.target("https://MINIO.internal/x").port == 443
    for link in (
        "http://127.0.0.1:9001/x",
        "http://127.0.0.1/x",
        "http://minio.internal:9000/x",
        "http://a.minio.internal/x",
        "http://127.0.0.2:9000/",
    ):
        with pytest.raises(UrlRefused):
            HOSTS.target(link)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "http://x",
        "x/y",
        "user@x",
        "x:",
        "x:0",
        "x:65536",
        "x:y",
        "a b",
        "*.example.com",
        "::1",
        "127.1",
        "0x7f.1",
        "ex_ample.com",
        "-x.com",
    ],
)
def test_an_entry_of_media_hosts_that_is_no_host_is_a_configuration_error(entry):
    with pytest.raises(ConfigurationError, match="media_hosts"):
        MediaHosts("src", (entry,), known=KNOWN)


def test_a_redirect_may_stay_on_its_origin_or_name_another_link_in_full():
    base = HOSTS.target("https://s3.amazonaws.com/a/b?c=d")
    assert str(HOSTS.target("/e?f=g", base=base).url) == "https://s3.amazonaws.com:443/e?f=g".replace(":443", "")
    assert HOSTS.target("//api.telnyx.com/x", base=base).host == "api.telnyx.com"
    for location in ("x", "?x=1", "#x", "", "//evil.example/x", "http://s3.amazonaws.com/x", "https:/x", "https:x"):
        with pytest.raises(UrlRefused):
            HOSTS.target(location, base=base)


@pytest.mark.parametrize("link", [None, 5, 1.5, True, [], {}, b"https://s3.amazonaws.com/x", ""])
def test_what_is_no_text_is_no_link(link):
    with pytest.raises(UrlRefused):
        HOSTS.target(link)


def test_a_link_longer_than_8_kib_is_refused():
    with pytest.raises(UrlRefused, match="16025 characters"):
        HOSTS.target("https://s3.amazonaws.com/" + "x" * 16_000)


@given(st.text(max_size=60) | st.from_regex(r"https?://[!-~]{0,40}", fullmatch=True))
def test_any_text_is_either_refused_or_leads_to_a_known_host(link):
    try:
        target = HOSTS.target(link)
    except UrlRefused:
        return
    host = target.url.host
    assert host in {"127.0.0.1", "minio.internal", "::1"} or any(f".{host}".endswith(f".{suffix}") for suffix in KNOWN)


@given(st.from_regex(r"[!-~]{0,12}", fullmatch=True), st.from_regex(r"[!-~]{0,12}", fullmatch=True))
def test_the_refusal_of_a_link_never_shows_its_query(before, after):
    link = f"https://{before}/p{after}?{SIGNATURE}"
    with pytest.raises(UrlRefused) as refused:
        MediaHosts("src", known=KNOWN).target(f"ftp{link}")
    assert CANARY not in texts_of(refused.value)


def test_the_text_of_a_target_has_no_query():
    target = Target(scheme="https", host="h", port=443, path_query=f"/x?{SIGNATURE}", reach=Reach.PUBLIC)
    assert CANARY not in f"{target} {target!r}"


def test_a_remembered_link_serves_once_and_for_a_minute():
    cache = LinkCache()
    cache.keep("a", {"mp3": "x", "wav": "y"}, now=100.0)
    assert cache.take("a", "mp3", now=160.0) == "x"
    assert cache.take("a", "mp3", now=160.0) is None
    assert cache.take("a", "wav", now=160.1) is None


def test_what_could_be_no_link_or_id_takes_no_memory():
    cache = LinkCache()
    cache.keep("x" * 65, {"media": "y"}, now=0.0)
    cache.keep("x", {"media": "y" * 9_000}, now=0.0)
    assert len(cache) == 0


def test_the_newest_links_are_remembered_as_far_as_they_take_eight_mebibytes():
    cache = LinkCache()
    for number in range(12_000):
        cache.keep(str(number), {"media": "x" * 1024}, now=0.0)
    assert len(cache) == 8192
    assert cache.take("11999", "media", now=0.0) == "x" * 1024
    assert cache.take("3807", "media", now=0.0) is None
    assert cache.take("3808", "media", now=0.0) is not None
