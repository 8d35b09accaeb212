"""A span of a body as it arrives: filled by the task that fetches it, emptied by whoever hands the body on."""

from __future__ import annotations

import asyncio
from collections import deque

from archiver.domain import errors


class Span:
    """The bytes [first, stop) of a body: those before `at` have come, those before `taken` were handed on.

    `troubled`: it broke off at least once. `over`: nothing comes any more.
    """

    def __init__(self, first: int, stop: int) -> None:
        self.first = first
        self.stop = stop
        self.at = first
        self.taken = first
        self.troubled = False
        self.failure: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.over = False
        self._pieces: deque[bytes] = deque()
        self._news = asyncio.Event()

    @property
    def size(self) -> int:
        """Bytes asked for."""
        return self.stop - self.first

    def put(self, piece: bytes) -> None:
        """The next bytes came; raises MediaImplausible where they are more than were asked for."""
        if len(piece) > self.stop - self.at:
            raise errors.MediaImplausible(f"more bytes came than the {self.size} asked for")
        self.at += len(piece)
        self._pieces.append(piece)
        self._news.set()

    def ended(self, task: asyncio.Task[None]) -> None:
        """The task that fetched it is done: nothing comes any more. It fails where bytes are missing."""
        self.over = True
        self.failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._news.set()

    async def take(self) -> bytes | None:
        """The next bytes, None after the last; raises what the span failed with, after what came before that."""
        while not self._pieces:
            if self.failure is not None:
                raise self.failure
            if self.over:
                return None
            self._news.clear()
            await self._news.wait()
        piece = self._pieces.popleft()
        self.taken += len(piece)
        return piece
