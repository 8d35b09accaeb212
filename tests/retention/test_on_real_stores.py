"""The same laws on real S3 servers: LocalStack enforces locks and time passes there; rclone knows no locks and eats the calls."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from archiver.domain.ports import Later
from archiver.domain.recording import State
from archiver.pipeline.canary import sing
from archiver.storage.s3 import S3
from archiver.storage.settings import S3Settings
from tests.retention.archive import Clock, archive, policy
from tests.retention.moving_time import MovingClock, moving_localstack
from tests.storage.conftest import shared_session
from tests.testbed.missing import Missing

BIG = 5 * 1024**2 + 100


@pytest.fixture(scope="session")
def moving():
    try:
        with moving_localstack() as found:
            yield found
    except Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"a component is missing, and CI promises them all: {missing}", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def one_session(monkeypatch):
    monkeypatch.setattr("boto3.session.Session", shared_session)


def store_in(bucket, clock, **settings):
    given = {"bucket": bucket.name, "prefix": "an/archive", "endpoint_url": bucket.endpoint_url, "part_size": 5 * 1024**2}
    return S3(S3Settings(**{**given, **settings}), clock.token, clock.now)


class Years:
    """An archive in a locked bucket of the moving server; `versions` are what stands there behind the product's back."""

    def __init__(self, it, bucket):
        self.it, self.bucket = it, bucket

    def versions(self):
        found = self.bucket.client.list_object_versions(Bucket=self.bucket.name, Prefix="an/archive/rooms/")
        assert found.get("DeleteMarkers", []) == []  # I12
        return sorted(item["Key"].split("/")[-2] for item in found.get("Versions", []))


@pytest.fixture
async def years(moving, sqlite_url):
    server, epoch = moving
    bucket = server.new_bucket(locked=True)
    clock = MovingClock(epoch)
    store = store_in(bucket, clock, object_lock="compliance")
    await store.probe()
    try:
        async with archive(sqlite_url, policies=[policy("calls", "7y")], mode="compliance", store=store, clock=clock) as it:
            yield Years(it, bucket)
            assert await it.violations() == []
    finally:
        await store.aclose()
        server.client.close()


async def test_seven_years_under_compliance(years):
    it = years.it
    await it.listed("small", "large", "held")
    it.provider.has("large", b"OggS" + bytes(BIG - 4))
    await it.work()
    ended = it.provider.listed["small"].ended_at
    for recording_id in ("small", "large", "held"):
        row = await it.row(recording_id)
        seen = await it.store.head(row.key, row.version_id)
        assert (row.state, seen.lock_mode, seen.retain_until) == ("verified", "compliance", row.retain_until)
        assert timedelta(0) <= row.retain_until - ended.replace(year=ended.year + 7) < timedelta(seconds=1)
    row = await it.row("small")
    with pytest.raises(ClientError, match="AccessDenied"):
        years.bucket.client.delete_object(Bucket=years.bucket.name, Key=it.store.full_key(row.key), VersionId=row.version_id)
    await it.hold("X", ids=("held",))
    assert (await it.custody.holds()).set == 1
    assert (await it.custody.job()).expired == []
    it.clock.advance(days=7 * 365)  # without the leap days
    assert (await it.plan()).counts()["expire"] == 0
    it.clock.advance(days=2)
    applied = await it.apply()
    assert sorted(item.name[1] for item in applied.expired if item.deleted) == ["large", "small"]
    assert years.versions() == ["held"]
    await it.release_hold("X")
    assert (await it.custody.holds()).cleared == 1
    await it.custody.job()
    assert years.versions() == []
    assert set((await it.states()).values()) == {"expired"}


async def test_the_stores_own_lock_and_hold_stand_where_the_catalog_forgot_them(years):
    it = years.it
    await it.archived("locked", "held")
    key = {name: (await it.row(name)).key for name in ("locked", "held")}
    client, full = years.bucket.client, it.store.full_key
    longer = it.clock.now() + timedelta(days=20 * 365)
    client.put_object_retention(
        Bucket=years.bucket.name, Key=full(key["locked"]), Retention={"Mode": "COMPLIANCE", "RetainUntilDate": longer}
    )
    client.put_object_legal_hold(Bucket=years.bucket.name, Key=full(key["held"]), LegalHold={"Status": "ON"})
    it.clock.advance(days=8 * 365)
    applied = await it.apply()
    assert (len(applied.refused), years.versions()) == (2, ["held", "locked"])
    assert (await it.row("locked")).retain_until >= longer - timedelta(seconds=1)


async def test_retention_grows_in_the_store_and_the_store_refuses_to_let_it_shrink(years):
    it = years.it
    await it.archived("r1")
    it.change(policies=[policy("calls", "10y")])
    assert (await it.custody.job()).extended == 1
    row = await it.row()
    assert (await it.store.head(row.key, row.version_id)).retain_until == row.retain_until
    assert row.retain_until.year == it.provider.listed["r1"].ended_at.year + 10
    it.change(policies=[policy("calls", "1y")])
    await it.custody.job()
    it.clock.advance(days=9 * 365)
    assert (await it.plan()).counts()["expire"] == 0
    it.clock.advance(days=369)
    assert [item.deleted for item in (await it.apply()).expired] == [True]


async def test_the_canary_is_refused_and_an_erasure_waits_for_the_lock(years):
    it = years.it
    sung = await sing(it.store, it.clock, mode="compliance")
    assert (sung.ok, sung.says) == (True, "deleting an object under a compliance lock was refused")
    await it.archived("r1")
    await it.request_erasure(ids=("r1",))
    await it.custody.job()
    assert years.versions() == ["r1"]
    it.clock.advance(days=7 * 365 + 3)
    assert (await it.custody.job()).erased == 1
    assert years.versions() == []
    certificate = (await it.erasures())[0]["recordings"][0]["certificate"]
    assert (await it.store.head(certificate)).lock_mode == "compliance"


# -- a poor compatible


@pytest.fixture
async def poor(rclone_bucket, sqlite_url):
    """Opens archives on rclone's server."""
    stores = []

    def opened(**configuration):
        clock = Clock(datetime.now(UTC))
        mode = configuration.get("mode", "") or "off"
        stores.append(store_in(rclone_bucket, clock, object_lock=mode))
        return archive(sqlite_url, clock=clock, store=stores[-1], policies=[policy("year", "1y")], **configuration)

    yield opened
    for store in stores:
        await store.aclose()


@pytest.mark.parametrize("late", [False, True])
async def test_without_locks_nothing_is_stored_under_a_promise_of_locks(poor, late):
    async with poor(mode="governance", late=late) as it:
        await it.store.probe()
        await it.listed("r1")
        await it.work()
        row = await it.row()
        assert (row.state, it.provider.calls["media r1"]) == ("due", 0)
        assert row.error.startswith("lock_missing: this store")
        await it.custody.canary()
        assert (await it.keeping.noted("lock_canary"))[0]["ok"] is False


async def test_a_hold_there_is_the_catalogs_and_the_recording_is_not_replaced_by_the_holds_own_xml(poor):
    async with poor() as it:
        await it.store.probe()
        assert await it.store.later() == Later()
        await it.archived("r1")
        await it.hold("X", ids=("r1",))
        assert (await it.custody.holds()).kept is False
        row = await it.row()
        body = b"".join([chunk async for chunk in it.store.read(row.key)])
        assert body == it.provider.files["r1", "media"].body
        it.clock.advance(minutes=2)
        it.restart()
        applied = await it.custody.job()
        assert applied.problems[0].startswith("the clocks of this machine and the store are")  # only ours was moved


async def test_what_is_over_goes_there_too(poor):
    async with poor() as it:
        await it.store.probe()
        await it.archived("old", ended_at=it.clock.now() - timedelta(days=800))
        await it.archived("young")
        applied = await it.apply()
        assert [item.name[1] for item in applied.expired if item.deleted] == ["old"]
        assert [stored.key.split("/")[-2] async for stored in it.store.keys("rooms/")] == ["young"]
        assert await it.state("young") is State.VERIFIED
