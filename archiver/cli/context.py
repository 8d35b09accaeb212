"""What every command is called with: where the configuration is, how to log, and the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from archiver.config import load
from archiver.telemetry import register_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from archiver.config import Settings

log = structlog.get_logger(__name__)

# Secrets that libraries take from the environment behind our back: libpq and boto3.
_FOREIGN_SECRETS = ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The options before the command, as `ctx.obj`."""

    config_path: Path | None
    log_format: str
    verbose: int
    environ: Mapping[str, str]

    def settings(self, *, need_sources: bool = True, warn: bool = True, **flags: str | None) -> Settings:
        """The configuration under this command's own flags: `storage_url="…"` sets `storage.url`, None sets nothing.

        From here on its secrets are taken out of all logs. Its warnings are logged unless the command shows them itself
        (`warn=False`). Raises ConfigurationError, which the root command turns into exit code 2.
        """
        for name in _FOREIGN_SECRETS:
            register_secret(self.environ.get(name, ""))
        given = {name.replace("_", ".", 1): value for name, value in flags.items() if value is not None}
        settings = load(self.config_path, self.environ, given, need_sources=need_sources)
        for secret in settings.secrets:
            register_secret(secret.reveal())
        if warn:
            for warning in settings.warnings:
                log.warning("configuration_doubted", about=warning)
        return settings
