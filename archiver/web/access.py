"""Who may look: HTTP Basic against scrypt hashes, bearer tokens in constant time, few wrong attempts for an address."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from archiver.domain.errors import ConfigurationError
from archiver.web.attempts import Attempts
from archiver.web.passwords import PasswordHash, parse_hash
from archiver.web.refusals import Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.config import Secret
    from archiver.domain.ports import Clock

log = structlog.get_logger(__name__)

REREAD = 30.0  # seconds; a rotated secret file counts within a minute
REMEMBERED = 600.0  # seconds; a browser sends the password with every request, and scrypt is meant to be slow
_PROVED = 1_000  # sign-ins remembered at once
_WAITING = 16  # checks of passwords that may queue up behind one another


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Everything that opens the door, parsed."""

    users: Mapping[str, PasswordHash]
    tokens: tuple[bytes, ...]  # SHA-256 of each: equal lengths, so that comparing them tells nothing


def credentials(users: Mapping[str, Secret], tokens: Mapping[str, Secret]) -> Credentials:
    """Parses what is configured; raises ConfigurationError naming every hash that cannot be used."""
    parsed, problems = {}, []
    for name, secret in users.items():
        try:
            parsed[name] = parse_hash(secret.reveal())
        except ValueError as error:
            problems.append(f"web.users.{name}: {error}")
    if problems:
        raise ConfigurationError(tuple(problems))
    return Credentials(users=parsed, tokens=tuple(_digest(secret.reveal()) for secret in tokens.values()))


class Access:
    """The door of one server. `local` says that only this machine can reach it: then, without users and tokens, it is open."""

    def __init__(self, *, users: Mapping[str, Secret], tokens: Mapping[str, Secret], local: bool, clock: Clock) -> None:
        self._configured = (dict(users), dict(tokens))
        self._credentials = credentials(users, tokens)
        self._local = local
        self._clock = clock
        self._read_at = clock.monotonic()
        self._attempts = Attempts(clock)
        self._key = (clock.token() + clock.token()).encode()
        self._proved: dict[bytes, float] = {}
        self._checking = asyncio.Lock()
        self._waiting = 0

    async def admit(self, authorization: str | None, address: str) -> None:
        """Returns when the request may be answered; raises Refusal (401, 403, 429, 503)."""
        users, tokens = self._configured
        if not users and not tokens:
            if not self._local:
                raise _nobody_configured()
            return
        if authorization is None:
            raise self._asked("Sign in to see this page.")
        wait = self._attempts.spend(address)
        if wait:
            log.debug("sign_in_put_off", address=address, seconds=wait)
            says = f"Too many wrong attempts from this address; the next one is possible in {wait:.0f} s."
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, says, headers=[("Retry-After", f"{wait:.0f}")])
        if not await self._right(authorization):
            log.warning("sign_in_refused", address=address)
            raise self._asked("The name, password or token is not right.")
        self._attempts.refund(address)

    def _asked(self, says: str) -> Refusal:
        users, tokens = self._configured
        ways = [("WWW-Authenticate", 'Basic realm="archiver", charset="UTF-8"')] if users else []
        ways += [("WWW-Authenticate", 'Bearer realm="archiver"')] if tokens else []
        return Refusal(HTTPStatus.UNAUTHORIZED, says, headers=ways)

    async def _right(self, authorization: str) -> bool:
        known = await self._current()
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() == "bearer":
            given = _digest(rest.strip())
            # All of them, always: the time says neither which token nor how much of it was right.
            return sum(hmac.compare_digest(given, token) for token in known.tokens) > 0
        if scheme.lower() == "basic" and known.users:
            return await self._password(known, *_name_and_password(rest.strip()))
        return False

    async def _password(self, known: Credentials, name: str, password: str) -> bool:
        stored = known.users.get(name)
        # An unknown name costs as much as a wrong password, or the time would tell which names exist.
        against = stored or next(iter(known.users.values()))
        proof = hmac.digest(self._key, repr((name, password, against.digest)).encode("utf-8", "backslashreplace"), "sha256")
        now = self._clock.monotonic()
        if self._proved.get(proof, now) > now:
            return True
        if self._waiting >= _WAITING:
            raise unavailable("Too many people sign in at once.")
        self._waiting += 1
        try:
            async with self._checking:
                right = await asyncio.to_thread(against.matches, password)
        finally:
            self._waiting -= 1
        if not right or stored is None:
            return False
        self._proved = {key: until for key, until in self._proved.items() if until > now} if len(self._proved) < _PROVED else {}
        self._proved[proof] = now + REMEMBERED
        return True

    async def _current(self) -> Credentials:
        """The credentials, read again from their files now and then."""
        now = self._clock.monotonic()
        if now - self._read_at > REREAD:
            self._read_at = now
            try:
                self._credentials = await asyncio.to_thread(self._reread)
            except ConfigurationError as error:
                log.warning("credentials_not_reread", problem=str(error))
        return self._credentials

    def _reread(self) -> Credentials:
        users, tokens = ({name: secret.reread() for name, secret in table.items()} for table in self._configured)
        return credentials(users, tokens)


def _nobody_configured() -> Refusal:
    says = "This page can be reached from other machines and nobody is configured to see it."
    return Refusal(HTTPStatus.FORBIDDEN, says, hint="configure web.users or web.tokens, or set web.listen to 127.0.0.1:8080")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _name_and_password(encoded: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password
