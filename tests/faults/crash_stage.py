"""What outlives the processes that are killed, and how each of them opens the program over it."""

import contextlib
from collections import Counter
from dataclasses import dataclass, field

from archiver import app as app_module
from archiver.app import open_app
from archiver.catalog.leases import Worker
from tests.faults.crash_ports import Driver, MortalDatabase, MortalProvider, MortalStore
from tests.faults.truth import Truth
from tests.faults.virtual_time import SimClock
from tests.pipeline.fake_provider import FakeProvider
from tests.pipeline.memory_store import MemoryStore

PART = 1000
SOURCE = "rooms"
NOBODY = 2**22 + 1  # above the largest pid of Linux: a worker of this pid is dead


class Store(MemoryStore):
    """A store without a clock of its own."""

    async def ahead(self):
        return None


class Provider(FakeProvider):
    """One that remembers everything it ever listed and every content it ever had."""

    def __init__(self):
        super().__init__(source=SOURCE)
        self.ever = set()
        self.gone = set()
        self.earlier = {}

    async def delete(self, ref):
        await super().delete(ref)
        self.gone.add(ref.recording_id)

    def put(self, *items):
        super().put(*items)
        self.ever |= {item.recording_id for item in items}


@dataclass
class Stage:
    """What outlives every process: the provider, the database, the store. `served` counts the bytes of media handed out."""

    driver: Driver
    store: object
    provider: Provider
    seed: str
    settings: object
    served: Counter = field(default_factory=Counter)
    processes: int = 0
    foreign: list = field(default_factory=list)  # uploads that are not ours, and must be left alone

    @contextlib.asynccontextmanager
    async def process(self, life, *, host="here"):
        """The program's App over this stage, in one process, opened and closed as the program does it."""
        self.processes += 1
        clock = SimClock(f"{self.seed} {self.processes}")
        self.provider.clock = clock
        name = f"sync@{host}:{self.processes}"
        worker = Worker(name=name, host=host, pid=NOBODY + self.processes, born=1, command="sync")

        @contextlib.asynccontextmanager
        async def open_database(*_given, **_options):
            async with MortalDatabase(self.driver, clock=clock.now, life=life) as database:
                yield database

        made = {
            "open_database": open_database,
            "this_worker": lambda *_given: worker,
            "make_storage": lambda *_given: MortalStore(self.store, life),
            "open_provider": lambda *_given: MortalProvider(self.provider, life, self.served),
        }
        with _instead(app_module, made):
            async with open_app(self.settings, command="sync", clock=clock) as app:
                yield app

    def truth(self):
        """What the provider listed and held."""
        truth = Truth(listed={(SOURCE, recording_id) for recording_id in self.provider.ever})
        for (recording_id, rendition), file in self.provider.files.items():
            truth.add(SOURCE, recording_id, rendition, file.body)
            for body in self.provider.earlier.get(recording_id, ()):
                truth.add(SOURCE, recording_id, rendition, body)
        return truth


@contextlib.contextmanager
def _instead(module, made):
    """Other factories in the program's composition root."""
    before = {name: getattr(module, name) for name in made}
    vars(module).update(made)
    try:
        yield
    finally:
        vars(module).update(before)
