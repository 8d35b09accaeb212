"""The whole configuration as frozen values; what each means stands in `keys.py`, where each is described and bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from archiver.config.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.config.quantities import Period

_NOTHING: Mapping[str, str] = MappingProxyType({})
_DEFAULT_CATALOG = Secret("sqlite:///data/catalog.db")
_NO_SECRETS: Mapping[str, Secret] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogSettings:
    """`[catalog]`. The URL is a Secret because it may hold a password."""

    url: Secret = _DEFAULT_CATALOG
    auto_upgrade: bool = True

    @property
    def is_sqlite(self) -> bool:
        """Whether the catalog is a SQLite file: one process, one machine."""
        return self.url.reveal().startswith("sqlite:")

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file; three slashes are relative to the working directory, four are absolute. None for PostgreSQL."""
        return Path(unquote(self.url.reveal().removeprefix("sqlite:///").partition("?")[0])) if self.is_sqlite else None

    @property
    def password(self) -> Secret | None:
        """The password inside the URL, None where there is none."""
        password = urlsplit(self.url.reveal()).password
        return Secret(unquote(password)) if password else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """`[storage]`. Sizes in bytes."""

    url: str = "file:///data/archive"
    endpoint_url: str = ""
    allow_http: bool = False
    region: str = "us-east-1"
    addressing_style: str = "auto"  # auto, path, virtual
    object_lock: str = "off"  # off, governance, compliance
    i_understand_irreversible: bool = False
    late_lock: bool = False
    storage_class: str = "STANDARD"
    sse: str = ""  # "", AES256, aws:kms
    kms_key_id: str = ""
    expected_bucket_owner: str = ""
    part_size: int = 16 * 1024 * 1024
    max_object: int = 48 * 1024**3
    verify: str = "auto"  # auto, checksum, read-back

    @property
    def bucket(self) -> str:
        """The S3 bucket, empty for a local folder."""
        return urlsplit(self.url).netloc if self.url.startswith("s3:") else ""

    @property
    def prefix(self) -> str:
        """What stands before every key in the bucket, without slashes at its ends; empty for none and for a local folder."""
        return urlsplit(self.url).path.strip("/") if self.bucket else ""

    @property
    def directory(self) -> Path | None:
        """The archive folder, absolute; None for S3."""
        return None if self.bucket else Path(unquote(urlsplit(self.url).path))

    @property
    def locks(self) -> bool:
        """Whether objects are to be born locked."""
        return self.object_lock != "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """`[transfer]`. Rates in bytes per second."""

    concurrency: int = 16
    max_attempts: int = 8
    min_rate: int = 32 * 1024
    bandwidth: int | None = None  # of all transfers together; None for as fast as it goes


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """`[schedule]`."""

    verify_every: timedelta = timedelta(hours=24)
    retention_every: timedelta = timedelta(hours=24)
    seal_every: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """`[retention]`: how much one apply or release run may delete."""

    max_share: float = 0.10  # of the catalog, 0 to 1
    max_count: int = 500  # renditions


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestSettings:
    """`[attest]`."""

    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """`[web]`. Users map a name to a scrypt hash, tokens a name to a bearer token."""

    listen: str = "127.0.0.1:8080"
    public_url: str = ""
    users: Mapping[str, Secret] = field(default_factory=lambda: _NO_SECRETS)
    tokens: Mapping[str, Secret] = field(default_factory=lambda: _NO_SECRETS)

    @property
    def host(self) -> str:
        """The address to bind, without the brackets of IPv6; empty where the web page is off."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to bind; 0 is any free one."""
        return int(self.listen.rpartition(":")[2] or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One `[[source]]`. Which credentials are there depends on the provider (Telnyx: api_key; Twilio: account_sid and more)."""

    name: str
    provider: str
    base_url: str = ""  # without slash and version at its end; empty for the provider's public address
    api_key: Secret | None = None
    account_sid: str = ""
    api_key_sid: str = ""
    api_key_secret: Secret | None = None
    auth_token: Secret | None = None
    webhook_public_key: str = ""
    poll_every: timedelta = timedelta(minutes=5)
    lookback: timedelta = timedelta(hours=48)
    media_hosts: tuple[str, ...] = ()  # lower case, host or host:port
    formats: tuple[str, ...] = ("mp3",)
    delete_at_provider: timedelta | None = None  # how long after verification; None is never
    allow_unlocked_source_deletion: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """One `[[policy]]`: what matches all patterns of `match` is kept for `keep`, counted from its end."""

    name: str
    keep: Period
    match: Mapping[str, str] = field(default_factory=lambda: _NOTHING)  # source, type, room, participant, provider -> shell glob


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that is configured.

    `origins` says for each dotted key (`storage.url`, `source.telnyx-rooms.api_key`) where its value came from; `warnings` are
    sentences about settings that work and are doubtful; `path` is the file that was read, None for none.
    """

    catalog: CatalogSettings = field(default_factory=CatalogSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    transfer: TransferSettings = field(default_factory=TransferSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    attest: AttestSettings = field(default_factory=AttestSettings)
    web: WebSettings = field(default_factory=WebSettings)
    sources: tuple[SourceSettings, ...] = ()
    policies: tuple[PolicySettings, ...] = ()
    path: Path | None = None
    origins: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    warnings: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret in here, for the log's redaction."""
        of_sources = [secret for s in self.sources for secret in (s.api_key, s.api_key_secret, s.auth_token)]
        rest = [self.catalog.password, *self.web.users.values(), *self.web.tokens.values()]
        return tuple(secret for secret in (*of_sources, *rest) if secret is not None)
