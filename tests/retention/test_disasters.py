"""When nothing may be deleted at all: clocks in doubt, catalogs from yesterday, lists that are empty."""

import contextlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog import schema
from archiver.catalog.tables import renditions
from archiver.domain.ports import Later
from archiver.domain.retention import RefusedByPolicy
from tests.retention.archive import archive, configured, policy, source
from tests.retention.locking_store import NO_LOCKS, LockingStore


async def over(it, *ids):
    """Archived, and over."""
    await it.archived(*ids or ("r1", "r2"))
    it.clock.advance(days=400)


async def nothing_happens(it, why):
    with pytest.raises(RefusedByPolicy, match=why):
        await it.apply()
    applied = await it.custody.job()
    assert any(why in problem for problem in applied.problems)
    assert it.deleted() == []
    assert set((await it.states()).values()) == {"verified"}


# -- clocks


@pytest.mark.parametrize("seconds", [61, -61, 3600, -86400, 10 * 365 * 86400])
async def test_a_store_whose_clock_is_more_than_a_minute_away(it, seconds):
    await over(it)
    it.store.skew = timedelta(seconds=seconds)
    await nothing_happens(it, "s apart")


@pytest.mark.parametrize("seconds", [59, -59])
async def test_within_a_minute_clocks_are_believed(it, seconds):
    await over(it)
    it.store.skew = timedelta(seconds=seconds)
    assert len((await it.apply()).expired) == 2


async def test_a_database_whose_clock_is_away(it):
    await over(it)

    async def now():
        return it.clock.now() + timedelta(seconds=90)

    it.keeping.now = now
    with pytest.raises(RefusedByPolicy, match="the catalog and this machine are 90 s apart"):
        await it.apply()
    assert it.deleted() == []


@pytest.mark.parametrize("days", [3650, 400, 0.001])
async def test_a_clock_that_is_set_while_the_program_runs(it, days):
    """A folder and a SQLite file have one clock only, and it says ten years later."""
    await it.archived("r1", "r2")
    it.store.ahead = _no_clock
    it.clock.set_to(it.clock.now() + timedelta(days=days))
    await nothing_happens(it, "this machine's clock was set by")


@pytest.mark.parametrize("noticed_by", ["job", "holds"])
async def test_a_clock_that_was_set_and_set_back_is_believed_after_a_restart_only(it, noticed_by):
    """What was verified in between has an instant that is wrong: it may look as if it had cooled off for a day."""
    it.store.ahead = _no_clock
    await over(it)
    right = it.clock.now()
    it.clock.set_to(right - timedelta(days=1))
    await getattr(it.custody, noticed_by)()
    it.clock.set_to(right)
    await nothing_happens(it, "this machine's clock was set by -86400 s")
    it.restart()
    assert len((await it.apply()).expired) == 2


async def test_what_was_verified_by_a_wrong_clock_cools_off_from_the_first_right_instant(sqlite_url):
    """Nobody but the transaction that wrote the wrong instant saw it: no job looked, and the program ended before the clock was mended."""
    right = timedelta(hours=30)
    async with unlocked(sqlite_url, delete="24h") as it:
        it.clock.set_to(it.clock.now() - right)
        await it.archived("r1")
        it.clock.set_to(it.clock.now() + right)
        it.restart()
        await it.custody.job()
        assert [line.actor for line in await it.lines("clock_doubted")] == ["clock"]
        it.clock.advance(hours=23)
        await it.custody.job()
        assert "r1" in it.provider.listed
        assert [item.action for item in (await it.plan()).items] == ["keep"]
        it.clock.advance(hours=2)
        await it.custody.job()
        assert "r1" not in it.provider.listed


async def test_a_clock_that_one_process_saw_set_stays_in_doubt_for_the_others(sqlite_url):
    async with unlocked(sqlite_url) as it:
        await over(it)
        it.clock.set_to(it.clock.now() + timedelta(hours=3))
        watching = it.database.steps
        await it.archived("r3")
        it.restart()  # another process, which saw nothing
        it.database.steps = watching
        await nothing_happens(it, "the catalog's clock was set by")


async def test_what_was_archived_by_a_clock_a_year_behind_is_kept_as_long_as_it_should(sqlite_url):
    """A machine that starts without the time of day, and is set right later."""
    async with unlocked(sqlite_url) as it:
        right = it.clock.now()
        it.clock.set_to(right - timedelta(days=400))
        it.restart()
        await it.archived("r1", ended_at=right - timedelta(hours=1))
        it.clock.set_to(right)
        it.restart()
        await it.custody.job()
        assert it.deleted() == []
        assert (await it.row()).retain_until > right + timedelta(days=364)


@contextlib.asynccontextmanager
async def unlocked(url, **about):
    """A folder and a SQLite file: one clock only."""
    store = LockingStore(abilities=NO_LOCKS, later=Later())
    store.ahead = _no_clock
    async with archive(url, policies=[policy("year", "1y")], store=store, sources=[source(unlocked=True, **about)]) as it:
        store._clock = it.clock
        yield it


async def _no_clock():
    return None


async def test_a_clock_that_is_set_back_behind_what_was_done_already(it):
    await over(it)
    await it.archived("r3")
    it.clock.set_to(it.clock.now() - timedelta(hours=2))
    it.restart()
    await nothing_happens(it, "the history was last written on")


@pytest.mark.parametrize("at", ["2028-02-29T12:00:00", "2027-03-28T01:30:00", "2027-10-31T01:30:00", "2026-12-31T23:59:59"])
async def test_no_leap_day_and_no_change_of_season_deletes_anything_early(it, at):
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    it.clock.at = moment - timedelta(days=365)
    it.restart()
    await it.archived("r1", ended_at=moment - timedelta(days=365, seconds=-1))
    it.clock.advance(seconds=(moment - it.clock.now()).total_seconds())
    expected = (await it.row()).retain_until <= it.clock.now()
    assert (await it.plan()).items[0].action == ("expire" if expected else "keep")
    assert (await it.row()).retain_until - timedelta(days=366) <= moment - timedelta(days=365, seconds=-2)


# -- catalogs


def path_of(url):
    return url.removeprefix("sqlite:///")


@pytest.mark.parametrize("lost", ["a hold", "a longer policy", "everything"])
async def test_a_catalog_restored_from_an_older_copy(sqlite_url, tmp_path, lost):
    """It does not know the hold that was placed since; the sealed history in the archive tells that there was something."""
    store = LockingStore(abilities=NO_LOCKS, later=Later())
    policies = [policy("year", "1y")]
    async with archive(sqlite_url, policies=policies, store=store) as it:
        clock = store._clock = it.clock
        await it.archived("r1", "r2")
        if lost != "everything":
            await it.seal()
    shutil.copyfile(path_of(sqlite_url), tmp_path / "old.db")
    async with archive(sqlite_url, policies=policies, store=store, clock=clock) as it:
        if lost == "a hold":
            await it.hold("X", sources=("rooms",))
        else:
            it.change(policies=[policy("year", "9y")])
            await it.custody.job()
        await it.seal()
        clock.advance(days=400)
    shutil.copyfile(tmp_path / "old.db", path_of(sqlite_url))
    async with archive(sqlite_url, policies=policies, store=store, clock=clock) as it:
        await nothing_happens(it, "it is older than its archive")


async def test_the_stores_own_holds_and_locks_survive_a_catalog_that_forgot_them(sqlite_url, tmp_path):
    policies = [policy("year", "1y")]
    async with archive(sqlite_url, policies=policies, mode="governance") as it:
        clock, store = it.clock, it.store
        await it.archived("held", "longer", "free")
    shutil.copyfile(path_of(sqlite_url), tmp_path / "old.db")
    async with archive(sqlite_url, policies=policies, mode="governance", store=store, clock=clock) as it:
        await it.hold("X", ids=("held",))
        await it.custody.holds()
        row = await it.row("longer")
        store._change(row.key, retain_until=row.retain_until + timedelta(days=2000))
        clock.advance(days=400)
    shutil.copyfile(tmp_path / "old.db", path_of(sqlite_url))
    async with archive(sqlite_url, policies=policies, mode="governance", store=store, clock=clock) as it:
        await it.custody.job()
        assert it.lawless() == []
        assert [key.split("/")[4] for key in it.deleted()] == ["free"]


async def test_an_empty_catalog_deletes_nothing_of_a_full_archive(sqlite_url, it):
    await over(it)
    await schema.ready(f"{sqlite_url}.new", upgrade=True)
    async with archive(f"{sqlite_url}.new", policies=it.settings.policies, store=it.store, clock=it.clock) as empty:
        await empty.custody.job()
    assert it.deleted() == []


# -- providers


async def test_a_provider_that_lists_nothing_any_more(it):
    await it.archived("r1", "r2")
    it.provider.listed.clear()
    for recording_id in ("r1", "r2"):
        await it.catalog.record_gone("rooms", recording_id, looks=2)
    await it.custody.job()
    assert it.deleted() == []
    assert set((await it.states()).values()) == {"verified"}


async def test_an_account_that_was_emptied_and_filled_with_others(it):
    it.change(sources=[source(delete="24h", unlocked=True)])
    await it.archived("r1")
    it.clock.advance(days=2)
    it.provider.listed["r1"] = replace(it.provider.listed["r1"], recording_id="stranger")
    deletions = []

    async def delete(ref):
        deletions.append(ref)

    it.provider.delete = delete
    await it.custody.job()
    assert deletions == []


# -- configuration


@pytest.mark.parametrize("count", [11, 60])
async def test_a_policy_that_was_mistyped_trips_the_caps(sqlite_url, count):
    """Seven days instead of seven years: everything is over at once, and nothing goes."""
    async with archive(sqlite_url, policies=[policy("all", "7y")], max_share=0.1) as it:
        await it.archived(*(f"r{number}" for number in range(count)))
        it.clock.advance(days=30)
        it.configure(configured(policies=[policy("all", "7d")], max_share=0.1))
        await it.database.write(_forget_promises)  # as if they had been archived under no policy
        applied = await it.custody.job()
        assert it.deleted() == []
        assert "retention.max_share (0.1 of" in applied.problems[0]


async def _forget_promises(tx):
    await tx.execute(sa.update(renditions).values(retain_until=None))
