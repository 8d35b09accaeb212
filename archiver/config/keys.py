"""Every key there is: its kind, default and meaning, in the order in which people read them.

This table is the one place that knows them; reading, `config show`, `config schema` and the tests of the example file walk it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.config import password_hash
from archiver.config.addresses import base_url, catalog_url, endpoint_url, listen, media_host, storage_url
from archiver.config.kinds import choice, path, secret, secret_table, share, switch, table, text, whole, words
from archiver.config.measures import duration, period, provider_deletion, size
from archiver.config.providers import provider

if TYPE_CHECKING:
    from archiver.config.kinds import Kind

NAME = r"[a-z0-9-]{1,40}"
MATCHES = ("source", "type", "room", "participant", "provider")
_SHORTEST = timedelta(milliseconds=10)
_DAY = timedelta(days=1)
_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key. `default` is as TOML gives it, None for one that has none; `required` ones have to be given.

    `twin`: it may be given as `<name>_file`, a path, instead.
    """

    name: str
    kind: Kind
    default: object
    says: str
    twin: bool = False
    required: bool = False


def _key(name: str, kind: Kind, default: object, says: str, *, twin: bool = False, required: bool = False) -> Key:
    return Key(name=name, kind=kind, default=default, says=says, twin=twin, required=required)


_CATALOG = (
    _key(
        "url",
        catalog_url(),
        "sqlite:///data/catalog.db",
        "Where the catalog is. For SQLite three slashes are relative to the working directory, four absolute. "
        "A password goes into url_file, PGPASSWORD or a passfile, never on the command line.",
        twin=True,
    ),
    _key("auto_upgrade", switch(), True, "run, sync and backfill migrate the catalog at start, one process at a time."),
)

_STORAGE = (
    _key("url", storage_url(), "file:///data/archive", "Where the archive is."),
    _key("endpoint_url", endpoint_url(), "", "Address of an S3-compatible service; empty for AWS."),
    _key(
        "allow_http", switch(), False, "Allow an endpoint_url with http:// beyond this machine: recordings then travel readable."
    ),
    _key("region", text(r"[A-Za-z0-9-]{1,40}", "a region's name", "eu-central-1"), "us-east-1", "Region of the bucket."),
    _key(
        "addressing_style",
        choice("auto", "path", "virtual"),
        "auto",
        "Whether the bucket stands in the path or in the host name.",
    ),
    _key(
        "object_lock",
        choice("off", "governance", "compliance"),
        "off",
        "Lock every object from its creation until its policy ends.",
    ),
    _key(
        "i_understand_irreversible",
        switch(),
        False,
        "Needed for compliance: nobody, not even the account's owner, can delete a locked object before its time.",
    ),
    _key(
        "late_lock",
        switch(),
        False,
        "Lock right after creation where an endpoint ignores lock headers; reported as degraded on every run.",
    ),
    _key(
        "storage_class",
        text(r"[A-Z0-9_-]{1,64}", "a storage class", "STANDARD_IA"),
        "STANDARD",
        "Storage class of media objects.",
    ),
    _key("sse", choice("", "AES256", "aws:kms"), "", "Server-side encryption; empty leaves it to the bucket."),
    _key(
        "kms_key_id",
        text(r"[A-Za-z0-9:/_-]{0,2048}", "the id or ARN of a KMS key", "alias/recordings"),
        "",
        "Key for sse = aws:kms; empty for the account's own.",
    ),
    _key(
        "expected_bucket_owner",
        text(r"([0-9]{12})?", "the 12 digits of an AWS account, as text", "123456789012"),
        "",
        "Refuse a bucket that belongs to another account.",
    ),
    _key("part_size", size(5 * 1024**2, 5 * _GIB, "16MiB"), "16MiB", "Size of a part; smaller media goes up in one request."),
    _key(
        "max_object",
        size(1, 50_000 * _GIB, "48GiB"),
        "48GiB",
        "The largest recording you expect; an object has at most 10,000 parts, so part_size times 10,000 has to reach it.",
    ),
    _key(
        "verify",
        choice("auto", "checksum", "read-back"),
        "auto",
        "How stored bytes are proved: by checksums that the endpoint enforces or by reading them back; auto probes for it.",
    ),
)

_TRANSFER = (
    _key("concurrency", whole(1, 1024, 16), 16, "Transfers at once in one process."),
    _key("max_attempts", whole(1, 1000, 8), 8, "Attempts before a rendition is set aside as failed."),
    _key(
        "min_rate",
        size(1, _GIB, "32KiB"),
        "32KiB",
        "Bytes per second, averaged over two minutes; below it a transfer is given up and retried.",
    ),
    _key("bandwidth", size(1024, 1024 * _GIB, "50MiB", optional=True), "", "Bytes per second of all transfers together."),
)

_SCHEDULE = (
    _key("verify_every", duration(_SHORTEST, 366 * _DAY, "24h"), "24h", "How often a share of the archive is checked."),
    _key("retention_every", duration(_SHORTEST, 366 * _DAY, "24h"), "24h", "How often retention is applied."),
    _key("seal_every", duration(_SHORTEST, _DAY, "5m"), "5m", "How long a piece of history may stay unsealed."),
)

_RETENTION = (
    _key("max_share", share(), 0.10, "One apply or release run may delete at most this share of the catalog."),
    _key(
        "max_count",
        whole(0, 10**9, 500),
        500,
        "One such run may delete at most this many renditions; more needs --max-count on the command.",
    ),
)

_ATTEST = (_key("key_file", path(), "", "Ed25519 private key, made by `archiver attest key`."),)

_WEB = (
    _key("listen", listen(), "127.0.0.1:8080", "Where dashboard, API, metrics and webhooks are served; empty switches them off."),
    _key(
        "public_url",
        base_url(cut_version=False),
        "",
        "The address under which others reach this server; without it, webhooks of Twilio, which sign it, are refused.",
    ),
    _key(
        "users",
        secret_table(secret(f"a hash {password_hash.ACCEPTED}", check=password_hash.parse_hash)),
        {},
        "Who may log in: name = scrypt hash, or name_file = path of a file that holds it; `archiver config password` makes one.",
    ),
    _key(
        "tokens",
        secret_table(secret("a token of at least 16 characters", r"[\x21-\x7e]{16,}")),
        {},
        "Bearer tokens for the API: name = token, or name_file = path of a file that holds it.",
    ),
)

SECTIONS = {
    "catalog": _CATALOG,
    "storage": _STORAGE,
    "transfer": _TRANSFER,
    "schedule": _SCHEDULE,
    "retention": _RETENTION,
    "attest": _ATTEST,
    "web": _WEB,
}


def _sid(start: str, what: str) -> Kind:
    return text(
        rf"({start}[0-9A-Fa-f]{{32}})?", f"{what}: {start} and 32 hexadecimal digits", start + "0123456789abcdef" * 2, shy=True
    )


SOURCE = (
    _key("name", text(NAME, "1 to 40 of a-z 0-9 -", "telnyx-rooms"), None, "Unique; part of every key and label.", required=True),
    _key("provider", provider(), None, "Which API is asked.", required=True),
    _key(
        "base_url",
        base_url(cut_version=True),
        "",
        "The API's address without version; empty for the provider's public one.",
    ),
    _key("api_key", secret(), None, "Telnyx: the API key (v2).", twin=True),
    _key("account_sid", _sid("AC", "an account's SID"), "", "Twilio: the account."),
    _key("api_key_sid", _sid("SK", "an API key's SID"), "", "Twilio: an API key, better than the account's token."),
    _key("api_key_secret", secret(), None, "Twilio: that key's secret.", twin=True),
    _key("auth_token", secret(), None, "Twilio: the account's token; checks the signature of webhooks, too.", twin=True),
    _key(
        "webhook_public_key",
        text(r"([A-Za-z0-9+/]{43}=)?", "an Ed25519 public key in base64, 44 characters", "A" * 43 + "="),
        "",
        "Telnyx: checks the signature of webhooks; the portal shows it.",
    ),
    _key("poll_every", duration(_SHORTEST, 7 * _DAY, "5m"), "5m", "How often the provider is asked for what is new."),
    _key(
        "lookback",
        duration(_SHORTEST, 30 * _DAY, "48h"),
        "48h",
        "Overlap of every window, and how far the very first poll looks back; older recordings need a backfill.",
    ),
    _key(
        "media_hosts",
        words(media_host(), '["media.example.com"]'),
        [],
        "More hosts that download links may name; the only way to allow a private address.",
    ),
    _key(
        "formats",
        words(choice("mp3", "wav"), '["mp3", "wav"]'),
        ["mp3"],
        "telnyx-calls: the wanted renditions. Where none of them exists, what exists is archived and flagged.",
    ),
    _key(
        "delete_at_provider",
        provider_deletion(_SHORTEST, 3650 * _DAY),
        "never",
        "Delete at the provider this long after a recording was verified here.",
    ),
    _key(
        "allow_unlocked_source_deletion",
        switch(),
        False,
        "Allow delete_at_provider without object_lock, or sooner than an hour.",
    ),
)

POLICY = (
    _key("name", text(NAME, "1 to 40 of a-z 0-9 -", "calls-7y"), None, "Unique; named in plans and history.", required=True),
    _key(
        "match",
        table(text(r".{1,256}", "a shell glob", "support-*"), '{ source = "telnyx-calls" }', MATCHES),
        {},
        "What it applies to: all patterns have to match. The first policy that matches wins.",
    ),
    _key("keep", period(100), None, "How long, from the recording's end; years are calendar years.", required=True),
)

GROUPS = {**SECTIONS, "source": SOURCE, "policy": POLICY}
