"""Passwords as they are configured: `scrypt$n$r$p$salt$hash`, salt and hash in base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

ACCEPTED = "scrypt$n$r$p$salt$hash with n a power of two from 16384, r from 8, p from 1, at most 128 MiB, salt and hash in base64"
_MEMORY = 128 * 1024 * 1024  # bytes; the whole daemon promises to stay below 256 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordHash:
    """A parsed hash; `n`, `r` and `p` are scrypt's cost, block size and parallelism (RFC 7914)."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def matches(self, password: str) -> bool:
        """Whether the password is the one that was hashed. Takes tenths of a second of one core: never on the loop."""
        if "\x00" in password:  # HMAC pads keys with zeros, so a password with some at its end would fit as well
            return False
        digest = _scrypt(password, n=self.n, r=self.r, p=self.p, salt=self.salt, size=len(self.digest))
        return hmac.compare_digest(digest, self.digest)


def parse_hash(text: str) -> PasswordHash:
    """Reads a configured hash; raises ValueError saying what is accepted, never showing the hash."""
    try:
        name, n, r, p, salt, digest = text.split("$")
        found = PasswordHash(n=int(n), r=int(r), p=int(p), salt=_decoded(salt), digest=_decoded(digest))
    except (ValueError, binascii.Error):
        raise ValueError(f"found something else; accepted: {ACCEPTED}") from None
    powers = found.n >= 16384 and found.n & (found.n - 1) == 0
    bounded = found.r >= 8 and 1 <= found.p <= 16 and 128 * found.n * found.r <= _MEMORY
    if name != "scrypt" or not powers or not bounded or len(found.salt) < 8 or not 16 <= len(found.digest) <= 128:
        raise ValueError(f"found other parameters; accepted: {ACCEPTED}")
    return found


def hash_password(password: str, *, salt: bytes, n: int = 32768, r: int = 8, p: int = 3) -> str:
    """What to configure for a password. The defaults (OWASP's, at 32 MiB) cost about 0.3 s; `salt` is 16 random bytes."""
    digest = _scrypt(password, n=n, r=r, p=p, salt=salt, size=32)
    return "$".join(["scrypt", str(n), str(r), str(p), base64.b64encode(salt).decode(), base64.b64encode(digest).decode()])


def _decoded(text: str) -> bytes:
    """Base64 with or without its padding; what tools print differs."""
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _scrypt(password: str, *, n: int, r: int, p: int, salt: bytes, size: int) -> bytes:
    # OpenSSL's own bound of 32 MiB is just too small for n = 32768, r = 8.
    memory = 128 * r * (n + p + 2) + 1024
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=size)
