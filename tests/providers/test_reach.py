"""Addresses: only ordinary hosts of the internet for links of strangers, and no more than configured for the rest."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain.errors import ConfigurationError
from archiver.providers.reach import ForbiddenAddress, Reach, is_public, problem, socket_factory, tls_context

NOT_PUBLIC = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.170", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::1", "3ffe::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1",
    "2606:4700::1%eth0",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "3.5.0.9", "52.216.0.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a05:d018::1", "2600:1f18::1")


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_no_ordinary_host_is_refused(address):
    assert problem(address, 443, Reach.PUBLIC) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_let_through_on_port_443_only(address):
    assert problem(address, 443, Reach.PUBLIC) is None
    assert all(problem(address, port, Reach.PUBLIC) for port in (80, 8443, 22, 0))


@given(st.ip_addresses())
def test_what_python_calls_special_is_never_public(address):
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_link_local or address.is_unspecified:
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_way_of_carrying_an_ipv4_address_in_an_ipv6_one_is_public(address):
    number = int(address)
    for carrier in (number, 0xFFFF << 32 | number, 0xFFFF << 48 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert not is_public(ipaddress.IPv6Address(carrier))


@pytest.mark.parametrize("reach", Reach)
def test_metadata_and_multicast_and_unspecified_addresses_are_refused_to_everybody(reach):
    for address in (
        "169.254.169.254",
        "fd00:ec2::254%1",
        "224.0.0.1",
        "0.0.0.0",
        "fe80::1",
        "::",
        "::ffff:10.0.0.1",
        "not an address",
    ):
        if not (reach in {Reach.INTERNAL, Reach.CONFIGURED} and address.startswith("fd00")):
            assert problem(address, 443, reach) is not None, address


def test_plain_http_to_an_api_reaches_this_machine_and_nothing_else():
    assert problem("127.0.0.1", 8080, Reach.LOOPBACK) is None
    assert problem("::1", 8080, Reach.LOOPBACK) is None
    assert problem("10.0.0.1", 8080, Reach.LOOPBACK)
    assert problem("8.8.8.8", 80, Reach.LOOPBACK)


def test_plain_http_to_a_configured_media_host_stays_inside():
    assert problem("10.0.0.1", 9000, Reach.INTERNAL) is None
    assert problem("fd12::1", 9000, Reach.INTERNAL) is None
    assert problem("52.216.0.1", 80, Reach.INTERNAL)


def test_the_socket_is_not_even_made_for_a_forbidden_address():
    make = socket_factory(Reach.PUBLIC)
    with pytest.raises(ForbiddenAddress):
        make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443)))
    with pytest.raises(ForbiddenAddress):
        make((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", "/run/docker.sock"))
    make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 443))).close()


def test_tls_is_verified_and_at_least_1_2():
    import ssl

    context = tls_context("")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_bundle_that_cannot_be_read_is_named(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (str(tmp_path / "absent.pem"), str(empty)):
        with pytest.raises(ConfigurationError, match=r"ca_bundle .*\.pem.*PEM"):
            tls_context(path)
