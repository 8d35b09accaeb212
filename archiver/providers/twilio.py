"""What Twilio's REST APIs share: basic authentication, two shapes of error, lists that name their own next page."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ConfigurationError, ContractBroken
from archiver.domain.recording import Page
from archiver.providers.bodies import Repeated, scalar
from archiver.providers.http import same_origin_query
from archiver.providers.pages import Kept, Pages
from archiver.providers.progress import Progress
from archiver.providers.rows import read_rows

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from archiver.domain.recording import Listed
    from archiver.providers.http import Api
    from archiver.providers.settings import SourceOptions

MEDIA_HOSTS: Mapping[str, str] = {
    "amazonaws.com": "presigned S3: com-twilio-us1-video-recording.s3.amazonaws.com (W-rec)",
    "twilio.com": "Twilio itself",
}


def authorization(options: SourceOptions) -> str:
    """The header of HTTP Basic: an API key's SID and secret, or the account's SID and auth token (W-OAS).

    Raises ConfigurationError where one half is missing or cannot be sent.
    """
    user = options.credentials.username or options.credentials.account_sid
    password = options.credentials.password
    if not user or not password or ":" in user:
        accepted = "accepted: api_key_sid with api_key_secret, or account_sid with auth_token"
        raise ConfigurationError((f"source {options.name}: Twilio needs a user name and a secret; {accepted}",))
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def pages(
    api: Api, source: str, path: str, query: Sequence[tuple[str, str]], *, key: str, read: Callable[[Any], Listed], kept: Pages
) -> AsyncGenerator[Page, None]:
    """Walks a list from page to page by `meta.next_page_url`, which is followed only on the API's origin and the same path.

    Tokens name a place in the list and not a number, so nothing shifts under the reader; there is no walking backward.
    Raises ContractBroken for a link seen before, and for what `Progress` finds.
    """
    progress = Progress(source)
    asked: Sequence[tuple[str, str]] | str = query
    followed: set[str] = set()
    while True:
        reading = kept.reading(asked if isinstance(asked, str) else tuple(asked))
        found = await api.get(path, asked, read=reading)
        if not isinstance(found, Kept):
            page = parse_page(found, key=key, read=read)
            found = Kept(page, "" if page.last else found["meta"]["next_page_url"])
            kept.keep(reading, found)
        page = replace(found.page, number=progress.pages + 1)
        progress.check(page)
        yield page
        if page.last:
            return
        asked = same_origin_query(api.origin, found.following, path)
        if asked in followed:
            raise ContractBroken(f"{source}: page {progress.pages} links to a page that was read before")
        followed.add(asked)


async def rows(api: Api, source: str, path: str, query: Sequence[tuple[str, str]], *, key: str) -> list[Mapping[str, Any]]:
    """All rows of a list as they are, objects only; walked as `pages` does. Raises ProviderError."""
    found: list[Mapping[str, Any]] = []
    asked: Sequence[tuple[str, str]] | str = query
    followed: set[str] = set()
    while True:
        payload = await api.get(path, asked)
        parse_page({**payload, key: []} if isinstance(payload, dict) else payload, key=key, read=_nothing)
        found += [row for row in payload.get(key) or () if isinstance(row, dict)]
        following = payload["meta"].get("next_page_url")
        if not following:
            return found
        asked = same_origin_query(api.origin, following, path)
        if asked in followed:
            raise ContractBroken(f"{source}: a page of {key} links to one that was read before")
        followed.add(asked)


def _nothing(_row: Any) -> Listed:
    raise AssertionError("a page without rows has nothing to read")


def parse_page(payload: Any, *, key: str, read: Callable[[Any], Listed]) -> Page:
    """One page of a Twilio list; raises ContractBroken for a body without the documented shape.

    `last` is a next_page_url of null and nothing else: where the key is missing nobody knows whether there are more.
    """
    if not isinstance(payload, dict) or isinstance(payload, Repeated):
        raise ContractBroken("the page is not an object that names each key once")
    rows, meta = payload.get(key), payload.get("meta")
    if not isinstance(rows, list) or not isinstance(meta, dict):
        raise ContractBroken(f"the page has no list in {key} or no object in meta")
    following = meta.get("next_page_url", 0)
    if following is not None and not isinstance(following, str):
        raise ContractBroken("meta.next_page_url has to be a text or null")
    for name in ("page", "page_size"):
        count = meta.get(name, 0)
        if type(count) is not int or count < 0:
            raise ContractBroken(f"meta.{name} has to be a whole number of 0 or more")
    recordings, rejected = read_rows(rows, read)
    return Page(number=1, recordings=recordings, rejected=rejected, last=not following)


def describe_error(payload: Any) -> str:
    """Code and message of an error in either shape, legacy or RFC 9457 (W-SDK version.exception); "" for what is neither."""
    if not isinstance(payload, dict):
        return ""
    texts = [scalar(payload.get(name)) for name in ("code", "title", "message", "detail")]
    return " ".join(text for text in dict.fromkeys(texts) if text)
