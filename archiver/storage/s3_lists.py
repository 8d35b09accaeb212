"""S3's lists as they come over the wire: one page of XML, read without believing that it is one.

Asked for and read here and not through boto3, because every run of the program asks for one, and boto3 with its model is a
quarter of a start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST = 8 * 1024 * 1024  # bytes of a page: a thousand keys of a kilobyte each, all of it percent-encoded, and as much again
_ENCODED = frozenset({"Key", "KeyMarker", "NextKeyMarker"})  # by `encoding-type=url`, which keeps keys out of XML's way


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The entries of one page, each its elements' texts by name, and those of the page itself."""

    items: Sequence[Mapping[str, str]]
    about: Mapping[str, str]

    @property
    def truncated(self) -> bool:
        """Whether another page follows."""
        return self.about.get("IsTruncated", "").lower() == "true"


def page(body: bytes, item: str) -> Page:
    """One page whose entries are elements named `item`; raises ValueError for what is not such a list.

    Entities are refused unread: no S3 server declares any, and a few lines of them can fill the memory.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ValueError("a list with a document type")
    try:
        root = ET.fromstring(body)  # noqa: S314 -- what is dangerous of it is refused above
    except ET.ParseError as error:
        raise ValueError("not XML") from error
    if not _name(root).startswith("List"):
        raise ValueError("not a list")
    encoded = root.find("{*}EncodingType") is not None or root.find("EncodingType") is not None
    items = [_texts(element, encoded=encoded) for element in root if _name(element) == item]
    return Page(items=items, about=_texts(root, encoded=encoded))


def instant(text: str) -> datetime:
    """An instant of a list; one without a zone, which some servers write, is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _texts(parent: ET.Element, *, encoded: bool) -> dict[str, str]:
    found = {_name(child): child.text or "" for child in parent if len(child) == 0}
    return {name: unquote_plus(text) if encoded and name in _ENCODED else text for name, text in found.items()}


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
