"""A provider whose media host limits each connection and serves ranges; what it does to each of them is a script."""

import contextlib
import dataclasses
from dataclasses import dataclass, field

from archiver.domain import errors
from archiver.domain.ports import Media
from archiver.pipeline.budget import ByteBudget
from archiver.pipeline.pace import Pace
from archiver.pipeline.ranges import Ranges
from archiver.pipeline.spans import Rule
from archiver.pipeline.transfer import Transfer
from tests.pipeline.fake_provider import FakeProvider, media_bytes, recording
from tests.pipeline.memory_store import MemoryStore
from tests.pipeline.stage import VERSION

HOST = "https://media.example:443"
# Everything is a thousandth of what it is in life, and every connection of the fake host is too slow.
RULE = Rule(
    floor=1e9, least_left=600, warm_up=100, measured=200, patience=1.0, seconds=0.02, least_span=100, most_span=400, gain=0.0
)


@dataclass
class Fate:
    """What becomes of one request for a span: refused, cut after so many bytes, or with bytes that nobody asked for."""

    refused: Exception | None = None
    cut: int | None = None
    failure: Exception | None = field(
        default_factory=lambda: errors.ProviderUnavailable("the connection broke")
    )  # None: silently
    more: int = 0
    chunk: int = 64
    wait: float = 0.01  # seconds before each chunk


class LimitedHost(FakeProvider):
    """`fates` are those of the next requests for a span, honest at 0.01 s a chunk after them; `asked` all that came, and when."""

    def __init__(self, *recordings, **options):
        super().__init__(*recordings, **options)
        self.fates = []
        self.asked = []
        self.asked_at = []  # seconds
        self.refused_at = None
        self.open_now = self.most_open = 0
        self.on_span = lambda: None

    @contextlib.asynccontextmanager
    async def open_media(self, ref, rendition, *, resume=None):
        async with super().open_media(ref, rendition, resume=resume) as media:
            spans = Spans(self, self.files[ref.recording_id, rendition], media) if media.announced else None
            yield dataclasses.replace(media, spans=spans)

    async def _chunks(self, file, at):
        with self.counted():  # a connection is given up with its body, and not only when everything is closed
            async with contextlib.aclosing(super()._chunks(file, at)) as chunks:
                async for chunk in chunks:
                    yield chunk

    @contextlib.contextmanager
    def counted(self):
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            yield
        finally:
            self.open_now -= 1


@dataclass
class Spans:
    """The port's Spans over the file as it is now."""

    provider: LimitedHost
    file: object
    media: Media
    host: str = HOST

    @contextlib.asynccontextmanager
    async def open(self, first, stop):
        provider, file = self.provider, self.file
        assert 0 <= first < stop <= self.media.announced
        provider.asked.append((first, stop))
        provider.asked_at.append(provider.clock.monotonic())
        provider.on_span()
        fate = provider.fates.pop(0) if provider.fates else Fate()
        await provider.clock.sleep(fate.wait)
        if fate.refused is not None:
            provider.refused_at = provider.clock.monotonic()
            raise fate.refused
        if file.etag != self.media.validator:
            raise errors.MediaChanged("another file")
        with provider.counted():
            chunks = self._chunks(file.body[first:stop], fate)
            try:
                yield chunks
            finally:
                await chunks.aclose()

    async def _chunks(self, body, fate):
        body += b"!" * fate.more
        end = len(body) if fate.cut is None else min(fate.cut, len(body))
        for at in range(0, end, fate.chunk):
            await self.provider.clock.sleep(fate.wait)
            yield body[at : min(at + fate.chunk, end)]
        if fate.cut is not None and fate.failure is not None:
            raise fate.failure


class Watched(ByteBudget):
    """Knows the least that was ever free, and the most that was ever lent."""

    def __init__(self, total):
        super().__init__(total)
        self.least_free, self.most_lent = total, 0

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "_free" and hasattr(self, "least_free"):
            self.least_free = min(self.least_free, value)
        if name == "_lent" and hasattr(self, "most_lent"):
            self.most_lent = max(self.most_lent, value)


class Unnoted:
    """As much of the Catalog port as a transfer needs; the last entry it was told of."""

    noted = None

    async def note_upload(self, entry, *, facts):
        self.noted = dataclasses.replace(entry, revision=entry.revision + 1, **facts)
        return self.noted


class Worker:
    """A transfer with ranges over a limited host, and everything it is made of."""

    def __init__(self, clock, *, rule=RULE, budget=20_000, part_size=1000, connections=8, store=None, rate=None, catalog=None):
        self.clock = clock
        self.provider = LimitedHost(clock=clock)
        self.store = store or MemoryStore(part_size, clock=clock)
        self.budget = Watched(budget)
        pace = Pace(rate, clock)
        self.ranges = Ranges(clock=clock, budget=self.budget, pace=pace, connections=connections, part_size=part_size, rule=rule)
        self.transfer = Transfer(
            providers={"rooms": self.provider},
            storage=self.store,
            catalog=catalog or Unnoted(),
            clock=clock,
            budget=self.budget,
            pace=pace,
            lock_for=lambda _entry: None,
            version=VERSION,
            ranges=self.ranges,
        )

    def has(self, name="r1", size=20_000, **how):
        self.provider.put(recording(name))
        return self.provider.has(name, media_bytes(size, name), **{"wait": 0.01, "chunk": 64, **how})

    def at_rest(self):
        """Whether nothing is held any more."""
        return self.budget._free == self.budget.total and self.budget._lent == 0 and self.provider.open_now == 0
