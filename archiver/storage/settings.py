"""What an S3 store has to be told; the composition root maps the configuration onto it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from archiver.domain.errors import ConfigurationError
from archiver.storage.keys import key_problem

_STYLES = ("auto", "path", "virtual")
_LOCKS = ("off", "governance", "compliance")
MIN_PART = 5 * 1024 * 1024  # bytes; S3 refuses smaller parts except the last
MAX_PART = 5 * 1024**3  # bytes; S3's limit for one part and for one put


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """One bucket and prefix, and how to talk to it.

    `endpoint_url` is "" for AWS. `part_size` is in bytes, 5 MiB to 5 GiB. `object_lock` says whether the probe has to find out
    about locks. `ca_bundle` is the path of a PEM file, "" for the system's own. Raises ConfigurationError with every problem.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = "us-east-1"
    addressing_style: str = "auto"
    object_lock: str = "off"
    storage_class: str = "STANDARD"
    sse: str = ""
    kms_key_id: str = ""
    expected_bucket_owner: str = ""
    part_size: int = 16 * 1024 * 1024
    allow_http: bool = False
    ca_bundle: str = ""

    def __post_init__(self) -> None:
        """Refuses what would be dangerous or could never work."""
        if problems := tuple(_problems(self)):
            raise ConfigurationError(problems)

    @property
    def virtual(self) -> bool:
        """Whether the bucket stands in the host name and not in the path.

        `auto`: on AWS, unless the name has dots, which no wildcard certificate covers; never on endpoints of one's own, which
        often answer under one name only.
        """
        if self.addressing_style == "auto":
            return not self.endpoint_url and "." not in self.bucket
        return self.addressing_style == "virtual"


def _problems(settings: S3Settings) -> list[str]:
    found = []
    if not settings.bucket or "/" in settings.bucket or key_problem(settings.bucket):
        found.append(f"storage.url: bucket {settings.bucket!r} is not a bucket name")
    if settings.prefix and (problem := key_problem(settings.prefix)):
        found.append(f"storage.url: prefix {settings.prefix!r}: {problem}")
    if settings.addressing_style not in _STYLES:
        found.append(f"storage.addressing_style: {settings.addressing_style!r} (accepted: {', '.join(_STYLES)})")
    if settings.object_lock not in _LOCKS:
        found.append(f"storage.object_lock: {settings.object_lock!r} (accepted: {', '.join(_LOCKS)})")
    if not MIN_PART <= settings.part_size <= MAX_PART:
        found.append(f"storage.part_size: {settings.part_size} bytes (accepted: {MIN_PART} to {MAX_PART})")
    if settings.endpoint_url and (problem := _endpoint_problem(settings)):
        found.append(f"storage.endpoint_url: {settings.endpoint_url!r}: {problem}")
    return found


def _endpoint_problem(settings: S3Settings) -> str | None:
    parts = urlsplit(settings.endpoint_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "not an http(s) address"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "credentials, query and fragment have no place here"
    if parts.scheme == "http" and not settings.allow_http and not _loopback(parts.hostname):
        return "plain http to another machine; hint: use https, or set storage.allow_http = true"
    return None


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
