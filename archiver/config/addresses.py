"""Kinds of values that say where something is: the catalog, the archive, endpoints, hosts."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from archiver.config.kinds import Kind
from archiver.config.secret import Secret
from archiver.config.values import Unacceptable, described, masked_url, plain_text, shape

if TYPE_CHECKING:
    from collections.abc import Callable

_HOST_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_BUCKET_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")
_LONGEST_PREFIX = 512  # of S3's 1024 bytes for a key; source, date, id and rendition need the rest


def is_loopback(host: str) -> bool:
    """Whether a host of a URL can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(raw: object, text: str) -> SplitResult:
    """A URL in its parts; the port is checked here because `urlsplit` only does so on demand."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise Unacceptable(shape(raw), hint="host or port of this URL cannot be understood") from None
    return parts


def _host_is_good(host: str | None) -> bool:
    if not host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None and len(host) <= 253
    return True


def read_catalog_url(raw: object) -> Secret:
    """`sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://user@host:port/database`."""
    if not isinstance(raw, str):
        raise Unacceptable(shape(raw))
    text = plain_text(raw)
    parts = _split(raw, text)
    shown = described(raw) if "://" in text else shape(raw)  # a password alone is a common mistake
    if parts.scheme == "sqlite":
        path = unquote(text.removeprefix("sqlite:///").partition("?")[0])
        if parts.netloc or not text.startswith("sqlite:///"):
            raise Unacceptable(shown, hint="sqlite: takes three slashes before a relative path, four before an absolute one")
        if path in {"", ":memory:", "/"} or path.endswith("/"):
            raise Unacceptable(shown, hint="the catalog has to be a file")
        return Secret(text)
    if parts.scheme != "postgresql":
        raise Unacceptable(shown, hint="write postgresql://" if parts.scheme.startswith("postgres") else "")
    if parts.hostname and not _host_is_good(parts.hostname):
        raise Unacceptable(shape(raw), hint="percent-encode @ : / ? # in a password")
    return Secret(text)


def catalog_url_holds_password(text: str) -> bool:
    """Whether a database URL carries a password, in its userinfo or its query."""
    userinfo, at, _ = text.partition("//")[2].rpartition("@")
    query = parse_qs(text.partition("?")[2], keep_blank_values=True)
    return bool(at and ":" in userinfo) or any("password" in name.lower() for name in query)


def catalog_url() -> Kind:
    """Where the catalog is; shown without its password."""
    return Kind(
        word="url",
        accepted="sqlite:///PATH or postgresql://USER@HOST/DATABASE",
        example='"postgresql://archiver@db.internal/archiver"',
        json={"type": "string"},
        read=read_catalog_url,
        show=lambda value: masked_url(value.reveal()) if catalog_url_holds_password(value.reveal()) else value.reveal(),
    )


def _read_storage_url(raw: object) -> str:
    text = plain_text(raw)
    parts = _split(raw, text)
    shown = described(raw)
    if parts.query or parts.fragment or parts.username is not None:
        raise Unacceptable(
            shown, hint="credentials come from boto3's chain, options are keys of [storage]; the URL holds neither"
        )
    if parts.scheme == "file":
        if parts.netloc or not text.startswith("file:///"):
            raise Unacceptable(shown, hint="file: takes three slashes and an absolute path")
        if unquote(parts.path).strip("/") == "" or ".." in unquote(parts.path).split("/"):
            raise Unacceptable(shown, hint="the archive needs a folder of its own, written without ..")
        return text
    if parts.scheme != "s3":
        raise Unacceptable(shown)
    refuse_bucket(raw, parts.netloc)
    prefix = parts.path.strip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")) or len(prefix) > _LONGEST_PREFIX):
        raise Unacceptable(
            shown,
            accepted=f"a prefix of A-Z a-z 0-9 . _ - and single slashes, at most {_LONGEST_PREFIX} characters",
        )
    return text.rstrip("/")


def refuse_bucket(raw: object, name: str) -> None:
    """Raises Unacceptable for a name that S3 would not take as a bucket's."""
    fits = _BUCKET.fullmatch(name) and ".." not in name and not re.fullmatch(r"[0-9]+(\.[0-9]+){3}", name)
    reserved = name.startswith(_BUCKET_PREFIXES) or name.endswith(_BUCKET_SUFFIXES)
    if not fits or reserved:
        raise Unacceptable(
            described(raw),
            accepted="a bucket name of 3 to 63 characters a-z 0-9 . - that begins and ends with a letter or digit, "
            "is no IP address and is not reserved by S3",
        )


def storage_url() -> Kind:
    """Where the archive is."""
    return Kind(
        word="url",
        accepted="file:///ABSOLUTE/FOLDER or s3://BUCKET/PREFIX",
        example='"s3://my-recordings/archive"',
        json={"type": "string"},
        read=_read_storage_url,
    )


def _read_web_url(raw: object, *, with_path: bool) -> str:
    text = plain_text(raw).rstrip("/")
    if not text:
        return ""
    parts = _split(raw, text)
    shown = described(raw)
    if parts.scheme not in {"http", "https"}:
        raise Unacceptable(shown)
    if parts.username is not None or parts.query or parts.fragment:
        raise Unacceptable(shown, hint="no user, password, query or fragment belongs into this URL")
    if not _host_is_good(parts.hostname):
        raise Unacceptable(shown, hint="write an international host name in its xn-- form")
    if parts.path and not with_path:
        raise Unacceptable(shown, hint="no path belongs into this URL; a key prefix goes into storage.url")
    if not re.fullmatch(r"[\x21-\x7e]*", parts.path):
        raise Unacceptable(shown)
    return text


def endpoint_url() -> Kind:
    """Scheme, host and port only, empty for the service's own."""
    return Kind(
        word="url",
        accepted='https://HOST[:PORT], http:// only to this machine, or ""',
        example='"https://minio.internal:9000"',
        json={"type": "string"},
        read=lambda raw: _read_web_url(raw, with_path=False),
    )


def base_url(*, cut_version: bool) -> Kind:
    """A URL that others are built upon. `cut_version`: a trailing /v1 or /v2 is tolerated and cut."""

    def read(raw: object) -> str:
        text = _read_web_url(raw, with_path=True)
        return re.sub(r"/v[12]$", "", text) if cut_version else text

    return Kind(
        word="url",
        accepted='https://HOST[:PORT][/PATH], http:// only to this machine, or ""',
        example='"https://api.telnyx.com"',
        json={"type": "string"},
        read=read,
    )


def _host_and_port(raw: object, text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[ipv6]` or `[ipv6]:port`; raises Unacceptable."""
    match = re.fullmatch(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/@?#\s*]+)(?::(?P<port>[0-9]{1,5}))?", text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or not _host_is_good(match["host"].strip("[]").lower()) or (port or 0) > 65535:
        raise Unacceptable(described(raw))
    return match["host"].lower(), port


def _kind_of_address(accepted: str, example: str, read: Callable[[object], str]) -> Kind:
    return Kind(word="address", accepted=accepted, example=f'"{example}"', json={"type": "string"}, read=read)


def listen() -> Kind:
    """Where to listen, empty for nowhere; port 0 is any free one."""

    def read(raw: object) -> str:
        text = plain_text(raw)
        if not text:
            return ""
        if text.startswith(":"):
            raise Unacceptable(described(raw), hint="the host is missing; 127.0.0.1 is this machine only")
        host, port = _host_and_port(raw, text)
        if port is None:
            raise Unacceptable(described(raw), hint="the port is missing")
        return f"{host}:{port}"

    return _kind_of_address('HOST:PORT, or "" for off', "127.0.0.1:8080", read)


def media_host() -> Kind:
    """One more host that links to media may name; no wildcard, so that a list can be read and understood."""

    def read(raw: object) -> str:
        host, port = _host_and_port(raw, plain_text(raw))
        if port == 0:
            raise Unacceptable(described(raw))
        return host if port is None else f"{host}:{port}"

    return _kind_of_address("HOST or HOST:PORT without scheme, path or wildcard", "media.example.com:8443", read)
