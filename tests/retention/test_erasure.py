"""Erasure: recorded, dated, carried out when no hold and no lock forbids it, certified, and never undone by a restored catalog."""

import json
import shutil
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from archiver.catalog import schema
from archiver.catalog.manifests import SqlFacts
from archiver.catalog.tables import metadata, rooms
from archiver.domain.errors import StorageUnavailable
from archiver.domain.ledger import MANIFESTS
from archiver.domain.recording import Room, State
from archiver.pipeline.erase import certificate_key, parsed, recall
from archiver.pipeline.manifests import Manifests
from tests.retention.archive import SOURCE, archive, policy

NAMES = {"room_id": "R-1", "room_name": "Boardroom", "participant_name": "Ada Lovelace", "participant_id": "P-9"}


async def named(it, *ids, **facts):
    """Archived recordings in which a person is named everywhere she can be."""
    raw = {"from": "+49 30 123456", "participant": "Ada Lovelace"}
    await it.archived(*ids, **{**NAMES, "raw": raw, **facts})
    await it.catalog.save_rooms(SOURCE, {"R-1": Room(room_id="R-1", name="Boardroom", raw={"name": "Boardroom"})})


async def text_of_catalog(it):
    found = []
    for table in metadata.sorted_tables:
        found += [str(row) for row in await it.rows(sa.select(table))]
    return "\n".join(found)


async def status(it, recording_id="r1"):
    (found,) = [item for request in await it.erasures() for item in request["recordings"] if item["recording_id"] == recording_id]
    return found


async def test_what_nothing_forbids_is_forgotten_by_the_next_run(it):
    await named(it, "r1")
    number, count = await it.request_erasure(ids=("r1",))
    assert (number, count) == (1, 1)
    assert (await status(it))["status"] == "dated"
    assert (await it.plan()).items[0].reason == "erasure 1: no lock and no hold stands against it"
    assert (await it.custody.job()).erased == 1
    assert it.media() == []
    assert await it.state() is State.EXPIRED
    text = await text_of_catalog(it)
    for trace in ("Ada", "Boardroom", "123456", "P-9"):
        assert trace not in text
    found = await status(it)
    assert (found["status"], found["executed_at"]) == ("executed", "2026-03-10T12:00:00Z")
    assert (await it.events())[-3:] == ["erasing", "expired", "erased"]


async def test_a_plan_carries_it_out_too(it):
    await named(it, "r1")
    await it.request_erasure(ids=("r1",))
    applied = await it.apply()
    assert (len(applied.expired), applied.erased) == (1, 1)


async def test_a_certificate_says_who_when_and_why_and_no_name(locked):
    await named(locked, "r1", ended_at=datetime(2020, 1, 1, tzinfo=UTC))
    await locked.request_erasure("ticket 7", ids=("r1",))
    locked.clock.advance(days=2)
    await locked.custody.job()
    key = (await status(locked))["certificate"]
    assert key == certificate_key(SOURCE, "r1")
    stored = await locked.store.head(key)
    assert (stored.lock_mode, stored.retain_until.year) == ("governance", 2027)
    said = json.loads(locked.store.content(key))
    assert (said["schema"], said["recording_id"], said["reason"]) == ("archiver.erasure/1", "r1", "ticket 7")
    assert "Ada" not in str(said)


async def test_a_lock_dates_it(locked):
    await named(locked, "r1")
    await locked.request_erasure(ids=("r1",))
    found = await status(locked)
    assert (found["status"], found["lawful_at"], found["why"]) == (
        "dated",
        "2027-03-10T11:00:00Z",
        "1 object to be kept until then",
    )
    await locked.custody.job()
    assert locked.deleted() == []
    assert (await locked.plan()).items[0].reason == "erasure 1 is lawful when its lock ends, on 2027-03-10T11:00:00Z"
    locked.clock.advance(days=366)
    assert (await locked.custody.job()).erased == 1


async def test_a_hold_beats_it_also_one_that_comes_later(it):
    await named(it, "r1")
    await it.request_erasure(ids=("r1",))
    await it.hold("X", ids=("r1",))
    await it.custody.job()
    found = await status(it)
    assert (found["status"], found["why"], found["lawful_at"]) == ("blocked", "held by X", None)
    assert len(it.media()) == 1
    await it.release_hold("X")
    assert (await it.custody.job()).erased == 1


async def test_what_waits_to_be_archived_is_never_archived(it):
    await it.listed("r1", **NAMES)
    await it.request_erasure(ids=("r1",))
    assert await it.state() is State.EXPIRED
    await it.work()
    assert it.media() == []
    await it.custody.job()
    assert (await status(it))["status"] == "executed"


async def test_unless_a_hold_wants_it(it):
    await it.hold("X", sources=(SOURCE,), future=True)
    await it.listed("r1")
    await it.request_erasure(ids=("r1",))
    await it.work()
    assert await it.state() is State.VERIFIED


async def test_what_is_damaged_goes_too(it):
    await named(it, "r1", verify=False)
    it.store.objects[it.media()[0]].body[-1] ^= 1
    await it.work()
    assert await it.state() is State.DAMAGED
    await it.request_erasure(ids=("r1",))
    assert (await it.custody.job()).erased == 1
    assert it.media() == []


async def test_a_loss_stays_one_and_loses_its_names(it):
    await it.listed("r1", **NAMES)
    it.provider.listed.pop("r1")
    await it.catalog.record_gone(SOURCE, "r1", looks=2)
    await it.request_erasure(ids=("r1",))
    await it.custody.job()
    assert (await it.state(), (await it.recording()).participant_name) == (State.LOST, "")


async def test_a_hold_keeps_the_names_of_a_loss_until_it_is_over(it):
    await it.listed("r1", **NAMES)
    it.provider.listed.pop("r1")
    await it.catalog.record_gone(SOURCE, "r1", looks=2)
    await it.hold("X", ids=("r1",))
    await it.request_erasure(ids=("r1",))
    assert (await it.custody.job()).erased == 0
    assert ((await status(it))["status"], (await it.recording()).participant_name) == ("blocked", "Ada Lovelace")
    await it.release_hold("X")
    assert (await it.custody.job()).erased == 1
    assert (await it.recording()).participant_name == ""


async def test_the_manifests_in_the_archive_forget_too_and_keep_the_others(it):
    await named(it, "r1")
    await it.archived("r2", participant_name="Grace Hopper")
    assert await Manifests(facts=SqlFacts(it.database, "me"), storage=it.store).write() == 2
    await it.request_erasure(ids=("r1",))
    assert (await it.custody.job()).erased == 1
    left = b"".join(bytes(it.store.content(key)) for key in it.store.keys_now() if key.startswith(MANIFESTS))
    assert [name in left for name in (b"Ada", b"Boardroom", b"123456", b"P-9")] == [False] * 4
    assert b"Grace Hopper" in left


async def test_a_room_that_others_were_recorded_in_keeps_its_name(it):
    await named(it, "r1", "r2")
    await it.request_erasure(ids=("r1",))
    await it.custody.job()
    assert [row.name for row in await it.rows(sa.select(rooms.c.name))] == ["Boardroom"]
    assert (await it.recording("r2")).room_name == "Boardroom"
    await it.request_erasure(ids=("r2",))
    await it.custody.job()
    assert [row.name for row in await it.rows(sa.select(rooms.c.name))] == [""]


async def test_a_room_is_not_asked_for_once_the_last_that_named_it_is_forgotten(it):
    await it.archived("r1", "r2", room_id="R-1")
    for recording_id, left in (("r1", ["R-1"]), ("r2", [])):
        await it.request_erasure(ids=(recording_id,))
        await it.custody.job()
        assert await it.catalog.rooms_missing(SOURCE, limit=10) == left


async def test_listed_again_it_is_not_taken_up_again(it):
    await named(it, "r1")
    was = it.provider.listed["r1"]
    await it.request_erasure(ids=("r1",))
    await it.custody.job()
    added = await it.catalog.add_page(SOURCE, "telnyx-rooms", [was])
    assert (added.new, added.changed, added.ids) == (0, 0, {"r1"})
    await it.catalog.save_rooms(SOURCE, {"R-1": Room(room_id="R-1", name="Boardroom", raw={})})
    await it.work()
    assert it.media() == []
    assert "Ada" not in await text_of_catalog(it)
    assert (await it.recording()).room_name == ""


@pytest.mark.parametrize("where", ["delete", "put"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_anywhere_the_next_run_ends_it(it, where, when):
    await named(it, "r1")
    await it.request_erasure(ids=("r1",))
    getattr(it.store, when)[where].append(StorageUnavailable("killed"))
    with pytest.raises(StorageUnavailable):
        await it.custody.job()
    assert (await status(it))["status"] == "dated"  # never called erased before it is (S23)
    it.restart()
    assert (await it.custody.job()).erased == 1
    assert [line.recording_id for line in await it.lines("erased")] == ["r1"]


async def test_the_caps_hold_for_erasures_too(it):
    await named(it, "r1", "r2")
    it.change(max_count=1)
    await it.request_erasure(sources=(SOURCE,))
    await it.custody.job()
    assert len(it.media()) == 2


async def test_a_second_request_for_the_same_ends_with_the_first(it):
    await named(it, "r1")
    await it.request_erasure(ids=("r1",))
    await it.request_erasure(sources=(SOURCE,))
    await it.custody.job()
    assert [item["status"] for request in await it.erasures() for item in request["recordings"]] == ["executed", "executed"]
    assert await it.request_erasure(ids=("r1",)) == (0, 0)


# -- a catalog that was restored from an older copy


def path_of(url):
    return url.removeprefix("sqlite:///")


async def test_a_restored_catalog_that_still_remembers_forgets_again(sqlite_url, tmp_path):
    async with archive(sqlite_url, policies=[policy("year", "1y")]) as it:
        await named(it, "r1")
        was = it.provider.listed["r1"]
        clock, store = it.clock, it.store
    shutil.copyfile(path_of(sqlite_url), tmp_path / "old.db")
    async with archive(sqlite_url, policies=[policy("year", "1y")], clock=clock, store=store) as it:
        await it.request_erasure(ids=("r1",))
        await it.custody.job()
    shutil.copyfile(tmp_path / "old.db", path_of(sqlite_url))
    async with archive(sqlite_url, policies=[policy("year", "1y")], clock=clock, store=store) as it:
        assert await it.state() is State.VERIFIED
        assert await recall(it.store, it.keeping) == 1
        await it.catalog.add_page(SOURCE, "telnyx-rooms", [was])
        await it.work()
        assert it.media() == []
        await it.custody.job()
        assert await it.state() is State.EXPIRED
        assert "Ada" not in await text_of_catalog(it)
        assert await recall(it.store, it.keeping) == 0


async def test_a_catalog_that_never_knew_it_does_not_take_it_up(sqlite_url, it):
    await named(it, "r1")
    was = it.provider.listed["r1"]
    await it.request_erasure(ids=("r1",))
    await it.custody.job()
    async with archive(f"{sqlite_url}.new", clock=it.clock, store=it.store) as new:
        await schema.ready(f"{sqlite_url}.new", upgrade=True)
        assert await recall(new.store, new.keeping) == 1
        added = await new.catalog.add_page(SOURCE, "telnyx-rooms", [was])
        assert (added.new, added.ids) == (0, {"r1"})


async def test_a_certificate_that_somebody_laid_down_deletes_nothing(it):
    """Whoever may write to the archive must not be able to delete from it that way."""
    await named(it, "r1")
    key = certificate_key(SOURCE, "r1")
    body = {
        "schema": "archiver.erasure/1",
        "source": SOURCE,
        "recording_id": "r1",
        "reason": "trust me",
        "requested_by": "nobody",
        "requested_at": "2026-01-01T00:00:00Z",
        "executed_at": "2026-01-01T00:00:00Z",
    }
    it.store.plant(key, json.dumps(body).encode())
    assert await recall(it.store, it.keeping) == 0
    await it.custody.job()
    assert len(it.media()) == 1
    assert parsed(certificate_key(SOURCE, "r2"), json.dumps(body).encode()) is None
    for broken in (b"", b"[]", b"{}", json.dumps({**body, "executed_at": "2026-01-01T00:00:00"}).encode()):
        assert parsed(key, broken) is None
