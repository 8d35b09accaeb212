"""What an API body says: read to a limit, decoded as strict JSON, and its texts made fit for an error message."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp

from archiver.domain.errors import ContractBroken, ProviderError, ProviderUnavailable
from archiver.providers.raw import cut_queries
from archiver.providers.reach import words

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 16 * 1024 * 1024
_MOST_SHOWN = 200
_MOST_READ = 20_000  # characters of an error body that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class NotJson:
    """A body that is not JSON, and why; the body itself may hold links and is not kept."""

    why: str


class Repeated(dict[str, Any]):
    """A JSON object that names a key twice: two readers would see two different things in it, so no row is made of it."""


async def read(response: aiohttp.ClientResponse, *, seconds: float) -> bytes | ProviderError:
    """The body of an API answer, at most 16 MiB within `seconds`; an error is returned so that it has no foreign context."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        return ContractBroken(f"the body is encoded as {encoding[:20]!r}, which was not asked for")
    if (response.content_length or 0) > MOST_BYTES:
        return ContractBroken(f"the body has {response.content_length} bytes, more than {MOST_BYTES}")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MOST_BYTES:
                    return ContractBroken(f"the body has more than {MOST_BYTES} bytes")
    except (aiohttp.ClientError, OSError) as error:
        return ProviderUnavailable(words(error))
    return bytes(body)


def decode(body: bytes) -> Any:
    """The JSON of a body, or NotJson.

    A byte order mark is skipped, as RFC 8259 (8.1) allows; NaN and Infinity are refused, and so is nesting beyond what the
    interpreter can walk.
    """
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode()
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_object)
    except UnicodeDecodeError:
        return NotJson(why="the body is not UTF-8")
    except RecursionError:
        return NotJson(why="the body is nested too deeply")
    except ValueError as error:
        where = f" (line {error.lineno} column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        return NotJson(why=f"the body of {len(body)} bytes is not JSON{where}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(found)


def shown(text: str, secrets: Iterable[str]) -> str:
    """A provider's words in an error message: one line of at most 200 characters, without queries of URLs and our secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    plain = "".join(char if char.isprintable() else " " for char in text[:_MOST_READ])
    return cut_queries(plain)[:_MOST_SHOWN].strip()


def scalar(value: Any) -> str:
    """A code or title of an error body as text; "" for what is neither text nor number."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
