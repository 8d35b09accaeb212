"""Which addresses a connection may be opened to; decided when the socket is made, so that no DNS answer can get round it.

A resolver is never asked about an address literal, and a name may resolve to something else the second time; the socket
factory of a connector sees what is really connected to (reliability.md F5, S1).
"""

from __future__ import annotations

import enum
import functools
import ipaddress
import socket
import ssl
from typing import TYPE_CHECKING

import aiohttp

from archiver.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.abc import AbstractResolver

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]

HTTPS_PORT = 443
CONNECT_SECONDS = 10.0
STALL_SECONDS = 60.0  # without a byte
HEADER_SECONDS = 90.0  # from the call to the last header: one byte a minute must not hold a worker


class Reach(enum.Enum):
    """Where the connections of one session may lead."""

    PUBLIC = "public"  # links that a provider gave: public addresses, port 443
    LOOPBACK = "loopback"  # an http:// address of an API
    INTERNAL = "internal"  # an http:// link to a host of `media_hosts`: loopback, private, carrier-grade NAT, unique local
    CONFIGURED = "configured"  # https:// to what the configuration names: public or internal


# IANA special-purpose registries (IPv4), with 6to4's relay and class E; `is_global` of Python 3.11 lacks several.
_SPECIAL_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Only 2000::/3 is global unicast: that alone refuses mapped, compatible, NAT64, unique local, link- and site-local and multicast.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address
        "2620:4f:8000::/48",
        "3ffe::/16",
        "3fff::/20",
    )
)
_INTERNAL = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")
)


class ForbiddenAddress(OSError):
    """A connection that must not be opened; an OSError because the happy-eyeballs race swallows every other kind."""


FORBIDDEN = "address refused"


def is_public(address: Address) -> bool:
    """Whether an address is an ordinary host of the internet."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.scope_id is None and address in _GLOBAL_V6 and not any(address in network for network in _SPECIAL_V6)
    return not any(address in network for network in _SPECIAL_V4)


def _is_internal(address: Address) -> bool:
    return any(address in network for network in _INTERNAL)


def problem(host: str, port: int, reach: Reach) -> str | None:
    """Why no connection may be opened to this address; None where one may."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{host!r} is not an IP address"
    allowed = {
        Reach.PUBLIC: is_public(address) and port == HTTPS_PORT,
        Reach.LOOPBACK: address.is_loopback and _is_internal(address),
        Reach.INTERNAL: _is_internal(address),
        Reach.CONFIGURED: is_public(address) or _is_internal(address),
    }[reach]
    return None if allowed else f"{address} port {port} is not {reach.value}"


def socket_factory(reach: Reach) -> Callable[[AddrInfo], socket.socket]:
    """Makes sockets for allowed addresses; raises ForbiddenAddress for the others."""

    def make(info: AddrInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if family not in {socket.AF_INET, socket.AF_INET6} or problem(address[0], address[1], reach) is not None:
            # One wording for every address: a race over several raises the common text, or one that contains it.
            raise ForbiddenAddress(FORBIDDEN)
        return socket.socket(family, kind, protocol)

    return make


@functools.lru_cache(maxsize=8)
def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Verifying TLS 1.2 or newer, with no switch to turn it off; raises ConfigurationError for a bundle that cannot be read."""
    try:
        context = ssl.create_default_context(cafile=ca_bundle or None)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigurationError(
            (f"ca_bundle {ca_bundle!r} cannot be used: {why}; accepted: a file of PEM certificates",)
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def open_session(reach: Reach, *, ca_bundle: str, limit: int, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """A session that keeps no cookies, reads no environment, has no credentials and decompresses nothing; `limit` 0 is none.

    To be called where an event loop runs. Redirects are switched off at each request, aiohttp has no switch for a session.
    """
    connector = aiohttp.TCPConnector(
        ssl=tls_context(ca_bundle), limit=limit, socket_factory=socket_factory(reach), resolver=resolver, ttl_dns_cache=10
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": "recording-archiver", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS),
    )


def was_forbidden(error: BaseException) -> bool:
    """Whether a failed request failed because its address was refused."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(cause, ForbiddenAddress) or FORBIDDEN in str(cause)


def words(error: BaseException) -> str:
    """What went wrong on the way, without a URL in it: the texts of aiohttp's own errors carry whole URLs (F6)."""
    if was_forbidden(error):
        return "the host's address is not one that connections may be opened to"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "certificate verify failed"
        return f"TLS certificate not accepted: {reason}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"TLS failed: {getattr(error.os_error, 'reason', None) or 'handshake'}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name does not resolve"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before an answer came"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the body broke off"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is not HTTP as it should be"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if len(error.strerror) < 100 else type(error).__name__
    return type(error).__name__
