"""Deletion at the provider: off unless configured, one by id, under every condition of I14, and the result read again."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import leases, renditions
from archiver.domain.errors import ContractBroken, CredentialsRefused, ProviderUnavailable
from archiver.domain.recording import ProviderStatus
from archiver.domain.retention import RefusedByPolicy
from tests.retention.archive import archive, policy, source


@pytest.fixture
async def giving(sqlite_url):
    """An archive under lock whose source may be deleted at the provider a day after verification."""
    sources = [source(delete="24h")]
    async with archive(sqlite_url, policies=[policy("year", "1y")], mode="governance", sources=sources) as it:
        it.deletions = []
        plain = it.provider.delete

        async def delete(ref):
            it.deletions.append(ref.recording_id)
            await plain(ref)

        it.provider.delete = delete
        yield it
        assert it.lawless() == []
        assert await it.violations() == []


async def ripe(it, *ids, **facts):
    await it.archived(*ids or ("r1",), **facts)
    it.clock.advance(hours=25)


async def test_it_is_off_unless_the_source_says_so(locked):
    await locked.archived("r1")
    locked.clock.advance(days=60)
    assert (await locked.plan()).counts()["release"] == 0
    await locked.custody.job()
    assert "r1" in locked.provider.listed


async def test_what_is_verified_locked_and_cooled_off_goes_one_by_one(giving):
    await ripe(giving, "r1", "r2")
    reads = giving.store.counts["read"]
    applied = await giving.apply()
    assert [item.deleted for item in applied.released] == [True, True]
    assert giving.deletions == ["r1", "r2"]
    assert giving.store.counts["read"] - reads == 2  # read back in this very run
    recording = await giving.recording()
    assert (recording.release, recording.status, recording.released_at) == ("deleted", "deleted", giving.clock.now())
    assert (await giving.events())[-2:] == ["delete_intent", "deleted_at_provider"]
    assert (await giving.states())["r1"] == "verified"
    (line, _other) = await giving.lines("deleted_at_provider")
    assert line.reason == "the provider no longer knows it"
    assert [text.split(", ")[1] for text in line.data["objects"].values()] == ["governance"]


async def test_a_plan_of_releases_may_be_applied_again(giving):
    await ripe(giving)
    plan = await giving.plan()
    assert plan.items[0].reason == "verified 2026-03-10T12:00:00Z, may go at the provider since 2026-03-11T12:00:00Z"
    await giving.apply(plan)
    for _ in range(2):
        assert (await giving.apply(plan)).released == []
    assert giving.deletions == ["r1"]


@pytest.mark.parametrize("seconds", [61, -61, 86_400])
async def test_a_clock_in_doubt_stops_releases_and_erasures_as_it_stops_everything(giving, seconds):
    """The same archive, plan and request, with and without a store whose clock is more than a minute away (I13)."""
    await ripe(giving, "r1")
    await giving.archived("old", ended_at=giving.clock.now() - timedelta(days=800))
    giving.clock.advance(days=2)
    await giving.request_erasure(ids=("old",))
    plan = await giving.plan()
    giving.store.skew = timedelta(seconds=seconds)
    with pytest.raises(RefusedByPolicy, match="s apart"):
        await giving.apply(plan)
    applied = await giving.custody.job()
    assert any("s apart" in problem for problem in applied.problems)
    assert (giving.deletions, giving.deleted(), await giving.states()) == ([], [], {"r1": "verified", "old": "verified"})
    giving.store.skew = timedelta(0)
    applied = await giving.custody.job()
    assert (giving.deletions, applied.erased, len(giving.deleted())) == (["r1"], 1, 1)


async def test_it_cools_off_for_a_day_at_least(giving):
    giving.change(sources=[source(delete="1h")])
    await giving.archived("r1")
    giving.clock.advance(hours=23)
    assert (await giving.plan()).counts()["release"] == 0
    giving.clock.advance(hours=1)
    assert (await giving.plan()).counts()["release"] == 1


async def test_without_a_lock_it_needs_the_explicit_word(giving):
    giving.change(mode="", sources=[source(delete="24h")])
    await ripe(giving)
    assert (await giving.plan()).counts()["release"] == 0
    giving.change(sources=[source(delete="24h", unlocked=True)])
    applied = await giving.apply()
    assert [item.deleted for item in applied.released] == [True]


async def refused(giving, why, *, planned=1):
    """The daemon's run deletes nothing at the provider, and says why."""
    applied = await giving.custody.job()
    assert len(applied.released) == planned
    assert giving.deletions == []
    assert any(why in problem for problem in applied.problems), applied.problems
    assert "delete_intent" not in await giving.events()


async def test_bytes_that_are_not_the_same_any_more(giving):
    await ripe(giving)
    giving.store.objects[giving.media()[0]].body[-1] ^= 1
    await refused(giving, "SHA-256")


async def test_an_object_that_is_gone(giving):
    await ripe(giving)
    giving.store.objects.pop(giving.media()[0])
    await refused(giving, "is not there")


async def test_a_lock_that_is_gone_from_the_store(giving):
    await ripe(giving)
    giving.store._change(giving.media()[0], retain_until=None, lock_mode="")
    giving.store.later_works = replace(giving.store.later_works, retention=False)
    await refused(giving, "shows no lock")


async def test_a_record_that_changed_at_the_provider(giving):
    await ripe(giving)
    was = giving.provider.listed["r1"]
    for change in (
        {"size": 1},
        {"raw": {"id": "r1", "updated_at": "2026-03-11T00:00:00Z"}},
        {"ended_at": giving.clock.now()},
        {"status": ProviderStatus.PROCESSING, "status_raw": "processing"},
        {"recording_id": "another"},
    ):
        giving.provider.listed["r1"] = replace(was, **change)
        await refused(giving, "provider")


async def test_a_record_that_is_gone_or_broken(giving):
    await ripe(giving)
    giving.provider.errors["get r1"].append(ContractBroken("not JSON"))
    await refused(giving, "not JSON")
    giving.provider.listed.pop("r1")
    await refused(giving, "no recording r1")


async def test_a_held_recording(giving):
    await ripe(giving)
    await giving.hold("X", ids=("r1",))
    await giving.custody.job()
    assert giving.deletions == []


async def test_a_hold_that_comes_while_the_bytes_are_read_back(giving):
    await ripe(giving)
    plain = giving.provider.get

    async def get(ref):
        await giving.hold("X", ids=("r1",))
        return await plain(ref)

    giving.provider.get = get
    await refused(giving, "held by X")


async def test_a_recording_of_which_one_rendition_is_not_verified(giving):
    await giving.listed("r1", renditions=("mp3", "wav"))
    for name in ("mp3", "wav"):
        giving.provider.has("r1", b"ID3" + bytes(50), rendition=name)
    await giving.work()
    giving.clock.advance(hours=25)
    assert (await giving.plan()).counts()["release"] == 2
    giving.store.objects[(await giving.row(rendition="wav")).key].body[-1] ^= 1
    await refused(giving, "wav: read back")
    await giving.database.write(
        lambda tx: tx.execute(sa.update(renditions).where(renditions.c.name == "wav").values(state="due"))
    )
    assert (await giving.plan()).counts()["release"] == 0
    await giving.database.write(
        lambda tx: tx.execute(sa.update(renditions).where(renditions.c.name == "wav").values(state="verified"))
    )


async def test_an_erasure_that_waits(giving):
    await ripe(giving)
    await giving.request_erasure(ids=("r1",))
    await giving.custody.job()
    assert giving.deletions == []


async def test_more_than_the_caps(giving):
    giving.change(sources=[source(delete="24h")], max_count=1)
    await ripe(giving, "r1", "r2")
    applied = await giving.custody.job()
    assert giving.deletions == []
    assert "release: 2 would be deleted" in applied.problems[0]


async def test_credentials_that_are_refused_or_a_provider_that_is_down_end_the_round(giving):
    await ripe(giving, "r1", "r2")
    for error in (CredentialsRefused("401"), ProviderUnavailable("503")):
        giving.provider.broken["get r1"] = error
        applied = await giving.custody.job()
        assert (giving.deletions, len(applied.problems)) == ([], 1)


async def test_an_answer_that_is_lost_behind_the_deletion_is_settled_by_asking(giving):
    await ripe(giving)
    plain = giving.provider.delete

    async def delete(ref):
        await plain(ref)
        raise ProviderUnavailable("reset by peer")

    giving.provider.delete = delete
    applied = await giving.apply()
    assert applied.released[0].deleted
    assert "reset by peer" in applied.released[0].reason


async def test_an_answer_of_success_proves_nothing(giving):
    await ripe(giving)

    async def delete(ref):
        giving.deletions.append(ref.recording_id)

    giving.provider.delete = delete
    applied = await giving.custody.job()
    assert "still has it" in applied.problems[0]
    assert (await giving.recording()).release == "intended"
    assert (await giving.events())[-1] == "delete_unconfirmed"
    await giving.custody.job()
    assert giving.deletions == ["r1", "r1"]  # every condition anew, the same id


async def test_killed_behind_the_deletion_the_next_run_finds_out(giving):
    await ripe(giving)
    giving.provider.errors["get r1"] += [None, ProviderUnavailable("killed")]
    await giving.custody.job()
    assert (await giving.recording()).release == "intended"
    giving.restart()
    await giving.custody.job()
    assert (await giving.recording()).release == "deleted"
    assert giving.deletions == ["r1"]


async def test_nobody_lists_the_source_meanwhile(giving):
    """A list that shifts under its reader loses recordings (F7)."""
    await ripe(giving)
    seen = {}
    plain = giving.provider.delete

    async def delete(ref):
        seen.update({row.name: row.worker for row in await giving.rows(sa.select(leases))})
        seen["mine"] = await giving.catalog.acquire("poll:rooms", seconds=60)
        await plain(ref)

    giving.provider.delete = delete
    await giving.apply()
    assert seen.pop("mine") is False
    assert set(seen) == {"retention", "poll:rooms", "backfill:rooms"}
    assert await giving.catalog.acquire("poll:rooms", seconds=60)


async def test_what_the_provider_lists_again_is_not_deleted_over_and_over(giving):
    await ripe(giving)
    was = giving.provider.listed["r1"]
    await giving.apply()
    giving.provider.put(was)
    await giving.catalog.add_page("rooms", "telnyx-rooms", [was])
    giving.clock.advance(days=2)
    await giving.custody.job()
    assert giving.deletions == ["r1"]


async def test_a_retention_that_is_over_is_no_retention(giving):
    await giving.archived("r1")
    giving.clock.advance(days=400)
    await giving.custody.job()
    assert giving.deletions == []


async def test_the_age_counts_from_the_verification(giving):
    giving.change(sources=[source(delete="30d")])
    await giving.archived("r1", ended_at=giving.clock.now() - timedelta(days=300))
    giving.clock.advance(days=29)
    assert (await giving.plan()).counts()["release"] == 0
    giving.clock.advance(days=2)
    assert (await giving.plan()).counts()["release"] == 1
