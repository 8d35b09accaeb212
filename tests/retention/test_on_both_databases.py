"""One long story on SQLite and on PostgreSQL: every statement of retention, holds, releases and erasure, on both."""

import asyncio

import pytest

from archiver.domain.errors import StorageUnavailable
from archiver.domain.recording import State
from tests.retention.archive import Archive, archive, policy, source


@pytest.fixture
async def story(database_url):
    sources = [source(delete="24h"), source("calls", provider="telnyx-calls")]
    policies = [policy("calls", "30d", source="calls"), policy("rest", "1y")]
    async with archive(database_url, policies=policies, mode="governance", sources=sources) as it:
        yield it
        assert it.lawless() == []
        assert await it.violations() == []


async def test_from_the_first_lock_to_the_last_deletion(story):
    it = story
    await it.archived("r1", "r2", "r3", participant_name="Ada")
    await it.archived("c1", source="calls")
    await it.hold("X", participant="Ad?", future=True)
    assert (await it.custody.holds()).set == 3
    plan = await it.plan()
    assert plan.fingerprint() == (await it.plan()).fingerprint()
    assert plan.counts() == {"expire": 0, "release": 0, "keep": 4}
    await it.release_hold("X", "settled")
    await it.hold("Y", ids=("rooms/r2",))
    assert (await it.custody.holds()).cleared == 2
    it.clock.advance(hours=25)
    applied = await it.custody.job()
    assert sorted(item.recording_id for item in applied.released if item.deleted) == ["r1", "r3"]
    it.change(policies=[policy("calls", "30d", source="calls"), policy("rest", "2y")])
    assert (await it.custody.job()).extended == 3
    await it.request_erasure("ticket", ids=("r3",))
    it.clock.advance(days=400)
    applied = await it.custody.job()
    assert [item.name[1] for item in applied.expired if item.deleted] == ["c1"]
    assert (await it.erasures())[0]["recordings"][0]["status"] == "dated"
    it.clock.advance(days=400)
    it.store.before["delete"].append(StorageUnavailable("killed"))
    with pytest.raises(StorageUnavailable):
        await it.custody.job()
    it.restart()
    await it.custody.job()
    assert await it.states() == {"r1": "expired", "r2": "verified", "r3": "expired", "c1": "expired"}
    assert (await it.erasures())[0]["recordings"][0]["status"] == "executed"
    await it.catalog.add_page("rooms", "telnyx-rooms", [it.provider.listed["r2"]])
    assert (await it.plan()).counts() == {"expire": 0, "release": 0, "keep": 1}
    assert (await it.keeping.noted("retention"))[0]["problems"] == []


async def test_a_hold_and_a_deletion_at_the_same_moment_see_each_other(database_url):
    """On PostgreSQL they are two transactions that lock the same row; whichever is first, the other knows (I11)."""
    async with archive(database_url, policies=[policy("year", "1y")]) as it:
        await it.archived(*(f"r{number}" for number in range(12)))
        it.clock.advance(days=400)
        other = Archive(database_url, it.clock, it.database, it.settings, it.store, it.providers)
        ids = [f"r{number}" for number in range(12)]

        async def hold(recording_id):
            return recording_id, await other.hold(f"case-{recording_id}", ids=(recording_id,))

        placing = [asyncio.create_task(hold(recording_id)) for recording_id in ids]
        await it.custody.job()
        states = await it.states()
        for recording_id, placed in [await task for task in placing]:
            told = placed.deleting or not placed.recordings  # under way, or gone already
            assert (states[recording_id] == "expired") is bool(told), (recording_id, placed, states[recording_id])
            if states[recording_id] == "expired":
                continue
            assert await it.state(recording_id) in {State.VERIFIED, State.STORED}
