"""The bytes of one media file as they come, gone on with where the line was cut."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from archiver.domain import errors, integrity
from archiver.domain.ports import Media, Resume

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from archiver.domain.ports import Provider
    from archiver.domain.recording import Entry, RecordingRef
    from archiver.pipeline.pace import Pace
    from archiver.pipeline.ranges import Ranges

RESUMES = 5  # of one attempt; after that the retry with its backoff is the better answer


class Body:
    """One download: its bytes, how many there are, and what the first of them look like.

    Iterating raises what `Media.chunks` raises, and MediaImplausible as soon as the first bytes cannot be a recording. A cut
    line is resumed only against the same strong validator (I5); without one the error goes out and the attempt starts anew.
    """

    def __init__(
        self,
        provider: Provider,
        ref: RecordingRef,
        entry: Entry,
        media: Media,
        pace: Pace,
        *,
        head: bytes = b"",
        ranges: Ranges | None = None,
    ) -> None:
        """`head` are the first bytes, where an earlier attempt has dealt with the first `media.offset` ones.

        With `ranges` a large body may come over several connections.
        """
        self._provider = provider
        self._ref = ref
        self._entry = entry
        self.media = media
        self._pace = pace
        self._ranges = ranges
        self.received = media.offset
        self.head = head
        self.resumed = 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All bytes once, in order."""
        failure: Exception | None = None
        try:
            if self._ranges is not None and self.media.spans is not None:
                async with aclosing(self._ranges.chunks(self.media, self._entry.source)) as chunks:
                    async for chunk in chunks:
                        self._take(chunk)
                        yield chunk
            else:
                async for chunk in self.media.chunks:
                    self._take(chunk)
                    await self._pace.passed(len(chunk))
                    yield chunk
        except errors.ProviderError as error:
            failure = error
        while failure is not None:
            if not self._resumable(failure):
                raise failure
            self.resumed += 1
            try:
                async with aclosing(self._rest(failure)) as rest:
                    async for chunk in rest:
                        self._take(chunk)
                        yield chunk
                failure = None
            except errors.ProviderError as error:
                failure = error

    async def _rest(self, failure: Exception) -> AsyncGenerator[bytes, None]:
        resume = Resume(offset=self.received, validator=self.media.validator)
        async with self._provider.open_media(self._ref, self._entry.rendition, resume=resume) as media:
            if media.offset != self.received or media.validator != self.media.validator:
                self.resumed = RESUMES  # it would do so again
                kind = errors.MediaIncomplete if media.validator == self.media.validator else errors.MediaChanged
                raise kind(f"cut after {self.received} bytes ({failure}), and the provider began anew") from None
            if self._ranges is not None and media.spans is not None:
                async with aclosing(self._ranges.chunks(media, self._entry.source)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            async for chunk in media.chunks:
                await self._pace.passed(len(chunk))
                yield chunk

    def _resumable(self, failure: Exception) -> bool:
        cut = isinstance(failure, errors.ProviderUnavailable | errors.MediaIncomplete | errors.LinkExpired)
        return cut and bool(self.media.validator) and self.received > 0 and self.resumed < RESUMES

    def _take(self, chunk: bytes) -> None:
        if len(self.head) < integrity.HEAD_BYTES:
            self.head += chunk[: integrity.HEAD_BYTES - len(self.head)]
            if len(self.head) >= integrity.HEAD_BYTES:
                self.check_head()
        self.received += len(chunk)

    def check_head(self) -> None:
        """Raises MediaImplausible where the first bytes cannot be a recording's."""
        problem = integrity.implausible(self.head, content_type=self.media.content_type, encrypted=self.media.encrypted)
        if problem is not None:
            raise errors.MediaImplausible(f"not a recording: {problem}")

    def check_length(self) -> None:
        """Raises MediaIncomplete where nothing proves that these are all the bytes (I4)."""
        problem = integrity.length_problem(
            received=self.received,
            announced=self.media.announced,
            listed=self._entry.listed_size,
            head=self.head,
            encrypted=self.media.encrypted,
        )
        if problem is not None:
            raise errors.MediaIncomplete(problem)
