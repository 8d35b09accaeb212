"""Passwords as they are configured: `scrypt$n$r$p$salt$hash`, salt and hash in base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass

ACCEPTED = "scrypt$n$r$p$salt$hash with n a power of two from 16384, r from 8, p from 1, at most 128 MiB, salt and hash in base64"
_FORM = re.compile(
    r"scrypt\$([0-9]{1,9})\$([0-9]{1,9})\$([0-9]{1,9})\$([A-Za-z0-9+/]{8,200}={0,2})\$([A-Za-z0-9+/]{8,200}={0,2})"
)
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
        digest = scrypt(password, n=self.n, r=self.r, p=self.p, salt=self.salt, size=len(self.digest))
        return hmac.compare_digest(digest, self.digest)


def parse_hash(text: str) -> PasswordHash:
    """Reads a configured hash; raises ValueError saying what is accepted, never showing the hash."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"found something else; accepted: {ACCEPTED}")
    n, r, p = (int(form[number]) for number in (1, 2, 3))
    try:
        salt, digest = _decoded(form[4]), _decoded(form[5])
    except binascii.Error:
        raise ValueError(f"found something else; accepted: {ACCEPTED}") from None
    powers = n >= 16384 and n & (n - 1) == 0
    bounded = r >= 8 and 1 <= p <= 16 and 128 * n * r <= _MEMORY
    if not powers or not bounded or len(salt) < 8 or not 16 <= len(digest) <= 128:
        raise ValueError(f"found other parameters; accepted: {ACCEPTED}")
    return PasswordHash(n=n, r=r, p=p, salt=salt, digest=digest)


def scrypt(password: str, *, n: int, r: int, p: int, salt: bytes, size: int) -> bytes:
    """The hash itself, `size` bytes long; `n`, `r` and `p` as in PasswordHash."""
    # OpenSSL's own bound of 32 MiB is just too small for n = 32768, r = 8.
    memory = 128 * r * (n + p + 2) + 1024
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=size)


def _decoded(text: str) -> bytes:
    """Base64 with or without its padding; what tools print differs."""
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
