"""Which Host headers belong to this server; any other is a page elsewhere that points its name at us (DNS rebinding)."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9._-]{0,252}))(?::[0-9]{1,5})?")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def host_of(header: str) -> str | None:
    """The host in a Host header, lower case, without port and brackets; None where it is not one."""
    found = _HOST.fullmatch(header.lower())
    return found[1].strip("[]").removesuffix(".") if found else None


def names(*, listen: str, public_url: str) -> frozenset[str]:
    """The names this server answers to: loopback's, its listening address and the host of its public URL."""
    public = (urlsplit(public_url).hostname or "").lower().removesuffix(".")
    return LOOPBACK | {name for name in (listen.lower().strip("[]"), public) if name}


def is_ours(host: str, *, ours: frozenset[str], reached: str) -> bool:
    """Whether a request for `host` that came in at the local address `reached` means us.

    An address instead of a name cannot be rebound, so where we listen on all addresses, the one reached is ours.
    """
    return host in ours or _address(host) in {_address(name) for name in (*ours, reached)} - {None}


def _address(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
