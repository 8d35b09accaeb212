"""A stream cut into parts of exactly one size, hashed as it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from archiver.pipeline.digest import Digest


class PartReader:
    """Cuts a stream into parts that fill the room given, the last one shorter; knows at once which one is the last.

    `digest` covers exactly the bytes handed out so far, so that its state fits the parts and not what came after them.
    """

    def __init__(self, chunks: AsyncIterator[bytes], digest: Digest) -> None:
        self._chunks = chunks
        self._left = b""
        self.digest = digest
        self.ended = False

    async def part(self, buffer: bytearray, size: int) -> memoryview:
        """The next part, of at most `size` bytes, in as much of the buffer as it needs.

        `ended` is set when nothing follows it.
        """
        room = memoryview(buffer)[:size]
        at = 0
        chunk: bytes | None = self._left
        while chunk is not None:
            came = len(chunk)
            if came > len(room) - at:
                fits = chunk[: len(room) - at]
                self.digest.update(fits)
                room[at:] = fits
                self._left = chunk[len(fits) :]
                return room
            if came:
                self.digest.update(chunk)
                room[at : at + came] = chunk
                at += came
            chunk = await anext(self._chunks, None)
        self._left = b""
        self.ended = True
        return room[:at]
