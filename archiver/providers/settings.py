"""What a provider is opened with: the settings of one source, without a trace of where they came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from archiver.providers.ranges import LARGE

# Called once for each request to the API with the name of the endpoint and the status, "timeout" or "error".
Observe = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a source authenticates with; a provider takes what it needs and ignores the rest. Secrets stay out of the repr.

    Telnyx: `api_key`. Twilio: `username` and `password` (an API key's SID and its secret), or `account_sid` and `password`
    (the account's auth token) with `username` left empty.
    """

    api_key: str = field(default="", repr=False)
    account_sid: str = ""
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never appear in a text."""
        return tuple(secret for secret in (self.api_key, self.password) if secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """One configured source.

    `base_url` "" means the provider's public address. `media_hosts` are `host` or `host:port` that download links may lead to
    besides the provider's own; the only way to allow a private address. `formats` are the renditions wanted where a provider
    offers several. `min_rate` is the floor of a download in bytes a second, 0 for none. `ranges_from` is how many bytes have
    to be still to come for further connections to be offered. `ca_bundle` is a PEM file used instead of the system's
    certificate authorities.
    """

    name: str
    base_url: str = ""
    media_hosts: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("mp3",)
    min_rate: float = 32 * 1024
    ranges_from: int = LARGE
    credentials: Credentials = field(default_factory=Credentials)
    ca_bundle: str = ""
