"""History and attestations are locked at least as long as what they tell of, and a lock that somebody took away comes back."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog import alarms, attest, evidence_locks, findings
from archiver.catalog.evidence_tables import attestations, segments
from archiver.domain.errors import StorageRefused
from archiver.domain.ports import Later, NewObject
from archiver.fixity import check, restore_locks
from archiver.sealing import Sealing
from archiver.storage.s3 import S3
from archiver.storage.settings import S3Settings
from tests.retention.archive import Clock, archive, policy
from tests.storage.conftest import shared_session

SECOND = timedelta(seconds=1)


async def seal(it):
    await Sealing(it.app).run(wait=True)


async def stated(it, since, until):
    """An attestation about a period, locked as `attest` locks it."""
    body = b"{}\n"
    lock = it.app.lock_for_ledger(it.clock.now())
    new = NewObject(key=f"_attest/{it.clock.token()}.json", content_type="application/json", metadata={}, lock=lock)
    made = await it.store.put(new, body, sha256=hashlib.sha256(body).digest())
    row = {"since": since, "until": until, "complete": True, "sha256": "ab" * 32}
    row |= {"key": made.key, "version_id": made.version_id}
    await it.database.write(lambda tx: attest.keep(tx, "somebody", row, {}))
    return made.key


async def locks(it, prefix="_ledger/"):
    """Until when the store locks each piece of evidence, by key."""
    return {key: it.store.objects[key].stored.retain_until for key in it.store.keys_now() if key.startswith(prefix)}


async def test_a_policy_that_grows_lengthens_the_history_of_what_it_keeps_and_the_statements_about_it(locked):
    it = locked
    await it.archived("r1", "r2")
    await seal(it)
    statement = await stated(it, it.clock.now() - timedelta(days=2), it.clock.now() + timedelta(days=1))
    (first,) = (await locks(it)).values()
    it.change(policies=[policy("year", "7y")])
    applied = await it.custody.job()
    assert (applied.extended, applied.guarded, applied.problems) == (2, 2, [])
    kept = (await it.row()).retain_until
    found = await locks(it)
    assert first < kept <= found["_ledger/000000000001.jsonl"]
    assert (await locks(it, "_attest/"))[statement] >= kept
    (line,) = await it.lines("evidence_lengthened")
    assert (line.data["pieces"], line.data["segments"], line.data["attestations"]) == (2, [1], [1])
    it.store.extended.clear()
    it.store.log.clear()
    assert (await it.custody.job()).guarded == 0
    assert it.store.extended == []
    assert not [call for call in it.store.log if "_ledger/000000000001" in call]  # what is known is not asked


async def test_history_sealed_before_a_longer_policy_is_kept_as_long_as_what_was_archived_under_it_later(locked):
    it = locked
    await it.listed("r1")
    await seal(it)  # tells that r1 was discovered, under a policy of one year
    it.change(policies=[policy("long", "7y")])
    await it.work()
    await it.custody.job()
    assert (await locks(it))["_ledger/000000000001.jsonl"] >= (await it.row()).retain_until


async def test_only_history_of_what_is_kept_longer_is_locked_for_longer(locked):
    it = locked
    await it.archived("short", room_name="kitchen")
    await seal(it)
    await it.archived("long", room_name="office")
    await seal(it)
    before = await locks(it)
    it.change(policies=[policy("office", "7y", room="office"), policy("year", "1y")])
    assert (await it.custody.job()).guarded == 1
    after = await locks(it)
    assert after["_ledger/000000000001.jsonl"] == before["_ledger/000000000001.jsonl"]
    assert after["_ledger/000000000002.jsonl"] >= (await it.row("long")).retain_until


async def test_a_segment_under_compliance_stays_so_under_a_configuration_of_governance(locked):
    it = locked
    await it.archived("r1")
    await seal(it)
    it.store._change("_ledger/000000000001.jsonl", lock_mode="compliance")
    it.change(policies=[policy("year", "7y")])
    assert (await it.custody.job()).guarded == 1
    assert it.store.objects["_ledger/000000000001.jsonl"].stored.lock_mode == "compliance"


@pytest.mark.parametrize("harm", ["refused", "gone"])
async def test_what_cannot_be_locked_for_longer_is_a_problem_that_status_tells(locked, harm):
    it = locked
    await it.archived("r1")
    await seal(it)
    segment = "_ledger/000000000001.jsonl"
    if harm == "gone":
        del it.store.objects[segment]
    else:
        it.store.on["extend"] = lambda key: refuse(key) if key == segment else None
    it.change(policies=[policy("year", "7y")])
    applied = await it.custody.job()
    assert (applied.extended, applied.guarded) == (1, 0)
    (problem,) = applied.problems
    assert problem.startswith("history: ")
    assert segment in problem
    async with it.database.read() as conn:
        assert [text for text in await alarms.alarms(conn, it.clock.now()) if segment in text]


def refuse(key):
    raise StorageRefused(f"{key}: AccessDenied")


async def test_without_locks_no_piece_of_evidence_is_looked_at(it):
    await it.archived("r1")
    await seal(it)
    it.store.log.clear()
    assert (await it.custody.job()).guarded == 0
    assert not [call for call in it.store.log if "_ledger/000000000001" in call]


async def test_portions_leave_no_segment_out(locked, monkeypatch):
    monkeypatch.setattr(evidence_locks, "PORTION", 2)
    it = locked
    for number in range(5):
        await it.archived(f"r{number}")
        await seal(it)
    it.change(policies=[policy("year", "7y")])
    assert (await it.custody.job()).guarded == 5
    ends = {row.retain_until for row in [await it.row(f"r{number}") for number in range(5)]}
    assert all(until >= max(ends) - SECOND for until in (await locks(it)).values())


# -- a lock that is gone


async def verified(it, **how):
    return await check(it.app, **({"sample": None, "part": None, "read_back": False} | how))


def strip(it, key, until=None):
    """What somebody may do who has the right to bypass governance."""
    it.store._change(key, lock_mode="governance" if until else "", retain_until=until)


@pytest.mark.parametrize("shortened", [False, True])
async def test_a_lock_that_was_taken_away_or_shortened_is_found_put_back_and_told_in_the_history(locked, shortened):
    it = locked
    await it.archived("r1", "r2")
    row = await it.row()
    strip(it, row.key, it.clock.now() + timedelta(days=3) if shortened else None)
    assert [(f.kind, f.key) for f in (await verified(it)).findings] == [("unlocked", row.key)]
    done = await restore_locks(it.app)
    assert (done.locked, done.problems) == (1, [])
    seen = await it.store.head(row.key, row.version_id)
    assert (seen.lock_mode, seen.retain_until >= row.retain_until) == ("governance", True)
    (line,) = await it.lines("lock_restored")
    assert (line.recording_id, line.data["before"]["mode"]) == ("r1", "governance" if shortened else "")
    assert line.data["after"] == {"mode": "governance", "until": seen.retain_until.isoformat().replace("+00:00", "Z")}
    assert (await verified(it)).findings == []
    assert (await restore_locks(it.app)).locked == 0


async def test_an_earlier_object_and_a_segment_get_their_locks_back_too(locked):
    it = locked
    await it.archived("r1")
    old = (await it.row()).key
    listed = it.provider.listed["r1"]
    it.provider.put(replace(listed, duration=999.0))
    it.provider.has("r1", b"OggS" + b"other" * 20)
    await it.catalog.add_page("rooms", it.provider.kind, [it.provider.listed["r1"]])
    await it.work()
    assert (await it.row()).key != old
    await seal(it)
    for key in (old, "_ledger/000000000001.jsonl"):
        strip(it, key)
    result = await verified(it)
    assert sorted((f.kind, f.key) for f in result.findings) == [("unlocked", "_ledger/000000000001.jsonl"), ("unlocked", old)]
    assert result.evidence == 1
    async with it.database.read() as conn:
        (problem,) = await alarms.alarms(conn, it.clock.now())
    assert problem == "fixity: 2 unlocked: without the lock that the catalog names; hint: archiver repair"
    assert (await restore_locks(it.app)).locked == 2
    assert (await verified(it)).findings == []
    assert (await it.row()).state == "verified"


async def test_a_store_that_takes_no_lock_later_or_refuses_is_named_and_the_finding_stays(locked):
    it = locked
    await it.archived("r1")
    row = await it.row()
    strip(it, row.key)
    await verified(it)
    it.store.later_works = Later()
    done = await restore_locks(it.app)
    assert (done.locked, len(done.problems)) == (0, 1)
    assert "rooms/r1 media" in done.problems[0]
    it.store.later_works = Later(retention=True, hold=True)
    it.store.shown = False  # it says yes and shows nothing: a lock counts when a look proves it
    assert (await restore_locks(it.app)).locked == 0
    it.store.shown = True
    async with it.database.read() as conn:
        assert await findings.counts(conn) == {"unlocked": 1}
    assert await it.lines("lock_restored") == []


async def test_a_lock_whose_time_is_over_meanwhile_is_not_put_back(locked):
    it = locked
    await it.archived("r1")
    strip(it, (await it.row()).key)
    await verified(it)
    it.clock.advance(days=400)
    assert (await restore_locks(it.app)).locked == 0
    assert it.store.extended == []
    async with it.database.read() as conn:
        assert await findings.counts(conn) == {}


async def test_a_finding_goes_with_the_recording(locked):
    it = locked
    await it.archived("r1")
    strip(it, (await it.row()).key)
    await verified(it)
    it.clock.advance(days=400)
    await it.custody.job()
    assert str(await it.state()) == "expired"
    async with it.database.read() as conn:
        assert await findings.counts(conn) == {}


# -- on a server that enforces locks


async def test_a_governance_lock_bypassed_on_a_real_server_is_put_back_and_deletion_is_refused_again(
    locked_bucket, sqlite_url, monkeypatch
):
    monkeypatch.setattr("boto3.session.Session", shared_session)
    clock = Clock(datetime.now(UTC))
    given = {"bucket": locked_bucket.name, "prefix": "an/archive", "endpoint_url": locked_bucket.endpoint_url}
    settings = S3Settings(**given, part_size=5 * 1024**2, object_lock="governance")
    store = S3(settings, clock.token, clock.now)
    await store.probe()
    try:
        async with archive(sqlite_url, policies=[policy("year", "1y")], mode="governance", store=store, clock=clock) as it:
            await it.archived("r1")
            await seal(it)
            row = await it.row()
            (segment,) = await it.rows(sa.select(segments))
            assert segment.locked_until >= row.retain_until
            client, full = locked_bucket.client, store.full_key
            for key, version in ((row.key, row.version_id), (segment.key, segment.version_id)):
                at = {"Bucket": locked_bucket.name, "Key": full(key), "VersionId": version}
                soon = {"Mode": "GOVERNANCE", "RetainUntilDate": clock.now() + timedelta(seconds=30)}
                client.put_object_retention(**at, Retention=soon, BypassGovernanceRetention=True)
            assert [f.kind for f in (await verified(it)).findings] == ["unlocked", "unlocked"]
            assert (await restore_locks(it.app)).locked == 2
            for key, version, until in (
                (row.key, row.version_id, row.retain_until),
                (segment.key, segment.version_id, segment.locked_until),
            ):
                seen = await store.head(key, version)
                assert (seen.lock_mode, seen.retain_until >= until) == ("governance", True)
            assert (await verified(it)).findings == []
            it.change(policies=[policy("year", "2y")])
            assert (await it.custody.job()).guarded == 1
            (segment,) = await it.rows(sa.select(segments))
            assert (await store.head(segment.key, segment.version_id)).retain_until == segment.locked_until
            assert segment.locked_until >= (await it.row()).retain_until
            assert await it.rows(sa.select(attestations)) == []
    finally:
        await store.aclose()
