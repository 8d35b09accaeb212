"""Random histories of policies, holds, clocks, kills and restored catalogs, against a model that knows what is true.

    problems = await play(url, seed)         # empty, or what was deleted that must not have been; the seed tells it all again

The model shares no code with the product: its calendar, its idea of a hold and of a promise are its own. It goes by true time, which
nobody can set. What the world promises: at least one of the machine's clock, the store's clock and the seconds since the process
began is right, and the history is sealed before anybody restores an older catalog.
"""

import random
import sqlite3
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from archiver.domain.errors import ArchiverError, StorageUnavailable
from archiver.domain.plan import read
from archiver.domain.ports import Later
from archiver.domain.retention import RefusedByPolicy
from archiver.sealing import seal_before_end
from tests.faults.inline_sqlite import InlineDatabase
from tests.retention.archive import NOON, SOURCE, Clock, archive, configured, policy, source
from tests.retention.locking_store import NO_LOCKS, LockingStore

DAY = timedelta(days=1)
BELIEVED = timedelta(seconds=62)  # clocks within a minute are believed, and a store's Date counts whole seconds
KEEPS = {"30d": (0, 30), "1y": (1, 0), "2y": (2, 0), "7y": (7, 0)}
STEPS = 16
ALWAYS = ("bring", "bring", "age", "age", "age", "age", "job", "job", "job", "job", "plan", "apply", "hold", "release", "restart")
TROUBLE = ("policy", "clock", "store_clock", "backup restore", "kill", "change", "spoil", "erase", "poor", "hold release")
KINDS = 3  # of trouble in one history: with all of them at once nothing is ever believed, and nothing is tried


def kept_until(end, keep):
    """The model's own calendar."""
    years, days = KEEPS[keep]
    try:
        moved = end.replace(year=end.year + years)
    except ValueError:
        moved = datetime(end.year + years, 3, 1, end.hour, end.minute, end.second, end.microsecond, tzinfo=UTC)
    return moved + timedelta(days=days)


class TrueClock(Clock):
    """`at` is what the machine says; `true` is the time."""

    @property
    def true(self):
        return NOON + timedelta(seconds=self.passed)


@dataclass
class Truth:
    """What is true of one recording, whoever remembers it."""

    end: datetime
    room: str
    promised: datetime | None = None  # kept until then, whatever anybody says later
    archived: datetime | None = None
    changed: bool = False  # at the provider, since it was archived
    erasing: bool = False


@dataclass
class Hold:
    """A hold in force; `room` "" is everything, `future` also what comes later."""

    ids: set
    room: str
    future: bool
    released: bool = False


@dataclass
class World:
    """The truth of one history, and the problems found."""

    random: random.Random
    it: object = None
    recordings: dict = field(default_factory=dict)
    holds: dict = field(default_factory=dict)
    keep: str | None = "1y"
    backups: list = field(default_factory=list)
    plans: list = field(default_factory=list)
    seen: int = 0
    gone: int = 0
    problems: list = field(default_factory=list)
    log: list = field(default_factory=list)
    deletions: int = 0
    releases: int = 0
    refusals: int = 0

    def held(self, recording_id):
        return [case for case, hold in self.holds.items() if not hold.released and recording_id in hold.ids]

    def over(self, one, at):
        """Whether nothing promised any longer stands against the deletion of a recording."""
        if self.keep is None:
            return False
        ends = [kept_until(one.end, self.keep), *([one.promised] if one.promised else [])]
        return all(until <= at + BELIEVED for until in ends)

    def promise(self, recording_id):
        one = self.recordings[recording_id]
        if self.keep is not None:
            until = kept_until(one.end, self.keep)
            one.promised = max(until, one.promised or until)

    # -- the laws

    def judge(self):
        """Every deletion since the last look, against what was true when it was asked for."""
        store, clock = self.it.store, self.it.clock
        for call in store.deletions[self.seen :]:
            if call.key.startswith("_"):
                continue
            self.deletions += 1
            recording_id = call.key.split("/")[4]
            one = self.recordings[recording_id]
            if self.held(recording_id):
                self.problems.append(f"I11: {recording_id} is held by {self.held(recording_id)} and was deleted")
            if call.legal_hold or (call.locked_until is not None and call.locked_until > call.at):
                self.problems.append(f"I11: {recording_id}: the store's own lock or hold stood against it")
            if not one.erasing and not self.over(one, clock.true):
                self.problems.append(f"I11: {recording_id} ended {one.end}, is kept {self.keep}, deleted on {clock.true}")
        self.seen = len(store.deletions)

    def judge_release(self, recording_id, run):
        """One deletion at the provider (I14)."""
        self.releases += 1
        one, clock, it = self.recordings[recording_id], self.it.clock, self.it
        told = [
            (self.held(recording_id), "held"),
            (one.changed, "changed since it was archived"),
            (one.archived is None or clock.true - one.archived < DAY - BELIEVED, "not cooled off"),
            (not any(line.startswith("read ") and f"/{recording_id}/" in line for line in it.store.log[run:]), "not read back"),
            (not self._whole(recording_id), "its object here is not locked, or not what it was"),
        ]
        self.problems += [f"I14: {recording_id}: {says}" for broken, says in told if broken]

    def _whole(self, recording_id):
        found = [kept for key, kept in self.it.store.objects.items() if key.startswith("rooms/") and f"/{recording_id}/" in key]
        unlocked = self.it.settings.sources[0].allow_unlocked_source_deletion
        now = self.it.store.now()
        return any(
            bytes(kept.body) == self.it.provider.files[recording_id, "media"].body
            and (unlocked or (kept.stored.retain_until is not None and kept.stored.retain_until > now))
            for kept in found
        )


class Play:
    """One history: steps drawn from a seed."""

    def __init__(self, world):
        self.w = world
        self.it = world.it
        self.r = world.random
        self.run = 0
        kinds = [*self.r.sample(TROUBLE, KINDS), *(["clock clock clock"] if self.it.store.clockless else [])]
        self.what = (*ALWAYS, *" ".join(kinds).split())
        plain = self.it.provider.delete

        async def delete(ref):
            world.judge_release(ref.recording_id, self.run)
            await plain(ref)

        self.it.provider.delete = delete

    async def step(self):
        name = self.r.choice(self.what)
        self.w.log.append(name)
        self.run = len(self.it.store.log)
        try:
            await getattr(self, name)()
        except RefusedByPolicy:
            self.w.refusals += 1
        except ArchiverError:
            pass
        self.w.judge()
        await seal_before_end(self.it.app, wait=True)

    async def bring(self):
        recording_id = f"r{len(self.w.recordings)}"
        room = self.r.choice(["board", "sales"])
        ago = timedelta(days=self.r.choice([0, 0, 20, 200, 800]), hours=1)
        end = self.it.clock.true - ago
        self.w.recordings[recording_id] = Truth(end=end, room=room)
        for hold in self.w.holds.values():
            if not hold.released and hold.future and hold.room in ("", room):
                hold.ids.add(recording_id)
        await self.it.listed(recording_id, ended_at=end, room_name=room)
        await self._work()

    async def _work(self):
        before = set(self.it.media())
        await self.it.work()
        fresh = {key.split("/")[4] for key in set(self.it.media()) - before}
        for recording_id in fresh:
            self.w.promise(recording_id)
            self.w.recordings[recording_id].archived = self.it.clock.true

    async def age(self):
        self.it.clock.advance(days=self.r.choice([1, 2, 29, 31, 364, 366, 1500]), hours=self.r.randrange(24))
        await self._work()

    async def job(self):
        applied = await self.it.custody.job()
        if not any("clock" in text or "history" in text for text in applied.problems):
            for recording_id, one in self.w.recordings.items():
                if one.archived is not None and not (self.w.keep and self.w.over(one, self.it.clock.true)):
                    self.w.promise(recording_id)
        self.w.refusals += bool(applied.problems)
        await self._work()

    async def plan(self):
        self.w.plans.append((await self.it.plan()).document())

    async def apply(self):
        if self.w.plans:
            await self.it.custody.apply(read(self.r.choice(self.w.plans)), allowed=self.r.choice([None, 1000]))

    async def hold(self):
        case = f"case-{len(self.w.holds)}"
        room = self.r.choice(["", "board"])
        future = self.r.random() < 0.5
        chosen = {"room": room} if room else {"sources": (SOURCE,)}
        placed = await self.it.hold(case, future=future, **chosen)
        states = await self.it.states()
        ids = {
            key for key, one in self.w.recordings.items() if room in ("", one.room) and states.get(key, "expired") != "expired"
        }
        if placed.recordings or future:
            self.w.holds[case] = Hold(ids=ids, room=room, future=future)
        if self.r.random() < 0.7:
            await self.it.custody.holds()

    async def release(self):
        in_force = [case for case, hold in self.w.holds.items() if not hold.released]
        if in_force:
            case = self.r.choice(in_force)
            if await self.it.release_hold(case) is not None:
                self.w.holds[case].released = True
            await self.it.custody.holds()

    async def policy(self):
        self.w.keep = self.r.choice([None, *KEEPS])
        self._configure()

    def _configure(self):
        given = self.it.settings
        self._looked_at()
        self.it.configure(
            configured(
                policies=[policy("all", self.w.keep)] if self.w.keep else [],
                sources=given.sources,
                mode="" if given.storage.object_lock == "off" else given.storage.object_lock,
                max_share=given.retention.max_share,
                max_count=given.retention.max_count,
            )
        )

    async def clock(self):
        """Somebody sets the machine's clock, while the program runs; the store's is right then."""
        self.it.store.skew = timedelta(0)
        wrong = self.r.choice([0, 30, -30, 3600, -86400, -400 * 86400, 400 * 86400, 3650 * 86400])
        self.it.clock.set_to(self.it.clock.true + timedelta(seconds=wrong))
        self.it.store.skew = self.it.clock.true - self.it.clock.at

    async def store_clock(self):
        """The store's clock goes wrong; the machine's is right then."""
        self.it.clock.set_to(self.it.clock.true)
        self.it.store.skew = timedelta(seconds=self.r.choice([0, 0, 40, -40, 7200, 3650 * 86400]))

    async def backup(self):
        copy = sqlite3.connect(":memory:")
        live = sqlite3.connect(self.it.url.removeprefix("sqlite:///"))
        live.backup(copy)
        live.close()
        self.w.backups.append((copy, {case: replace(hold, ids=set(hold.ids)) for case, hold in self.w.holds.items()}))

    async def restore(self):
        """An older catalog, from before some holds and promises; what was released since is held again, as far as it knows."""
        if self.w.backups:
            copy, _holds = self.r.choice(self.w.backups)
            live = sqlite3.connect(self.it.url.removeprefix("sqlite:///"))
            copy.backup(live)
            live.close()
            await self.restart()

    async def kill(self):
        where = self.r.choice([self.it.store.before, self.it.store.after])
        where[self.r.choice(["delete", "head", "put", "read", "hold", "extend"])].append(StorageUnavailable("killed"))

    async def restart(self):
        self._looked_at()
        self.it.restart()
        await self._work()

    def _looked_at(self):
        """Where there is one clock only, nobody could tell afterwards: whoever starts the program looks at it."""
        if self.it.store.clockless:
            self.it.clock.set_to(self.it.clock.true)

    async def change(self):
        """Other content at the provider, which no list has shown yet."""
        known = [key for key in self.w.recordings if key in self.it.provider.listed]
        if known:
            recording_id = self.r.choice(known)
            self.it.provider.listed[recording_id] = replace(
                self.it.provider.listed[recording_id], size=self.r.randrange(1, 10**6)
            )
            self.w.recordings[recording_id].changed = True

    async def spoil(self):
        """A bit in the archive falls over, or somebody takes a lock away."""
        media = self.it.media()
        if media:
            key = self.r.choice(media)
            if self.r.random() < 0.5:
                self.it.store.objects[key].body[-1] ^= 1
            else:
                self.it.store._change(key, lock_mode="", retain_until=None)

    async def erase(self):
        known = sorted(self.w.recordings)
        if known:
            recording_id = self.r.choice(known)
            self.w.recordings[recording_id].erasing = True
            await self.it.request_erasure(ids=(recording_id,))

    async def poor(self):
        self.it.store.may_delete = self.r.random() < 0.8
        if self.it.settings.storage.locks:
            self.it.store.later_works = self.r.choice([Later(), Later(retention=True, hold=True)])


async def play(url, seed, *, steps=STEPS):
    """Plays one history; gives its World, whose `problems` should be empty."""
    chance = random.Random(seed)
    world = World(random=chance)
    mode = chance.choice(["", "governance", "compliance"])
    clock = TrueClock()
    store = LockingStore(part_size=5 * 1024**2, clock=clock)
    if not mode:  # as a folder, or a poor compatible: all protection is the catalog's
        store.abilities, store.later_works, store.clockless = NO_LOCKS, Later(), chance.random() < 0.5
    unlocked = chance.random() < 0.3
    sources = [source(delete=chance.choice([None, "24h", "24h", "30d"]), unlocked=unlocked)]
    limits = {"max_share": chance.choice([1.0, 1.0, 1.0, 0.3]), "max_count": chance.choice([500, 500, 2])}
    given = {"policies": [policy("all", "1y")], "mode": mode, "sources": sources, **limits}
    async with archive(url, clock=clock, store=store, database=InlineDatabase, **given) as it:
        world.it = it
        playing = Play(world)
        await playing.bring()
        if "restore" in playing.what:  # else most restored catalogs would have forgotten nothing that matters
            await playing.backup()
            await playing.hold()
            await seal_before_end(it.app, wait=True)
        for _ in range(steps):
            await playing.step()
            if world.problems:
                break
    for copy, _holds in world.backups:
        copy.close()
    return world
