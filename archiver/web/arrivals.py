"""Taking a webhook's body in: small, plain, whole and soon, or not at all; nothing is decoded or interpreted."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from archiver.web.refusals import Refusal, bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST = 1024 * 1024  # bytes; real events have a few thousand
SOON = 1.5  # seconds for the whole body: Telnyx gives up on an answer after two
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


async def body_of(request: web.BaseRequest, *, kinds: Sequence[str]) -> bytes:
    """The bytes as they came; raises Refusal (400, 408, 413, 415)."""
    headers = request.headers
    if "Content-Encoding" in headers or "Transfer-Encoding" in headers:
        raise _unsupported("The body has to come as it is and with its length.")
    if request.content_type not in kinds or len(headers.getall("Content-Type", [])) != 1:
        raise _unsupported("The body is of another type than is taken here.")
    announced = request.content_length or 0
    if announced > LARGEST:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {LARGEST} bytes.")
    try:
        async with asyncio.timeout(SOON):
            return await request.content.readexactly(announced) if announced else b""
    except TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time.") from None
    except (asyncio.IncompleteReadError, web.RequestPayloadError):
        raise bad_request("The body is not as long as it says.") from None


def one(request: web.BaseRequest, name: str) -> str:
    """A header that has to be there once; "" where it is not."""
    values = request.headers.getall(name, [])
    return values[0] if len(values) == 1 else ""


def _unsupported(says: str) -> Refusal:
    return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, says)
