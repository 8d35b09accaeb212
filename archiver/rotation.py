"""Secrets that change while the program runs: a source whose secret file holds something new is opened again with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from archiver.app import observe, source_options
from archiver.providers.registry import open_provider
from archiver.telemetry import register_secret

if TYPE_CHECKING:
    from archiver.app import App
    from archiver.config import SourceSettings
    from archiver.domain.ports import Provider

log = structlog.get_logger()

SECRETS = ("api_key", "api_key_secret", "auth_token")


def reread(item: SourceSettings) -> SourceSettings:
    """The source with its secrets as their files hold them now."""
    found = {name: secret.reread() for name in SECRETS if (secret := getattr(item, name)) is not None}
    return replace(item, **found)


class Rotation:
    """Watches the secret files of an App's sources. Providers that were replaced stay open until the end: transfers use them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._now = {item.name: item for item in app.settings.sources if item.name in app.providers}
        self._retired: list[Provider] = []

    async def look(self) -> None:
        """Replaces providers whose secret has changed; the very next request uses the new one."""
        app = self._app
        for name, item in list(self._now.items()):
            fresh = reread(item)
            if all(getattr(fresh, secret) == getattr(item, secret) for secret in SECRETS):
                continue
            for secret in SECRETS:
                value = getattr(fresh, secret)
                if value is not None:
                    register_secret(value.reveal())
            options = source_options(fresh, min_rate=app.settings.transfer.min_rate)
            self._retired.append(app.providers[name])
            app.providers[name] = open_provider(item.provider, options, app.clock, observe(app.metrics, name))
            self._now[name] = fresh
            app.health.succeeded(name)
            log.info("secret_rotated", source=name)

    async def aclose(self) -> None:
        """Closes what was replaced."""
        for provider in self._retired:
            await provider.aclose()
