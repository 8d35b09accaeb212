"""`/webhooks/…`: who signed it, and a note that something is worth asking about. A hint only: polls find the same without."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from archiver.web import signatures, webhook_events
from archiver.web.arrivals import FORM, JSON, body_of, one
from archiver.web.attempts import Attempts
from archiver.web.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archiver.domain.ports import Clock
    from archiver.web.routes import Asked
    from archiver.web.view import Hooks
    from archiver.web.webhook_events import Told

log = structlog.get_logger(__name__)

# More wrong ones at once than there can be connections: right ones that come together from one proxy never meet this limit.
AT_ONCE = 300
EVERY = 1.0  # seconds until another wrong one is looked at
REREAD = 30.0  # seconds; a rotated token counts within a minute
REMEMBERED = 3600.0  # seconds that an event is known to have come; replays of Telnyx' are refused as old much sooner
_MOST = 10_000  # events remembered at once
_MOST_FIELDS = 200
_TELNYX = frozenset({"telnyx-rooms", "telnyx-calls"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What a source's webhooks are signed with: Telnyx' public key, or Twilio's auth token."""

    source: str
    provider: str
    key: str


class Webhooks:
    """The two addresses. `hooks` None: nothing is configured, everything is refused."""

    def __init__(self, hooks: Hooks | None, *, public_url: str, clock: Clock) -> None:
        self._hooks = hooks
        self._public_url = public_url
        self._clock = clock
        self._attempts = Attempts(clock, at_once=AT_ONCE, every=EVERY)
        self._tokens = {item.name: item.auth_token for item in hooks.sources if item.auth_token} if hooks else {}
        self._read_at = clock.monotonic()
        self._came: OrderedDict[str, float] = OrderedDict()
        self._ignored = 0

    async def telnyx(self, asked: Asked) -> web.Response:
        """200 for every event that a configured key signed within five minutes, whatever it says."""
        self._spend(asked.request)
        body = await body_of(asked.request, kinds=(JSON,))
        signature, timestamp = one(asked.request, "telnyx-signature-ed25519"), one(asked.request, "telnyx-timestamp")
        keys = self._telnyx_keys()
        signed = [key for key in keys if signatures.telnyx_signed(key.key, signature=signature, timestamp=timestamp, body=body)]
        fresh = signatures.is_fresh(timestamp, now=self._clock.now().timestamp())
        if not signed or not fresh:
            unset = "" if keys else "no source of Telnyx has a webhook_public_key"
            raise self._refused(
                asked.request, unset or ("its timestamp is not of now" if signed else "no configured key signed it")
            )
        return self._taken(asked.request, webhook_events.of_telnyx(body), signed, body)

    async def twilio(self, asked: Asked) -> web.Response:
        """200 for every event that a configured account signed, whatever it says. Its signature has no time in it."""
        self._spend(asked.request)
        body = await body_of(asked.request, kinds=(FORM, JSON))
        plain = asked.request.content_type == FORM
        # The one thing that happens to a body before it is proved: Twilio signs the fields, in an order that is not the body's.
        fields = _fields(body) if plain else []
        keys = await self._twilio_keys()
        urls = signatures.spellings(self._public_url, asked.request.raw_path) if self._public_url else ()
        signature = one(asked.request, "X-Twilio-Signature")
        signed = [key for key in keys if signatures.twilio_signed(key.key, signature=signature, urls=urls, fields=fields or [])]
        whole = plain or signatures.body_is(body, dict(asked.query).get("bodySHA256", ""))
        if not signed or not whole or fields is None:
            unset = "" if keys else "no source of Twilio has an auth_token"
            unset = unset or ("" if self._public_url else "web.public_url is not set")
            raise self._refused(asked.request, unset or "no configured account signed it")
        told = webhook_events.of_twilio(dict(fields)) if plain else webhook_events.of_twilio_json(body)
        return self._taken(asked.request, told, signed, body)

    # -- keys ------------------------------------------------------------------------------------------------------

    def _telnyx_keys(self) -> list[_Key]:
        sources = self._hooks.sources if self._hooks else ()
        return [
            _Key(source=item.name, provider=item.provider, key=item.webhook_public_key)
            for item in sources
            if item.provider in _TELNYX and item.webhook_public_key
        ]

    async def _twilio_keys(self) -> list[_Key]:
        now = self._clock.monotonic()
        if now - self._read_at > REREAD:
            self._read_at = now
            self._tokens = await asyncio.to_thread(lambda: {name: token.reread() for name, token in self._tokens.items()})
        sources = self._hooks.sources if self._hooks else ()
        return [
            _Key(source=item.name, provider=item.provider, key=self._tokens[item.name].reveal())
            for item in sources
            if item.provider == "twilio-video" and item.name in self._tokens
        ]

    # -- verdicts --------------------------------------------------------------------------------------------------

    def _spend(self, request: web.BaseRequest) -> None:
        address = request.remote or ""
        wait = self._attempts.spend(address)
        if wait:
            log.debug("webhook_put_off", address=address, seconds=wait)
            headers = [("Retry-After", f"{wait:.0f}")]
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests that were refused.", headers=headers)

    def _refused(self, request: web.BaseRequest, why: str) -> Refusal:
        """One answer for whatever was wrong; the log knows more."""
        log.warning("webhook_refused", address=request.remote, path=request.path, why=why)
        return Refusal(HTTPStatus.FORBIDDEN, "Refused.")

    def _taken(self, request: web.BaseRequest, told: Told, signed: Sequence[_Key], body: bytes) -> web.Response:
        self._attempts.refund(request.remote or "")
        # Only after the proof: a stranger must not be able to make us forget, or think that we know.
        name = f"{request.path} {told.event_id or hashlib.sha256(body).hexdigest()}"
        sources = [key.source for key in signed if key.provider == told.provider]
        if not sources:
            self._ignored += 1
            log.info("webhook_ignored", about=told.about[:80], path=request.path, so_far=self._ignored)
        elif self._is_new(name):
            for source in sources:
                log.info("webhook_received", source=source, recording_id=told.recording_id, about=told.about)
                if self._hooks is not None:
                    self._hooks.note(source, told.recording_id)
        return web.Response(text="ok\n", content_type="text/plain")

    def _is_new(self, name: str) -> bool:
        now = self._clock.monotonic()
        while self._came and next(iter(self._came.values())) <= now - REMEMBERED:
            self._came.popitem(last=False)
        if name in self._came:
            return False
        self._came[name] = now
        if len(self._came) > _MOST:
            self._came.popitem(last=False)
        return True


def _fields(body: bytes) -> list[tuple[str, str]] | None:
    """The fields of a form in the order given; None for what is not one."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        return None
