"""Which links may be followed to a media file, and for how long one is remembered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from yarl import URL

from archiver.domain.errors import ConfigurationError, UrlRefused
from archiver.providers.reach import HTTPS_PORT, Reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_URL = 8 * 1024
_PORTS = {"https": HTTPS_PORT, "http": 80}
_CHARACTERS = re.compile(r"[!-\[\]-~]+")  # printable ASCII but the backslash, which parsers read in two ways
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

FRESH_SECONDS = 60.0
MOST_CHARACTERS = 8 * 1024 * 1024  # of all links: some 10,000 of them, so that what a minute lists need not be asked for again
_LONGEST_ID = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A link that may be followed: where to, and how far its connection may reach. Its text names no query."""

    scheme: str
    host: str
    port: int
    path_query: str
    reach: Reach

    @property
    def url(self) -> URL:
        """The link byte for byte as it was signed; quoting it anew would break the signature."""
        return URL(f"{self.scheme}://{self.host}:{self.port}{self.path_query}", encoded=True)

    def __repr__(self) -> str:
        return f"<Target {self}>"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class MediaHosts:
    """The hosts that download links may lead to: the provider's own, and those of the setting `media_hosts`.

    `known` are the provider's: suffixes that count on a label boundary, each with the source that names it. Raises
    ConfigurationError for an entry of `media_hosts` that is not `host` or `host:port`.
    """

    def __init__(self, source: str, media_hosts: Iterable[str] = (), *, known: Mapping[str, str]) -> None:
        self._source = source
        self._known = tuple(known)
        self._configured = frozenset(self._entry(entry) for entry in media_hosts)

    def _entry(self, entry: str) -> tuple[str, int | None]:
        match = _HOST.fullmatch(entry)
        host = _canonical(match[1]) if match else None
        if match is None or host is None or int(match[2] or HTTPS_PORT) not in range(1, 65536):
            accepted = "accepted: a host name or IP address, with or without :port, such as 127.0.0.1:9000"
            raise ConfigurationError((f"source {self._source}: media_hosts holds {entry!r}; {accepted}",))
        return host, int(match[2]) if match[2] else None

    def target(self, link: object, *, base: Target | None = None) -> Target:
        """Where a link leads; raises UrlRefused for one that must not be followed.

        With `base` it is the Location of a redirect and may also be a path on the same origin, or scheme-relative. A fragment
        is cut off. No text of the error contains more of the link than its host.
        """
        scheme, authority, rest = self._split(link, base)
        match = _HOST.fullmatch(authority)
        host = _canonical(match[1]) if match else None
        if match is None or host is None:
            what = "with a user name in it" if "@" in authority else "whose host is no plain ASCII name or address"
            raise self._refusal(f"a link {what}")
        port = int(match[2]) if match[2] else _PORTS[scheme]
        path_query = rest if rest.startswith("/") else f"/{rest}"
        configured = (host, port) in self._configured or ((host, None) in self._configured and port == _PORTS[scheme])
        if configured:
            reach = Reach.CONFIGURED if scheme == "https" else Reach.INTERNAL
        else:
            self._check_public(scheme, host, port)
            reach = Reach.PUBLIC
        return Target(scheme=scheme, host=host, port=port, path_query=path_query, reach=reach)

    def _split(self, link: object, base: Target | None) -> tuple[str, str, str]:
        if not isinstance(link, str) or not link:
            raise self._refusal(f"a link that is {'empty' if link in ('', None) else f'a {type(link).__name__}'}")
        if len(link) > LONGEST_URL:
            raise self._refusal(f"a link of {len(link)} characters, more than {LONGEST_URL}")
        if not _CHARACTERS.fullmatch(link):
            raise self._refusal("a link with characters that no URL has")
        if base is not None and link.startswith("//"):
            link = f"{base.scheme}:{link}"
        elif base is not None and link.startswith("/"):
            link = f"{base}{link}"
        match = _PARTS.match(link)
        if match is None or match[1].lower() not in _PORTS:
            raise self._refusal("a link that is not https://")
        return match[1].lower(), match[2], match[3]

    def _check_public(self, scheme: str, host: str, port: int) -> None:
        where = f"{host}:{port}"
        hint = f'add "{where}" to media_hosts of source {self._source} if its recordings may lie there'
        if scheme != "https":
            raise self._refusal(f"a link to {where} that is not https", hint=hint)
        if port != HTTPS_PORT:
            raise self._refusal(f"a link to {where}, a port other than {HTTPS_PORT}", hint=hint)
        if not any(host == suffix or host.endswith(f".{suffix}") for suffix in self._known):
            raise self._refusal(f"a link to {host}, which is none of {', '.join(self._known)}", hint=hint)

    def _refusal(self, what: str, *, hint: str | None = None) -> UrlRefused:
        return UrlRefused(f"{self._source}: refused {what}", hint=hint)


def _canonical(host: str) -> str | None:
    """The host in the one spelling we compare and connect to; None for what only some parsers take for a host.

    `127.1`, `0x7f000001` and `2130706433` are addresses to the C library and names to others: a last label that is a number
    makes an address, and an address has exactly one spelling here.
    """
    host = host.lower()
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1]).compressed}]"
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return str(IPv4Address(host))
    except AddressValueError:
        return None
    return host if len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels) else None


class LinkCache:
    """Links of the list pages just read, in memory only, each for one use within a minute; the oldest make room for new ones."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], tuple[str, float]] = {}
        self._characters = 0

    def keep(self, recording_id: str, links: Mapping[str, str], *, now: float) -> None:
        """Remembers the link of each rendition; `now` in monotonic seconds."""
        if len(recording_id) > _LONGEST_ID:
            return
        for rendition, link in links.items():
            if len(link) > LONGEST_URL:
                continue
            self._drop((recording_id, rendition))
            self._links[recording_id, rendition] = (link, now)
            self._characters += len(link)
        while self._characters > MOST_CHARACTERS:
            self._drop(next(iter(self._links)))

    def take(self, recording_id: str, rendition: str, *, now: float) -> str | None:
        """A link seen less than a minute ago, which is forgotten by that."""
        link, seen = self._drop((recording_id, rendition))
        return link if link and now - seen <= FRESH_SECONDS else None

    def _drop(self, of: tuple[str, str]) -> tuple[str, float]:
        found = self._links.pop(of, ("", 0.0))
        self._characters -= len(found[0])
        return found

    def __len__(self) -> int:
        return len(self._links)
