"""Requests that are not answered with what they asked for: a status, a sentence, and what to do about it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Refusal(Exception):
    """Raised anywhere below the front; its texts are shown to whoever asked, so they hold nothing about our insides."""

    def __init__(self, status: HTTPStatus, says: str, *, hint: str = "", headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{status.value} {says}")
        self.status = status
        self.says = says
        self.hint = hint
        self.headers = tuple(headers)

    @property
    def document(self) -> Mapping[str, object]:
        """The refusal as the API gives it."""
        shown = {"schema": "archiver.error/1", "status": self.status.value, "error": self.says}
        return {**shown, "hint": self.hint} if self.hint else shown


def bad_request(says: str, *, hint: str = "") -> Refusal:
    """400: the request itself makes no sense."""
    return Refusal(HTTPStatus.BAD_REQUEST, says, hint=hint)


def not_found(says: str = "There is nothing at this address.") -> Refusal:
    """404."""
    return Refusal(HTTPStatus.NOT_FOUND, says)


def unavailable(says: str) -> Refusal:
    """503: it may work in a moment."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, says, headers=[("Retry-After", "10")])
