"""The database fails in every way that databases fail, and the catalog neither doubles nor loses nor lets a foreign error out (3c)."""

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa

from archiver.catalog.database import Database, driver_url, sqlite_path
from archiver.catalog.tables import leases, ledger, passes, recordings, renditions
from archiver.domain.errors import CatalogError, CatalogUnavailable
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.work import Outcome
from tests.catalog.test_passes import a_pass
from tests.catalog.world import KIND, NOON, SOURCE, Clock, a_listing, failed_once, stored
from tests.testbed.faults import BlackHole, Cut, DropReply

COMMIT = DropReply(request=rb"COMMIT")


@pytest.fixture
async def proxied(pg, tcp_proxy):
    """`pg`, a proxy in front of its database, and a worker called `far` that goes through it."""
    parts = urlsplit(pg.url)
    proxy = await tcp_proxy(parts.hostname, parts.port)
    far = await pg.another("far", url=proxy.url_for(pg.url))
    return pg, proxy, far


# -- the answer to COMMIT is lost


async def repeated(proxy, act):
    """Does something whose first answer is lost, then once more."""
    rule = proxy.add(COMMIT, times=1)
    with pytest.raises(CatalogUnavailable):
        await act()
    assert rule.fired == 1
    return await act()


async def test_a_page_whose_commit_was_not_answered_is_there_once(proxied):
    pg, proxy, far = proxied
    added = await repeated(proxy, lambda: far.add_page(SOURCE, KIND, [a_listing("r1"), a_listing("r2")]))
    assert added.ids == {"r1", "r2"}
    assert (await pg.count(recordings), await pg.count(renditions), await pg.count(ledger)) == (2, 2, 2)


async def test_outcomes_whose_commit_was_not_answered_are_applied_once(proxied):
    pg, proxy, far = proxied
    await pg.lists(a_listing("r1"), a_listing("r2"))
    entries = await far.claim(5, sources=[SOURCE])
    late = await repeated(proxy, lambda: far.save([stored(entries[0]), failed_once(entries[1], gone=True)]))
    assert late == []
    assert await pg.events("r1") == ["discovered", "claimed", "stored"]
    assert await pg.events("r2") == ["discovered", "claimed", "retry_scheduled"]
    assert ((await pg.row("r2")).attempts, (await pg.recording("r2")).gone_looks) == (1, 1)


async def test_a_verification_whose_commit_was_not_answered_is_applied_once(proxied):
    pg, proxy, far = proxied
    await pg.archived()
    (entry,) = await far.claim_stored(5, sources=[SOURCE])
    assert await repeated(proxy, lambda: far.save([Outcome(entry=entry, event=Event.VERIFIED)])) == []
    assert await pg.events() == ["discovered", "claimed", "stored", "verified"]


async def test_a_pass_whose_commit_was_not_answered_is_kept_once(proxied):
    pg, proxy, far = proxied
    await repeated(proxy, lambda: far.finish_pass(SOURCE, KIND, [a_pass(new=2)], watermark=NOON))
    assert (await pg.count(passes), await pg.count(ledger)) == (1, 1)


async def test_a_lease_whose_commit_was_not_answered_is_held_once(proxied):
    pg, proxy, far = proxied
    assert await repeated(proxy, lambda: far.acquire("seal", seconds=60))
    assert await pg.count(leases) == 1
    assert not await pg.me.acquire("seal", seconds=60)


async def test_handing_back_without_an_answer_hands_back_once(proxied):
    pg, proxy, far = proxied
    await pg.lists(a_listing())
    await far.claim(5, sources=[SOURCE])
    assert await repeated(proxy, far.hand_back) == 0
    assert await pg.events() == ["discovered", "claimed", "released"]


async def test_a_worker_whose_entering_was_not_answered_enters(proxied):
    _, proxy, far = proxied
    assert await repeated(proxy, far.enter) == 0


# -- the connection ends at any statement


async def test_a_connection_cut_at_any_statement_of_a_save_leaves_all_or_nothing(proxied):
    pg, _, far = proxied
    await pg.lists(*(a_listing(f"r{n}") for n in range(40)))
    statements = count_statements(far.database)
    (entry,) = await far.claim(1, sources=[SOURCE])
    del statements[:]
    assert await far.save([stored(entry)]) == []
    whole = len(statements)
    assert whole >= 3
    for nth in range(1, whole + 1):
        (entry,) = await far.claim(1, sources=[SOURCE])
        with dying_at(far.database, nth, pg.url), pytest.raises(CatalogUnavailable):
            await far.save([stored(entry)])
        assert await pg.state(entry.recording_id) is State.TRANSFERRING
        assert await pg.events(entry.recording_id) == ["discovered", "claimed"]
        assert await far.save([stored(entry)]) == []
        assert await pg.events(entry.recording_id) == ["discovered", "claimed", "stored"]


def count_statements(database):
    """A list that grows with every statement the database executes."""
    seen = []
    sa.event.listen(database._engine.sync_engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


@contextlib.contextmanager
def dying_at(database, nth, url):
    """The server ends the connection when it is about to execute its nth statement."""
    seen = []

    def before(connection, _cursor, statement, *_rest):
        seen.append(statement)
        if len(seen) == nth:
            pid = connection.connection.driver_connection.info.backend_pid
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])

    engine = database._engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", before)
    assert len(seen) >= nth


# -- the database is not there


async def test_a_database_that_refuses_is_unavailable_and_comes_back_by_itself(proxied):
    pg, proxy, far = proxied
    async with proxy.closed():
        proxy.cut_all()
        for ask in asks(far):
            with pytest.raises(CatalogUnavailable, match=r"cannot be used now|was lost"):
                await ask()
    assert (await far.add_page(SOURCE, KIND, [a_listing()])).new == 1
    assert await pg.state() is State.DUE


def asks(catalog):
    """A read, a write, and the rest of what a poll does."""
    return [
        lambda: catalog.source_state(SOURCE),
        lambda: catalog.add_page(SOURCE, KIND, [a_listing()]),
        lambda: catalog.claim(1, sources=[SOURCE]),
        lambda: catalog.next_due(sources=[SOURCE]),
        catalog.heartbeat,
        catalog.counts,
    ]


@pytest.mark.parametrize(
    "fault", [Cut(after=0), Cut(after=300), Cut(after=1500)], ids=["at once", "in the greeting", "in an answer"]
)
async def test_a_connection_that_breaks_anywhere_is_unavailable_and_nothing_else(proxied, fault):
    pg, proxy, far = proxied
    rule = proxy.add(fault, times=1)
    proxy.cut_all()
    for _ in range(3):
        with contextlib.suppress(CatalogUnavailable):
            await far.add_page(SOURCE, KIND, [a_listing()])
    assert rule.fired == 1
    assert await pg.events() == ["discovered"]


async def test_an_unknown_host_and_a_wrong_password_are_told_without_the_password(pg):
    for url in ("postgresql://me:s3cr3t@no-such-host.invalid/db", pg.url.replace("postgres@", "nobody:s3cr3t@")):
        async with Database(url, clock=Clock()) as database:
            with pytest.raises(CatalogUnavailable) as refused:
                await database.now()
            assert "s3cr3t" not in str(refused.value)


async def test_a_call_that_is_cancelled_leaves_nothing_half_done_and_the_pool_whole(proxied):
    pg, proxy, far = proxied
    rule = proxy.add(BlackHole())
    asking = asyncio.create_task(far.add_page(SOURCE, KIND, [a_listing()]))
    while not rule.fired:  # noqa: ASYNC110 -- the proxy sets no event for it
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    proxy.remove(rule)
    assert (await far.add_page(SOURCE, KIND, [a_listing()])).new == 1
    assert await pg.events() == ["discovered"]


# -- races


@pytest.mark.parametrize("way", ["write", "read"])
async def test_a_cancellation_is_one_although_the_connection_breaks_meanwhile(pg, way):
    """psycopg asks the server to end the query, and raises what comes of that: whoever was cancelled went on, for ever in a loop."""
    waiting = asyncio.Event()

    async def breaks(*_given):
        waiting.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("server closed the connection")) from None

    async def reads():
        async with pg.me.database.read() as conn:
            await breaks(conn)

    async def goes_on():
        for _ in range(2):
            with contextlib.suppress(CatalogUnavailable):
                await (pg.me.database.write(breaks) if way == "write" else reads())

    task = asyncio.create_task(goes_on())
    await waiting.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done
    assert task.cancelled()


async def test_a_deadlock_is_run_again_and_both_units_are_done(pg):
    await pg.claimed("r1", "r2")
    met = asyncio.Barrier(2)

    def unit(first, second):
        tries = []

        async def act(tx):
            tries.append(1)
            await tx.execute(sa.text("SET LOCAL deadlock_timeout = '10ms'"))
            await bump(tx, first)
            if len(tries) == 1:
                await met.wait()
            await bump(tx, second)
            return len(tries)

        return act

    async def bump(tx, name):
        named = sa.select(recordings.c.id).where(recordings.c.recording_id == name).scalar_subquery()
        raised = sa.update(renditions).where(renditions.c.recording_pk == named)
        await tx.execute(raised.values(attempts=renditions.c.attempts + 1))

    tries = await asyncio.gather(pg.me.database.write(unit("r1", "r2")), pg.you.database.write(unit("r2", "r1")))
    assert sorted(tries) == [1, 2]
    assert [(await pg.row(name)).attempts for name in ("r1", "r2")] == [2, 2]


async def test_a_serialization_failure_is_run_again(pg):
    await pg.claimed()
    tries = []

    async def act(tx):
        tries.append(1)
        if len(tries) < 3:
            await tx.execute(sa.text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$"))
        return len(tries)

    assert await pg.me.database.write(act) == 3


async def test_a_race_that_never_ends_is_told_after_a_few_tries(pg, monkeypatch):
    tries = []

    async def no_time(_seconds):
        return None

    async def act(tx):
        tries.append(1)
        await tx.execute(sa.text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$"))

    monkeypatch.setattr("archiver.catalog.database.asyncio.sleep", no_time)
    with pytest.raises(CatalogError):
        await pg.me.database.write(act)
    assert len(tries) == 6


# -- what is no fault of the database


async def test_an_error_of_the_unit_itself_comes_out_as_it_is_and_rolls_back(world):
    async def act(tx):
        await tx.execute(sa.delete(ledger))
        raise KeyError("mine")

    await world.lists(a_listing())
    with pytest.raises(KeyError, match="mine"):
        await world.me.database.write(act)
    assert await world.events() == ["discovered"]


async def test_an_error_of_a_reader_comes_out_as_it_is(world):
    with pytest.raises(BrokenPipeError):
        async with world.me.database.read():
            raise BrokenPipeError


async def test_a_statement_that_is_wrong_is_refused_without_its_text_and_parameters(world):
    with pytest.raises(CatalogError) as refused:
        await world.me.database.write(lambda tx: tx.execute(sa.text("SELECT * FROM nowhere WHERE x = :x"), {"x": "s3cr3t"}))
    assert "s3cr3t" not in str(refused.value)


def test_urls_of_other_databases_are_refused_by_name():
    with pytest.raises(CatalogError, match="mysql"):
        driver_url("mysql://x/y")
    assert driver_url("postgres://h/d").get_backend_name() == "postgresql"
    assert sqlite_path("sqlite:////tmp/x.db") == Path("/tmp/x.db")
    assert sqlite_path("postgresql://h/d") is None
