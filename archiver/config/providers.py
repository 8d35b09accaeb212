"""Which providers there are, and which credentials each takes."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from archiver.config.kinds import Kind
from archiver.config.values import Unacceptable, described, did_you_mean, plain_text

ENTRY_POINTS = "archiver.providers"
CREDENTIALS = ("api_key", "account_sid", "api_key_sid", "api_key_secret", "auth_token", "webhook_public_key")

_TELNYX = ("api_key", "webhook_public_key")
_TWILIO = ("account_sid", "api_key_sid", "api_key_secret", "auth_token")
OURS = {"telnyx-rooms": _TELNYX, "telnyx-calls": _TELNYX, "twilio-video": _TWILIO}


@cache
def known_providers() -> tuple[str, ...]:
    """Ours and the installed ones of the entry-point group; none of them is imported for it."""
    return tuple(sorted({*OURS, *(found.name for found in entry_points(group=ENTRY_POINTS))}))


def takes(provider: str, credential: str) -> bool:
    """Whether a provider has a use for a credential; foreign providers judge that themselves."""
    return credential in OURS.get(provider, CREDENTIALS)


def provider() -> Kind:
    """A provider's name. Installed packages are looked through only for a name that is not ours: it takes a while."""

    def read(raw: object) -> str:
        name = plain_text(raw)
        if name not in OURS and name not in known_providers():
            installed = " | ".join(known_providers())
            raise Unacceptable(described(raw), accepted=installed, hint=did_you_mean(name, known_providers()))
        return name

    ours = " | ".join(OURS)
    return Kind(
        word="provider",
        accepted=f"{ours} | an installed provider",
        example='"telnyx-rooms"',
        json={"type": "string", "examples": list(OURS)},
        read=read,
    )
