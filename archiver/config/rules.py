"""What holds between settings: each rule looks at values that are good by themselves and says what does not go together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from archiver.config.addresses import is_loopback
from archiver.config.providers import CREDENTIALS, takes
from archiver.config.quantities import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from archiver.config.settings import PolicySettings, SourceSettings, StorageSettings

MOST_PARTS = 10_000  # of one multipart upload, https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
SHORTEST_COOL_OFF = timedelta(hours=1)
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html, x-amz-storage-class
AWS_STORAGE_CLASSES = (
    "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "OUTPOSTS",
    "GLACIER_IR", "SNOW", "EXPRESS_ONEZONE",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Two settings that do not go together: told at `key`, and only while the keys in `besides` are good themselves."""

    key: str
    found: str
    accepted: str
    hint: str = ""
    besides: tuple[str, ...] = ()


def storage_complaints(storage: StorageSettings) -> Iterator[Complaint]:
    """What does not go together in `[storage]`."""
    most = storage.part_size * MOST_PARTS
    if storage.max_object > most:
        needed = -(-storage.max_object // MOST_PARTS)
        yield Complaint(
            key="part_size",
            found=f"{format_size(storage.part_size)}, which limits an object to {most:,} bytes in {MOST_PARTS:,} parts",
            accepted=f"at least {format_size(-(-needed // 2**20) * 2**20)} for max_object = {format_size(storage.max_object)}",
            besides=("max_object",),
        )
    endpoint = urlsplit(storage.endpoint_url)
    if endpoint.scheme == "http" and not is_loopback(endpoint.hostname or "") and not storage.allow_http:
        yield Complaint(
            key="endpoint_url",
            found="http:// to another machine",
            accepted="https://, or http:// to 127.0.0.1, [::1] or localhost",
            hint="allow_http = true lets recordings travel unencrypted",
            besides=("allow_http",),
        )
    if storage.object_lock == "compliance" and not storage.i_understand_irreversible:
        yield Complaint(
            key="object_lock",
            found='"compliance", under which nobody can delete an object or shorten its lock',
            accepted='"compliance" together with i_understand_irreversible = true',
            hint='"governance" can be undone by those who hold the permission',
            besides=("i_understand_irreversible",),
        )
    if storage.kms_key_id and storage.sse != "aws:kms":
        yield Complaint(
            key="kms_key_id",
            found=f'a key while sse is "{storage.sse}"',
            accepted='a key only with sse = "aws:kms"',
            besides=("sse",),
        )
    if not storage.endpoint_url and storage.bucket and storage.storage_class not in AWS_STORAGE_CLASSES:
        yield Complaint(
            key="storage_class",
            found=f'"{storage.storage_class}"',
            accepted=" | ".join(AWS_STORAGE_CLASSES),
            besides=("endpoint_url", "url"),
        )


def source_complaints(source: SourceSettings) -> Iterator[Complaint]:
    """What does not go together in one source."""
    base = urlsplit(source.base_url)
    if base.scheme == "http" and not is_loopback(base.hostname or ""):
        yield Complaint(
            key="base_url",
            found="http:// to another machine, which would send credentials readable",
            accepted="https://, or http:// to 127.0.0.1, [::1] or localhost",
        )
    if not source.formats:
        yield Complaint(key="formats", found="an empty list", accepted='at least one of "mp3" and "wav"')
    yield from _credential_complaints(source)


def _credential_complaints(source: SourceSettings) -> Iterator[Complaint]:
    for credential in CREDENTIALS:
        if getattr(source, credential) and not takes(source.provider, credential):
            yield Complaint(
                key=credential,
                found="a value",
                accepted=f"nothing, {source.provider} has no use for it",
                besides=("provider",),
            )
    if source.provider in {"telnyx-rooms", "telnyx-calls"} and not source.api_key:
        yield Complaint(
            key="api_key",
            found="nothing",
            accepted=f"an API key, which {source.provider} needs",
            hint='api_key_file = "/run/secrets/telnyx" reads it from a file',
            besides=("provider",),
        )
    if source.provider == "twilio-video":
        yield from _twilio_complaints(source)


def _twilio_complaints(source: SourceSettings) -> Iterator[Complaint]:
    if not source.account_sid:
        yield Complaint(
            key="account_sid", found="nothing", accepted="the account's SID, AC and 32 hexadecimal digits", besides=("provider",)
        )
    if bool(source.api_key_sid) != bool(source.api_key_secret):
        missing, there = ("api_key_secret", "api_key_sid") if source.api_key_sid else ("api_key_sid", "api_key_secret")
        yield Complaint(
            key=missing,
            found="nothing",
            accepted=f"a value, because {there} is given",
            besides=("provider", "api_key_sid", "api_key_secret"),
        )
    elif not source.api_key_sid and not source.auth_token:
        yield Complaint(
            key="auth_token",
            found="nothing",
            accepted="api_key_sid with api_key_secret, or auth_token",
            hint='auth_token_file = "/run/secrets/twilio" reads it from a file',
            besides=("provider", "api_key_sid", "api_key_secret"),
        )


def coverage_complaints(
    source: SourceSettings, storage: StorageSettings, policies: Sequence[PolicySettings]
) -> Iterator[Complaint]:
    """What no policy matches is kept for ever; a lock for ever that nobody can undo must not come of a missing line."""
    if storage.object_lock == "compliance" and storage.i_understand_irreversible and not covered(source, policies):
        yield Complaint(
            key="name",
            found=f'"{source.name}", of which no policy matches every recording, while storage.object_lock is "compliance"',
            accepted=f'a last policy that does, e.g. match = {{ source = "{source.name}" }} with keep = "7y"',
            hint='keep = "100y" says that nobody may ever delete them',
            besides=("provider",),
        )


def covered(source: SourceSettings, policies: Sequence[PolicySettings]) -> bool:
    """Whether every recording of a source has a policy, whatever its room, participant or type."""
    mine = {"source": source.name, "provider": source.provider}
    return any(
        all(fnmatchcase(mine[key], glob) if key in mine else glob == "*" for key, glob in policy.match.items())
        for policy in policies
    )


def deletion_complaints(source: SourceSettings, storage: StorageSettings) -> Iterator[Complaint]:
    """Deletion at the provider is the one thing that cannot be made good: it needs a lock here and time to notice a mistake."""
    if source.delete_at_provider is None or source.allow_unlocked_source_deletion:
        return
    shown = f"after:{format_duration(source.delete_at_provider)}"
    if not storage.locks:
        yield Complaint(
            key="delete_at_provider",
            found=f'"{shown}" while storage.object_lock is "off"',
            accepted='"never", or storage.object_lock = "governance" or "compliance"',
            hint="allow_unlocked_source_deletion = true accepts that the only copy can be deleted",
            besides=("allow_unlocked_source_deletion",),
        )
    elif source.delete_at_provider < SHORTEST_COOL_OFF:
        yield Complaint(
            key="delete_at_provider",
            found=f'"{shown}"',
            accepted='"after:1h" and longer',
            hint="allow_unlocked_source_deletion = true lifts this limit too",
            besides=("allow_unlocked_source_deletion",),
        )


def account(source: SourceSettings) -> tuple[str, str, str] | None:
    """What two sources must not share: the same account seen through the same API. None where it is not known."""
    if source.account_sid:
        return source.provider, source.base_url, source.account_sid.lower()
    return (source.provider, source.base_url, source.api_key.reveal()) if source.api_key else None
