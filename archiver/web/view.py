"""What the pages are made from: everything that the web part knows of the rest of the program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import timedelta

    from archiver.catalog.database import Database
    from archiver.config import Secret
    from archiver.domain.ports import Clock
    from archiver.telemetry import Metrics


class SourceFacts(Protocol):
    """A configured source, as far as it may be shown; `config.SourceSettings` is one."""

    @property
    def name(self) -> str:
        """Unique; part of every key and label."""

    @property
    def provider(self) -> str:
        """Which API is asked."""

    @property
    def poll_every(self) -> timedelta:
        """How often it is asked."""


class SignedSource(Protocol):
    """A configured source whose webhooks can be told from forged ones; `config.SourceSettings` is one."""

    @property
    def name(self) -> str:
        """Unique."""

    @property
    def provider(self) -> str:
        """Which API is asked."""

    @property
    def webhook_public_key(self) -> str:
        """Telnyx: the Ed25519 key that its webhooks are signed with, in base64; empty for none."""

    @property
    def auth_token(self) -> Secret | None:
        """Twilio: the account's token, which signs its webhooks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What webhooks need. `note` is told a source and a recording's id, an empty one for anything new in that source;
    it must return at once.
    """

    sources: Sequence[SignedSource]
    note: Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the daemon hands over.

    `problems` says why the program is not ready, one sentence each, empty when it is. `full_key` puts the storage's prefix
    before a key of the catalog. `users` maps a name to a scrypt hash (`passwords.py`), `tokens` a name to a bearer token;
    with neither, pages and API answer on loopback only. `public_url` is the address under which others reach this server.
    Without `hooks` every webhook is refused.
    """

    database: Database
    sources: Sequence[SourceFacts]
    metrics: Metrics
    clock: Clock
    problems: Callable[[], Awaitable[list[str]]]
    full_key: Callable[[str], str]
    version: str
    users: Mapping[str, Secret] = field(default_factory=dict)
    tokens: Mapping[str, Secret] = field(default_factory=dict)
    public_url: str = ""
    hooks: Hooks | None = None
