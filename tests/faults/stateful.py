"""Any order of listing, fetching, failing, crashing, jumping clocks and second workers, against the model of tests/faults/model.py.

`machine(new_catalog)` makes a Hypothesis state machine over the catalogs that `new_catalog` opens; after every step the real
catalog is compared with the model row by row: state, revision, attempts, priority, holder, lease, object, and the whole history.
"""

import asyncio
import contextlib
import os
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from archiver.catalog import invariants, operator
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.leases import Worker, born
from archiver.catalog.tables import ledger, recordings, renditions, superseded, workers
from archiver.domain.errors import StaleEntry
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Listed, ProviderStatus
from archiver.domain.work import Outcome
from tests.faults.model import Model
from tests.faults.reach import Reach, Row

SOURCE, KIND = "rooms", "telnyx-rooms"
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
IDS = [f"r{number}" for number in range(6)]
ALIVE = (os.getpid(), born(os.getpid()))
R, C, L = renditions.c, recordings.c, ledger.c

statuses = st.sampled_from(["completed", "completed", "completed", "processing", "deleted", "failed", "unknown"])
listings = st.tuples(st.sampled_from(IDS), statuses, st.sampled_from([100, 200]), st.booleans(), st.sampled_from([1, 70]))
who = st.sampled_from(["me", "you"])
any_entry = st.integers(0, 30)


class CatalogMachine(RuleBasedStateMachine):
    """Two workers on one catalog. `entries` are all that they were ever given, stale ones too: zombies try them again."""

    new_catalog = None  # set by `machine`
    reach = Reach("stateful")
    steps = 0

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = contextlib.AsyncExitStack()
        self.now = NOON
        self.model = Model()
        self.entries = defaultdict(list)
        self.last = {}
        self.lives = defaultdict(int)

    @initialize()
    def begin(self):
        self.database = self.run(self.stack.enter_async_context(self.new_catalog(lambda: self.now)))
        self.catalogs = {name: self.enter(name) for name in ("me", "you")}

    def teardown(self):
        try:
            if hasattr(self, "database"):
                broken = self.run(self.laws())
                assert broken == [], broken
        finally:
            self.run(self.stack.aclose())
            self.loop.close()

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def enter(self, name):
        """A new process in the place of `name`, on a host of its own."""
        self.lives[name] += 1
        pid, began = ALIVE
        me = Worker(name=f"{name}{self.lives[name]}", host=name, pid=pid, born=began, command="run")
        catalog = SqlCatalog(self.database, me)
        self.run(catalog.enter())
        return catalog

    # -- the provider

    @rule(page=st.lists(listings, min_size=1, max_size=3, unique_by=lambda item: item[0]), who=who)
    def lists(self, page, who):
        """New recordings, late ones, changed ones, ones that go back to processing."""
        items = []
        for recording_id, status, size, external, hours in page:
            url = "https://customer.example/x" if external and status == "completed" and recording_id == IDS[0] else ""
            ended = NOON - timedelta(hours=hours if recording_id in IDS[:2] else 1)
            items.append(a_listing(recording_id, status, size, url, ended))
            facts = (status, size, url, ended)
            self.model.listed(recording_id, facts, status, (size, ended), external=bool(url), now=self.now)
            self.reach.hit(Row.LATE_ARRIVAL, hours > 1)
        self.reach.hit(Row.CHANGES)
        self.run(self.catalogs[who].add_page(SOURCE, KIND, items))

    @rule(recording_id=st.sampled_from(IDS), looks=st.sampled_from([1, 2]), who=who)
    def is_gone(self, recording_id, looks, who):
        self.reach.hit(Row.VANISHES)
        expected = self.model.gone(recording_id, looks)
        assert bool(self.run(self.catalogs[who].record_gone(SOURCE, recording_id, looks=looks))) is expected

    # -- work

    @rule(who=who, limit=st.integers(1, 4))
    def claims(self, who, limit):
        over, due = self.model.over(self.now, self.catalogs[who].worker.name), self.model.due(self.now)
        entries = self.run(self.catalogs[who].claim(limit, sources=[SOURCE]))
        got = [entry.recording_id for entry in entries]
        assert len(set(got)) == len(got) == min(limit, len(over) + sum(map(len, due.values())))
        taken = set(got) & set(over)
        assert len(taken) == min(limit, len(over))
        left = [self.model.renditions[key].lease for key in set(over) - taken]
        assert all(self.model.renditions[key].lease <= lease for key in taken for lease in left)
        rest = set(got) - taken
        for priority in sorted(due):  # all of one priority before any of the next
            taken = rest & due[priority]
            assert taken == due[priority] or taken == rest, (got, due)
            rest -= taken
        assert not rest
        for entry in entries:
            self.model.claimed(entry.recording_id, self.catalogs[who].worker.name, self.now)
            assert entry.revision == self.model.renditions[entry.recording_id].revision
            self.entries[who].append(entry)

    @rule(who=who, limit=st.integers(1, 4))
    def takes_to_verify(self, who, limit):
        waiting = self.model.unverified(self.now, self.catalogs[who].worker.name)
        entries = self.run(self.catalogs[who].claim_stored(limit, sources=[SOURCE]))
        got = {entry.recording_id for entry in entries}
        assert got <= waiting
        assert len(got) == min(limit, len(waiting))
        for entry in entries:
            self.model.checking(entry.recording_id, self.catalogs[who].worker.name, self.now)
            self.entries[who].append(entry)

    @precondition(lambda self: any(self.entries.values()))
    @rule(
        who=who,
        which=any_entry,
        how=st.sampled_from(["ok", "ok", "ok", "fail", "fail", "gone", "park", "no media", "note"]),
        answered=st.sampled_from([True, True, False]),
    )
    def ends(self, who, which, how, answered):
        """One that it has, or had: fetched, failed, an upload noted. What is another's by now must change nothing.

        Where it was not answered it is said again, and must count once.
        """
        if not self.entries[who]:
            return
        place = -1 - which % len(self.entries[who])
        entry = self.entries[who][place]
        if how == "note":
            self.entries[who][place] = self.note(who, entry)
        else:
            self.save(who, [an_outcome(entry, how)])
            if not answered:
                self.saves_again(who)

    def note(self, who, entry):
        upload = f"u{entry.revision}"
        taken = self.model.noted(entry.recording_id, entry.revision, upload, self.catalogs[who].worker.name)
        try:
            fresh = self.run(self.catalogs[who].note_upload(entry, facts={"upload_id": upload}))
        except StaleEntry:
            assert not taken
            self.reach.hit(Row.ZOMBIES)
            return entry
        assert taken
        return fresh

    @rule(who=who)
    def saves_again(self, who):
        """The answer to its last save was lost, as it learns late."""
        if who in self.last:
            self.reach.hit(Row.DB_COMMIT)
            self.save(who, [self.last[who]])

    def save(self, who, outcomes):
        catalog = self.catalogs[who]
        expected = [item for item in outcomes if not self.model.saved(item, catalog.worker.name, self.now)]
        assert list(self.run(catalog.save(outcomes))) == expected
        self.reach.hit(Row.ZOMBIES, len(expected))
        self.last[who] = outcomes[0]

    # -- time and workers

    @rule(seconds=st.sampled_from([1, 10, 44, 46, 600, 7200, -1, -3600]))
    def time_passes(self, seconds):
        """Also backwards; leases run out where nobody renews them."""
        self.reach.hit(Row.CLOCK_JUMPS, abs(seconds) >= 3600)
        self.now += timedelta(seconds=seconds)

    @rule(who=who)
    def renews(self, who):
        self.model.heartbeat(self.catalogs[who].worker.name, self.now)
        self.run(self.catalogs[who].heartbeat())

    @rule(who=who)
    def hands_back(self, who):
        expected = self.model.handed_back(self.catalogs[who].worker.name, self.now)
        assert self.run(self.catalogs[who].hand_back()) == expected
        self.reach.hit(Row.SIGTERM)

    @rule(who=who, known=st.booleans())
    def crashes(self, who, known):
        """Its successor frees what it held where the kernel knows that it is gone, else leases have to run out."""
        self.reach.hit(Row.KILL)
        dead = self.catalogs[who].worker.name
        if known:
            gone = sa.update(workers).where(workers.c.worker == dead).values(pid=0)
            self.run(self.database.write(lambda tx: tx.execute(gone)))
            self.model.handed_back(dead, self.now)
            self.model.buried(dead)
        self.last.pop(who, None)
        self.catalogs[who] = self.enter(who)

    @rule(who=who, name=st.sampled_from(["poll:rooms", "sweep"]))
    def wants_a_lease(self, who, name):
        catalog = self.catalogs[who]
        expected = self.model.acquired(name, catalog.worker.name, self.now, 60)
        assert self.run(catalog.acquire(name, seconds=60)) is expected

    @rule(who=who)
    def gives_a_lease_back(self, who):
        self.model.surrendered("poll:rooms", self.catalogs[who].worker.name)
        self.run(self.catalogs[who].surrender("poll:rooms"))

    @rule(which=st.sampled_from(["all failed", *IDS]))
    def operator_retries(self, which):
        if which == "all failed":
            expected = self.model.retried([k for k, r in self.model.renditions.items() if r.state == "failed"], self.now)
            assert self.run(self.database.write(lambda tx: operator.retry_all_failed(tx, "operator"))) == expected
        elif which in self.model.renditions and self.model.retried([which], self.now):
            assert self.run(self.database.write(lambda tx: operator.retry(tx, "operator", [f"{SOURCE}/{which}"]))) == 1

    # -- the comparison

    @invariant()
    def the_catalog_is_the_model(self):
        if not hasattr(self, "database"):
            return
        CatalogMachine.steps += 1
        expected = {
            key: (
                *(r.state, r.revision, r.attempts, r.priority, r.worker),
                *(r.lease if r.state == "transferring" else None, r.due if r.state in ("due", "stored") else None),
                *(r.digest, r.upload, r.status, r.gone, r.earlier, r.history),
            )
            for key, r in self.model.renditions.items()
        }
        assert self.run(self.found()) == expected

    async def found(self):
        names = (R.state, R.revision, R.attempts, R.priority, R.worker, R.lease_until, R.due_at, R.sha256, R.upload_id)
        earlier = sa.select(sa.func.count()).where(superseded.c.rendition_pk == R.id).scalar_subquery()
        rows = sa.select(C.recording_id, *names, C.status, C.gone_looks, earlier).join(recordings, C.id == R.recording_pk)
        lines = sa.select(L.recording_id, L.event).where(L.recording_id != "").order_by(L.id)
        history = defaultdict(list)
        async with self.database.read() as conn:
            for recording_id, event in (await conn.execute(lines)).all():
                history[recording_id].append(event)
            found = {}
            for key, *row in (await conn.execute(rows)).all():
                state = row[0]
                row[5] = row[5] if state == "transferring" else None
                row[6] = row[6] if state in ("due", "stored") else None
                found[key] = (*row, history[key])
            return found

    async def laws(self):
        async with self.database.read() as conn:
            return [str(item) for item in await invariants.check(conn, self.now + timedelta(days=1))]


def a_listing(recording_id, status, size, url, ended):
    return Listed(
        recording_id=recording_id,
        status=ProviderStatus(status),
        status_raw=status,
        renditions=("media",),
        raw={"id": recording_id},
        started_at=ended - timedelta(minutes=5),
        ended_at=ended,
        duration=300.0,
        size=size,
        codec="opus",
        external_url=url,
    )


def an_outcome(entry, how):
    """How an attempt on an entry may end."""
    if entry.state == "stored":
        if how in ("ok", "no media"):
            return Outcome(entry=entry, event=Event.VERIFIED)
        if how in ("park", "gone"):
            return Outcome(entry=entry, event=Event.DAMAGED, reason="other bytes")
        return Outcome(entry=entry, event=Event.RETRY_SCHEDULED, reason="503", delay=timedelta(seconds=8))
    digest = f"{entry.recording_id}{entry.listed_size}".encode().hex().rjust(64, "0")
    facts = {"key": f"rooms/{entry.recording_id}/{digest[-12:]}", "size": entry.listed_size, "sha256": digest, "token": "t"}
    endings = {
        "ok": {"event": Event.STORED, "facts": facts},
        "fail": {"event": Event.RETRY_SCHEDULED, "reason": "reset", "delay": timedelta(seconds=8)},
        "gone": {"event": Event.RETRY_SCHEDULED, "reason": "gone", "delay": timedelta(seconds=5), "counts": False, "gone": True},
        "park": {"event": Event.FAILED, "reason": "url_refused"},
        "no media": {"event": Event.UNAVAILABLE, "reason": "404"},
    }
    if how == "gone" and entry.gone_looks:
        return Outcome(entry=entry, event=Event.LOST, reason="gone at two looks", gone=True)
    return Outcome(entry=entry, **endings[how])


def machine(new_catalog):
    """The machine over the catalogs that `new_catalog(clock)` opens, an asynchronous context manager of a Database."""
    return type("CatalogMachine", (CatalogMachine,), {"new_catalog": staticmethod(new_catalog)})
