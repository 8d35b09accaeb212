"""How Telnyx and Twilio sign webhooks (providers.md, 7). Nothing here trusts or interprets what was signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE = 300  # seconds either way, as in Telnyx' own verifier
_TIMESTAMP = re.compile(r"[0-9]{1,11}")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def is_fresh(timestamp: str, *, now: float) -> bool:
    """Whether a `telnyx-timestamp` is within the tolerance of `now`; both are unix seconds."""
    return _TIMESTAMP.fullmatch(timestamp) is not None and abs(now - int(timestamp)) <= TOLERANCE


def telnyx_signed(public_key: str, *, signature: str, timestamp: str, body: bytes) -> bool:
    """Whether `signature` (base64 of an Ed25519 signature) over `timestamp|body` was made with the key's other half."""
    try:
        made = base64.b64decode(signature, validate=True)
        stamp = timestamp.encode("ascii")
    except (binascii.Error, ValueError):
        return False
    if base64.b64encode(made) != signature.encode():  # the last character has bits to spare: one signature, one spelling
        return False
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)).verify(made, stamp + b"|" + body)
    except (InvalidSignature, ValueError):
        return False
    return True


def twilio_signature(auth_token: str, url: str, fields: Sequence[tuple[str, str]]) -> str:
    """`X-Twilio-Signature`: over the whole URL and the form's fields sorted by name; several values sorted, each once."""
    names = sorted({name for name, _ in fields})
    values = {name: sorted({value for of, value in fields if of == name}) for name in names}
    signed = url + "".join(name + value for name in names for value in values[name])
    made = hmac.digest(auth_token.encode(), signed.encode("utf-8", "surrogatepass"), hashlib.sha1)
    return base64.b64encode(made).decode()


def twilio_signed(auth_token: str, *, signature: str, urls: Sequence[str], fields: Sequence[tuple[str, str]]) -> bool:
    """Whether the account with this token signed the request under one of the ways to write its address."""
    given = signature.encode("utf-8", "surrogateescape")
    # All of them, always: the time says nothing about which was nearly right.
    return sum(hmac.compare_digest(given, twilio_signature(auth_token, url, fields).encode()) for url in urls) > 0


def spellings(public_url: str, target: str) -> tuple[str, ...]:
    """The addresses Twilio may have signed for a request target: with the port written, and without (its own verifier's rule)."""
    parts = urlsplit(public_url)
    host = parts.netloc.rpartition("@")[2]
    bare = re.sub(r":[0-9]*$", "", host)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    path = parts.path.rstrip("/") + target
    return tuple(f"{parts.scheme}://{netloc}{path}" for netloc in dict.fromkeys((host, bare, f"{bare}:{port}")))


def body_is(body: bytes, sha256: str) -> bool:
    """Whether the digest in Twilio's `bodySHA256` is the body's."""
    return hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), sha256.lower().encode("utf-8", "surrogateescape"))
