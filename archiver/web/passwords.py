"""Making the hashes that `web.users` takes; reading them is the configuration's part."""

from __future__ import annotations

import base64

from archiver.config.password_hash import ACCEPTED, PasswordHash, parse_hash, scrypt

__all__ = ["ACCEPTED", "PasswordHash", "hash_password", "parse_hash"]


def hash_password(password: str, *, salt: bytes, n: int = 32768, r: int = 8, p: int = 3) -> str:
    """What to configure for a password. The defaults (OWASP's, at 32 MiB) cost about 0.3 s; `salt` is 16 random bytes."""
    digest = scrypt(password, n=n, r=r, p=p, salt=salt, size=32)
    return "$".join(["scrypt", str(n), str(r), str(p), base64.b64encode(salt).decode(), base64.b64encode(digest).decode()])
