"""S3's documents: lists and the answers of multipart uploads, read without believing that they are any; completions, written.

Not left to boto3, which with its model takes a quarter of a start, and which most runs need for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    """One page whose entries are elements named `item`; raises ValueError for what is not such a list."""
    root = _root(body)
    if not _name(root).startswith("List"):
        raise ValueError("not a list")
    encoded = root.find("{*}EncodingType") is not None  # in S3's namespace, or in none
    items = [_texts(element, encoded=encoded) for element in root if _name(element) == item]
    return Page(items=items, about=_texts(root, encoded=encoded))


def texts(body: bytes) -> dict[str, str]:
    """The elements of a document that has no lists; raises ValueError for what is not XML."""
    return _texts(_root(body), encoded=False)


def completion(parts: Iterable[Mapping[str, str]]) -> bytes:
    """What asks for an upload's completion; `parts` are the elements of each by name."""
    root = ET.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for part in parts:
        element = ET.SubElement(root, "Part")
        for name, text in part.items():
            ET.SubElement(element, name).text = text
    return ET.tostring(root)


def instant(text: str) -> datetime:
    """An instant of a list; one without a zone, which some servers write, is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _root(body: bytes) -> ET.Element:
    """Entities are refused unread: no S3 server declares any, and a few lines of them can fill the memory."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ValueError("a document with a type")
    try:
        return ET.fromstring(body.lstrip())  # noqa: S314 -- what is dangerous of it is refused above
    except ET.ParseError as error:
        raise ValueError("not XML") from error


def _texts(parent: ET.Element, *, encoded: bool) -> dict[str, str]:
    found = {_name(child): child.text or "" for child in parent if len(child) == 0}
    return {name: unquote_plus(text) if encoded and name in _ENCODED else text for name, text in found.items()}


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
