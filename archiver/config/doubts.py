"""Settings that work and should not stay unnoticed; told at every start."""

from __future__ import annotations

from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from archiver.config.addresses import catalog_url_holds_password, is_loopback
from archiver.config.quantities import format_duration
from archiver.config.rules import covered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from archiver.config.settings import PolicySettings, Settings, SourceSettings, StorageSettings, WebSettings

_SAFE_LOOKBACK = timedelta(hours=24)  # filters by whole dates, in a zone nobody documents (reliability I2)
_FROZEN_CLASSES = {"GLACIER", "DEEP_ARCHIVE"}


def doubts(settings: Settings, *, file_exposed: bool) -> tuple[str, ...]:
    """One sentence for each, naming the key."""
    return (
        *_about_files(settings, file_exposed=file_exposed),
        *_about_storage(settings.storage),
        *_about_web(settings.web),
        *(doubt for source in settings.sources for doubt in _about_source(source, settings)),
        *(doubt for policy in settings.policies for doubt in _about_policy(policy, settings)),
    )


def _about_files(settings: Settings, *, file_exposed: bool) -> Iterator[str]:
    secrets = (settings.catalog.url, *settings.secrets)
    for file in dict.fromkeys(secret.file for secret in secrets if secret.exposed):
        yield f"{file} holds a secret and everybody on this machine may read it; hint: chmod o-r {file}"
    if file_exposed and _file_holds_secret(settings):
        yield f"{settings.path} holds a secret and everybody on this machine may read it; hint: chmod o-r, or use the _file keys"
    key_file = settings.attest.key_file
    if key_file and not key_file.is_file():
        yield f"attest.key_file: {key_file} is not there; `archiver attest key -o {key_file}` makes it"


def _file_holds_secret(settings: Settings) -> bool:
    """Whether a secret stands in the configuration file itself."""
    here = {dotted for dotted, origin in settings.origins.items() if origin == str(settings.path)}
    for source in settings.sources:
        start = f"source.{source.name}"
        if any(f"{start}.{key}" in here for key in ("api_key", "api_key_secret", "auth_token")):
            return True
    if any(secret.file is None for secret in settings.web.tokens.values()) and "web.tokens" in here:
        return True
    return "catalog.url" in here and catalog_url_holds_password(settings.catalog.url.reveal())


def _about_storage(storage: StorageSettings) -> Iterator[str]:
    if storage.late_lock:
        yield "storage.late_lock: objects are unlocked for a moment after their creation; every run is reported as degraded"
    if storage.locks and not storage.bucket:
        yield "storage.object_lock: a file system cannot enforce a lock; whoever may write the folder may delete recordings"
    if storage.storage_class in _FROZEN_CLASSES:
        yield f"storage.storage_class: {storage.storage_class} takes hours to read back; verify and evidence will have to wait"
    endpoint = urlsplit(storage.endpoint_url)
    if endpoint.scheme == "http" and not is_loopback(endpoint.hostname or ""):
        yield "storage.allow_http: recordings travel unencrypted to the endpoint"


def _about_web(web: WebSettings) -> Iterator[str]:
    if web.listen and not is_loopback(web.host) and not web.users and not web.tokens:
        yield f"web.listen: {web.listen} can be reached from other machines and neither web.users nor web.tokens is set"


def _about_source(source: SourceSettings, settings: Settings) -> Iterator[str]:
    start = f"source.{source.name}"
    if source.delete_at_provider is not None and source.allow_unlocked_source_deletion:
        when, lock = format_duration(source.delete_at_provider), "locked" if settings.storage.locks else "unlocked"
        yield f"{start}.delete_at_provider: deletes at the provider {when} after verification while the copy here is {lock}"
    if settings.storage.object_lock == "governance" and not covered(source, settings.policies):
        yield f"{start}: no policy matches every recording of it; what none matches is kept for ever and locked for 100 years"
    if source.lookback < _SAFE_LOOKBACK:
        shown = format_duration(source.lookback)
        yield f"{start}.lookback: {shown} is shorter than a day; what the provider lists late can be missed"


def _about_policy(policy: PolicySettings, settings: Settings) -> Iterator[str]:
    for key, names in (
        ("source", [source.name for source in settings.sources]),
        ("provider", [source.provider for source in settings.sources]),
    ):
        pattern = policy.match.get(key)
        if pattern and names and not any(fnmatchcase(name, pattern) for name in names):
            yield f"policy.{policy.name}.match: {key} = {pattern} matches no configured source"
