"""The account's key pair with which Twilio wraps the content key of encrypted media (providers.md 4.6)."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from archiver.simulator.media_file import MediaFile


@lru_cache(maxsize=1)
def private_key() -> rsa.RSAPrivateKey:
    """The customer's key, one to a process and never stored: a key in the package would only be something to warn about."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@lru_cache(maxsize=8192)
def wrapped_key(media: MediaFile) -> str:
    """The content key under the public key, base64. Which RSA padding Twilio uses is NOT FOUND; this is PKCS #1 v1.5."""
    return base64.b64encode(private_key().public_key().encrypt(media.content_key, padding.PKCS1v15())).decode()


def headers(media: MediaFile) -> dict[str, str]:
    """What a reader needs besides the private key; none for media that is not encrypted."""
    if not media.encrypted:
        return {}
    return {
        "x-amz-meta-x-amz-key": wrapped_key(media),
        "x-amz-meta-x-amz-iv": media.iv_header,
        "x-amz-meta-x-amz-matdesc": "{}",
        "x-amz-meta-x-amz-unencrypted-content-length": str(media.clear_size),
    }
