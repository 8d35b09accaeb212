"""A request as a provider sees it and the reply it gives, as plain values: the APIs are functions from one to the other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from archiver.simulator.media_file import MediaFile

Host = Literal["telnyx", "twilio", "media"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What came in. Header names are in lower case; `base_url` is the origin that the client spoke to, without a path."""

    host: Host
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base_url: str = ""
    target: str = ""  # path and query as they came

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter; names are case-sensitive."""
        return next((value for key, value in self.query if key == name), None)

    def parameters(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        return [value for key, value in self.query if key == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a media file as a body."""

    media: MediaFile
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def chunks(self) -> Iterator[bytes]:
        return self.media.chunks(self.start, self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes out; `document` is the JSON behind the body, for faults that change it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Stretch = b""
    document: Any = None

    def chunks(self) -> Iterator[bytes]:
        if isinstance(self.body, bytes):
            yield self.body
        else:
            yield from self.body.chunks()


def whole(reply: Reply) -> bytes:
    """A reply's body at once."""
    return b"".join(reply.chunks())


def json_reply(status: int, document: Any, **headers: str) -> Reply:
    """A JSON answer; names that are no text (lone surrogates) leave as JSON escapes."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        status=status,
        headers={"Content-Type": "application/json", **names},
        body=json.dumps(document).encode(),
        document=document,
    )
