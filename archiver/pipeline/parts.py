"""A stream cut into parts of exactly one size, hashed as it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from archiver.pipeline.digest import Digest


class PartReader:
    """Cuts a stream into parts of exactly `size` bytes, the last one shorter; knows at once which one is the last.

    `digest` covers exactly the bytes handed out so far, so that its state fits the parts and not what came after them.
    """

    def __init__(self, chunks: AsyncIterator[bytes], size: int, digest: Digest) -> None:
        self._chunks = chunks
        self._size = size
        self._left = b""
        self.digest = digest
        self.ended = False

    async def part(self) -> bytearray:
        """The next part; `ended` is set when nothing follows it."""
        data = bytearray()
        chunk: bytes | None = self._left
        while chunk is not None:
            room = self._size - len(data)
            if len(chunk) > room:
                self._take(data, chunk[:room])
                self._left = chunk[room:]
                return data
            self._take(data, chunk)
            chunk = await anext(self._chunks, None)
        self._left = b""
        self.ended = True
        return data

    def _take(self, data: bytearray, chunk: bytes) -> None:
        if chunk:
            self.digest.update(chunk)
            data += chunk
