"""One large body over several connections: fetched side by side, handed on in order, one connection where that is all there is.

The first connection goes on until all of the further ones bring what they were asked for, so that a host which does not serve
ranges well costs nothing. Every span is tied to the body by its strong validator (I5); the provider's side sees to that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING

import structlog

from archiver.domain import errors
from archiver.pipeline import spans
from archiver.pipeline.arriving import Span

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from archiver.domain.ports import Clock, Media, Spans
    from archiver.pipeline.budget import ByteBudget
    from archiver.pipeline.pace import Pace

log = structlog.get_logger()

TRIES = 3  # for one span, each from where the one before broke off
_BROKEN_OFF = (errors.ProviderUnavailable, errors.MediaIncomplete, errors.MediaTooSlow)


class Ranges:
    """What all bodies of a process share: buffers, connections, and where further ones were no use.

    The connections of large bodies, first and further ones, are at most `connections` together (`transfer.concurrency`), where
    there are not more bodies than that. Of the budget's bytes at least a part of `part_size` is never lent, so that one can
    always be held, and where there is room for more, as much again for whoever comes next.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        budget: ByteBudget,
        pace: Pace,
        connections: int,
        part_size: int,
        rule: spans.Rule | None = None,
    ) -> None:
        self.rule = rule or spans.Rule()
        self.clock = clock
        self.pace = pace
        self._budget = budget
        self._connections = connections
        self.lendable = max((budget.total - part_size) // 2, budget.total - 2 * part_size)
        self._open = 0
        self._barred: dict[str, float] = {}

    async def chunks(self, media: Media, source: str) -> AsyncGenerator[bytes, None]:
        """All bytes of a body that has `spans`, once and in order; raises what `Media.chunks` and `Spans.open` raise."""
        if media.spans is None or media.announced is None:
            raise ValueError("only a body of known length with spans can come over several connections")
        ranged = _Ranged(self, media.spans, source, at=media.offset, total=media.announced)
        try:
            async with aclosing(ranged.chunks(media.chunks)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            await ranged.drop()

    def plan(self, source: str, *, rate: float, left: int) -> spans.Plan | None:
        """How a body of this source should go on."""
        if self.clock.monotonic() < self._barred.get(source, 0.0):
            return None
        free = self._connections - self._open
        return spans.plan(self.rule, rate=rate, left=left, free=free, room=self._budget.spare(self.lendable))

    def bar(self, source: str) -> None:
        """No further connections to this source for a while."""
        self._barred[source] = self.clock.monotonic() + self.rule.rest

    def opened(self) -> None:
        """One connection more."""
        self._open += 1

    def closed(self) -> None:
        """One connection less."""
        self._open -= 1

    def borrow(self, size: int) -> bool:
        """Room for a span and a connection to fetch it, where there are both this moment."""
        return self._open < self._connections and self._budget.borrow(size, most=self.lendable)

    def give_back(self, size: int) -> None:
        """The span was handed on, or dropped."""
        self._budget.give_back(size)


class _Ranged:
    """One body. `_at` is the next byte to hand on, `_next` the next one to ask for; between them lie the spans of `_window`."""

    def __init__(self, shared: Ranges, source_spans: Spans, source: str, *, at: int, total: int) -> None:
        self._shared = shared
        self._spans = source_spans
        self._source = source
        self._total = total
        self._at = at
        self._next = at
        self._window: deque[Span] = deque()
        self._plan: spans.Plan | None = None  # None: one connection, and no further spans
        self._meter: spans.Meter | None = None  # of all connections together, while there is a plan
        self._connections = 0
        self._pause = 0.0  # seconds that the host is left alone before it is asked for the rest
        self._ending: list[asyncio.Task[None]] = []

    async def chunks(self, first: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._alone(first)) as chunks:
            async for chunk in chunks:
                yield chunk
        while self._at < self._total:
            async with aclosing(self._together() if self._window else self._again()) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def drop(self) -> None:
        """Ends what is under way and gives back what it held."""
        self._plan = None
        self._let_go()
        await asyncio.gather(*self._ending, return_exceptions=True)

    # -- one connection

    async def _again(self) -> AsyncGenerator[bytes, None]:
        """The rest over one connection, where further ones came to an end before the body did."""
        if self._pause:
            await self._shared.clock.sleep(self._pause)
            self._pause = 0.0
        async with self._spans.open(self._at, self._total) as stream, aclosing(self._alone(stream)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _alone(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """What one connection brings: all of it, or what comes until others can take over."""
        meter, monotonic = spans.single(self._shared.rule), self._shared.clock.monotonic
        self._opened()
        try:
            async with aclosing(stream):
                while not self._handed_over():
                    before = monotonic()
                    chunk = await anext(stream, None)
                    if chunk is None:
                        if self._at < self._total:
                            raise errors.MediaIncomplete(f"{self._at} bytes received, {self._total} announced")
                        return
                    waited = monotonic() - before
                    self._at += len(chunk)
                    await self._shared.pace.passed(len(chunk))
                    yield chunk
                    if self._plan is not None:
                        self._judge(len(chunk), waited)
                    elif not self._window and (rate := meter.add(len(chunk), waited)) is not None:
                        self._begin(rate)
        finally:
            self._closed()

    def _handed_over(self) -> bool:
        """Whether the bytes from here on come by the spans. Any trouble with one of them before that ends them all."""
        trouble = next((span for span in self._window if span.failure is not None or span.troubled), None)
        if trouble is not None:
            self._give_up(trouble.failure or errors.ProviderUnavailable("a range broke off"))
        return bool(self._window) and self._at >= self._window[0].first and all(span.at > span.first for span in self._window)

    def _begin(self, rate: float) -> None:
        found = self._shared.plan(self._source, rate=rate, left=self._total - self._at)
        if found is None:
            return
        self._plan = found
        self._next = min(self._at + found.span, self._total)  # until then this connection goes on
        self._fill()
        if not self._window:
            self._plan = None
            return
        self._meter = spans.together(found)
        number = 1 + len(self._window)
        log.info("ranges_begun", source=self._source, host=self._spans.host, connections=number, rate=round(rate))

    # -- several

    async def _together(self) -> AsyncGenerator[bytes, None]:
        """The spans in order, each asked for as soon as there is room, until there are no more of them or one failed."""
        monotonic = self._shared.clock.monotonic
        while self._window and self._window[0].first <= self._at:
            span = self._window[0]
            self._fill()
            while self._at < span.stop or not span.over:
                before = monotonic()
                try:
                    piece = await span.take()
                except errors.ProviderError as error:
                    self._give_up(error)
                    return
                if piece is None:
                    break
                new = piece[max(0, len(piece) - (span.taken - self._at)) :]  # the first connection may have come this far
                self._judge(len(new), monotonic() - before)
                self._at += len(new)
                if new:
                    yield new
            self._window.popleft()
            self._end(span)
        self._plan = None
        self._let_go()

    def _judge(self, size: int, waited: float) -> None:
        """Stops where several connections turn out not to be quicker than the one was."""
        if self._plan is None or self._meter is None:
            return
        rate = self._meter.add(size, waited)
        if rate is not None and not spans.worthwhile(self._shared.rule, self._plan, rate):
            self._stop(f"{rate:.0f} bytes/s over {self._plan.connections} connections, {self._plan.rate:.0f} over one")

    def _fill(self) -> None:
        """Asks for further spans while there are connections and room for them, and none has failed."""
        while self._plan is not None and self._connections < self._plan.connections and len(self._window) < self._plan.window:
            found = spans.next_span(self._plan, at=self._next, total=self._total)
            failed = any(span.failure is not None for span in self._window)
            if found is None or failed or not self._shared.borrow(found[1] - found[0]):
                return
            span = Span(*found)
            self._opened()
            span.task = asyncio.create_task(self._fetch(span))
            span.task.add_done_callback(span.ended)
            span.task.add_done_callback(self._fetched)
            self._window.append(span)
            self._next = span.stop

    def _fetched(self, _task: asyncio.Task[None]) -> None:
        """A connection is free for the next span, whether or not the one it brought was handed on yet."""
        self._closed()
        self._fill()

    def _opened(self) -> None:
        self._connections += 1
        self._shared.opened()

    def _closed(self) -> None:
        self._connections -= 1
        self._shared.closed()

    async def _fetch(self, span: Span) -> None:
        """Fetches a span, going on where the line was cut; raises what it failed with for good."""
        for tried in range(1, TRIES + 1):
            try:
                async with self._spans.open(span.at, span.stop) as stream:
                    async for piece in stream:
                        span.put(piece)
                        await self._shared.pace.passed(len(piece))
                if span.at < span.stop:
                    raise errors.MediaIncomplete(f"{span.at - span.first} bytes came, {span.size} were asked for")
            except _BROKEN_OFF as error:
                span.troubled = True
                if isinstance(error, errors.MediaChanged) or tried == TRIES or span.at == span.stop:
                    raise
            except errors.RateLimited as error:
                self._stop(str(error))
                self._pause = self._shared.rule.pause
                raise
            else:
                return

    def _give_up(self, failure: BaseException) -> None:
        """Goes back to one connection; raises MediaChanged, for what was begun is no longer there."""
        self._stop(str(failure))
        self._let_go()
        if isinstance(failure, errors.MediaChanged) or not isinstance(failure, errors.ProviderError):
            raise failure

    def _stop(self, reason: str) -> None:
        """Asks for no further spans; those under way may end."""
        if self._plan is not None:
            log.info("ranges_ended", source=self._source, host=self._spans.host, reason=reason)
        self._plan = None
        self._shared.bar(self._source)

    def _let_go(self) -> None:
        """Cancels what is under way; its room is free again when its task has ended, which `drop` waits for."""
        while self._window:
            self._end(self._window.popleft())

    def _end(self, span: Span) -> None:
        """Gives back what a span held, once its task has ended."""
        if span.task is None or span.task.done():
            self._shared.give_back(span.size)
            return
        span.task.cancel()
        span.task.add_done_callback(lambda _task: self._shared.give_back(span.size))
        self._ending.append(span.task)
