"""What a page of a provider's list does to the catalog: everything once, and nothing when nothing changed (I3)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import ledger, quarantine, recordings, renditions, superseded
from archiver.domain.lifecycle import Event
from archiver.domain.recording import ProviderStatus, Rejected, State
from archiver.domain.stepping import StepWatch
from archiver.domain.work import PRIORITY_BACKFILL, Outcome
from tests.catalog.world import KIND, NOON, SOURCE, a_listing, processing, stored

UNKNOWN = {"status": ProviderStatus.UNKNOWN, "status_raw": "archived-elsewhere"}
DELETED = {"status": ProviderStatus.DELETED, "status_raw": "deleted"}
FAILED = {"status": ProviderStatus.FAILED, "status_raw": "absent"}


async def test_a_new_recording_has_a_rendition_for_each_name_and_a_ledger_line_for_each(world):
    added = await world.lists(a_listing("c1", renditions=("mp3", "wav")), a_listing("c2", renditions=("mp3",)))
    assert (added.new, added.changed, added.ids) == (2, 0, {"c1", "c2"})
    assert await world.count(recordings) == 2
    lines = await world.rows(sa.select(ledger).order_by(ledger.c.id))
    assert [(line.event, line.recording_id, line.rendition, line.from_state, line.to_state) for line in lines] == [
        ("discovered", "c1", "mp3", "", "due"),
        ("discovered", "c1", "wav", "", "due"),
        ("discovered", "c2", "mp3", "", "due"),
    ]
    assert {line.at for line in lines} == {NOON}
    assert {line.actor for line in lines} == {"me"}


async def test_a_page_listed_again_changes_no_row_and_no_ledger_line(world):
    page = [a_listing(f"r{n}") for n in range(50)]
    await world.lists(*page)
    before = [await world.rows(sa.select(table)) for table in (recordings, renditions, ledger)]
    world.clock.advance(minutes=5)
    again = await world.lists(*page)
    assert (again.new, again.changed, len(again.ids)) == (0, 0, 50)
    assert [await world.rows(sa.select(table)) for table in (recordings, renditions, ledger)] == before


async def test_a_page_listed_again_does_not_write_a_single_byte_to_sqlite(lite):
    page = [a_listing(f"r{n}") for n in range(50)]
    await lite.lists(*page)

    async def changes(tx):
        return (await tx.execute(sa.text("SELECT total_changes()"))).scalar()

    before = await lite.me.database.write(changes)
    await lite.lists(*page)
    assert await lite.me.database.write(changes) == before


async def again(world, page):
    """A poll that is handed the very page of the poll before, as providers' pages that did not change are."""
    return await world.me.add_page(SOURCE, KIND, page)


async def test_the_same_page_is_looked_at_again_when_one_of_its_recordings_was_missed_meanwhile(world):
    page = (a_listing("r1"), a_listing("r2"))
    for _ in range(3):
        await again(world, page)
    await world.me.record_gone(SOURCE, "r2", looks=1)
    assert (await again(world, page)).changed == 1
    assert (await world.recording("r2")).gone_looks == 0


async def test_the_same_page_is_looked_at_again_when_one_of_its_recordings_was_lost_meanwhile(world):
    page = (a_listing("r1"), a_listing("r2"))
    for _ in range(3):
        await again(world, page)
    for entry in await world.me.claim(5, sources=[SOURCE]):
        lost = entry.recording_id == "r2"
        await world.me.save([Outcome(entry=entry, event=Event.LOST, reason="gone") if lost else stored(entry)])
    assert (await world.recording("r2")).status == "deleted"
    assert (await again(world, page)).changed == 1
    assert await world.state("r2") is State.DUE


@pytest.mark.parametrize("changed", [{"codec": "vp9"}, {"room_name": "other"}])
async def test_the_same_page_is_looked_at_again_when_another_poll_listed_something_else(world, changed):
    page = (a_listing("r1"), a_listing("r2"))
    for _ in range(3):
        await again(world, page)
    await world.you.add_page(SOURCE, KIND, (a_listing("r1", **changed),))
    assert (await again(world, page)).changed == 1
    assert (await world.recording("r1")).codec == "opus"


async def test_the_same_page_is_looked_at_again_when_one_of_its_rows_is_no_longer_there(world):
    page = (a_listing("r1"), a_listing("r2"))
    for _ in range(3):
        await again(world, page)
    (pk,) = [row.id for row in await world.rows(sa.select(recordings).where(recordings.c.recording_id == "r2"))]
    await world.me.database.write(lambda tx: tx.execute(sa.delete(renditions).where(renditions.c.recording_pk == pk)))
    await world.me.database.write(lambda tx: tx.execute(sa.delete(recordings).where(recordings.c.id == pk)))
    assert (await again(world, page)).new == 1


async def test_the_same_page_is_one_question_and_no_write(world):
    page = (a_listing("r1"), a_listing("r2"))
    await again(world, page)
    seen = statements(world)
    assert (await again(world, page)).ids == {"r1", "r2"}
    assert [words.split()[0] for words in seen if not words.startswith("BEGIN")] == ["SELECT"]


async def test_the_same_page_is_written_with_when_the_clock_was_set_meanwhile(world):
    page = (a_listing("r1"), a_listing("r2"))
    world.me.database.steps = StepWatch("the catalog's clock", lambda: 0.0)
    await again(world, page)
    world.clock.advance(hours=1)
    await again(world, page)
    assert [row.event for row in await world.rows(sa.select(ledger).where(ledger.c.actor == "clock"))] == ["clock_doubted"]


async def test_the_same_page_is_written_with_when_rows_of_it_cannot_be_catalogued(world):
    page = (a_listing("r1"), a_listing("r2"))
    await again(world, page)
    await world.me.add_page(SOURCE, KIND, page, rejected=[Rejected(reason="id is null", raw="{}")])
    assert await world.count(quarantine) == 1


def statements(world):
    """A list that grows with every statement."""
    seen = []
    sa.event.listen(world.me.database._engine.sync_engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


async def test_a_question_does_not_cost_the_connection_what_is_prepared_on_it(pg):
    page = [a_listing(f"r{n}") for n in range(3)]
    for _ in range(10):
        await again(pg, page)
    async with pg.me.database.read() as conn:
        prepared = (await conn.execute(sa.text("SELECT statement FROM pg_prepared_statements"))).scalars().all()
    assert any("json_each_text" in words for words in prepared)


async def test_the_same_page_of_another_source_is_another_page(world):
    page = (a_listing("r1"), a_listing("r2"))
    for _ in range(3):
        await again(world, page)
    assert (await world.me.add_page("others", KIND, page)).new == 2


async def test_a_row_twice_on_a_page_is_one_recording_and_the_later_row_counts(world):
    added = await world.lists(a_listing("r1", size=1), a_listing("r2"), a_listing("r1", size=2))
    assert (added.new, len(added.ids)) == (2, 2)
    assert (await world.recording("r1")).size == 2
    assert await world.events("r1") == ["discovered"]


async def test_an_id_that_two_sources_list_is_two_recordings(world):
    await world.lists(a_listing("r1"))
    await world.lists(a_listing("r1"), source="calls")
    assert await world.count(recordings) == 2


async def test_ids_that_differ_in_case_only_are_two_recordings(world):
    added = await world.lists(a_listing("RTab"), a_listing("RTAB"))
    assert added.new == 2


async def test_an_empty_page_is_nothing(world):
    added = await world.lists()
    assert (added.new, added.changed, added.ids) == (0, 0, frozenset())


async def test_processing_becomes_due_when_the_provider_has_finished_and_the_history_says_so(world):
    await world.lists(processing())
    assert await world.state() is State.WAITING
    world.clock.advance(minutes=5)
    added = await world.lists(a_listing())
    assert (added.new, added.changed) == (0, 1)
    assert (await world.row()).due_at == NOON + timedelta(minutes=5)
    lines = await world.history()
    assert [(line.event, line.from_state, line.to_state) for line in lines] == [
        ("discovered", "", "waiting"),
        ("completed", "waiting", "due"),
    ]


async def test_a_change_that_matters_to_no_state_updates_the_recording_and_leaves_no_ledger_line(world):
    await world.lists(a_listing(room_name="before"))
    added = await world.lists(a_listing(room_name="after"))
    assert added.changed == 1
    assert (await world.recording()).room_name == "after"
    assert await world.events() == ["discovered"]


async def test_a_rendition_that_is_listed_later_is_added(world):
    await world.lists(a_listing(renditions=("mp3",)))
    await world.lists(a_listing(renditions=("mp3", "wav")))
    assert (await world.row(rendition="wav")).state == "due"
    assert await world.events() == ["discovered", "discovered"]


async def test_an_unknown_provider_status_waits_and_is_kept_raw(world):
    await world.lists(a_listing(**UNKNOWN))
    assert await world.state() is State.WAITING
    recording = await world.recording()
    assert (recording.status, recording.status_raw) == ("unknown", "archived-elsewhere")
    assert await world.me.claim(10, sources=[SOURCE]) == []


@pytest.mark.parametrize(
    ("changes", "state", "error"),
    [
        (FAILED, State.UNAVAILABLE, "the provider's own status is 'absent'"),
        (DELETED, State.LOST, "first seen when the provider had deleted it already"),
        ({"external_url": "s3://theirs/x"}, State.EXTERNAL, "the media lies at s3://theirs/x"),
    ],
)
async def test_what_cannot_be_archived_enters_in_its_end_state_with_the_reason(world, changes, state, error):
    await world.lists(a_listing(**changes))
    row = await world.row()
    assert (row.state, row.error) == (state, error)
    assert await world.me.claim(10, sources=[SOURCE]) == []


@pytest.mark.parametrize("first", [processing(), a_listing()], ids=["waiting", "due"])
async def test_a_recording_the_provider_could_not_make_becomes_unavailable(world, first):
    await world.lists(first)
    await world.lists(a_listing(**FAILED))
    row = await world.row()
    assert (row.state, row.error) == (State.UNAVAILABLE, "the provider's own status is 'absent'")
    assert (await world.history())[-1].event == Event.UNAVAILABLE


async def test_a_waiting_recording_that_turns_out_to_lie_elsewhere_is_external_and_comes_back_when_it_no_longer_does(world):
    await world.lists(processing())
    await world.lists(a_listing(external_url="s3://theirs/x"))
    assert await world.state() is State.EXTERNAL
    await world.lists(a_listing())
    assert await world.state() is State.DUE
    assert await world.events() == ["discovered", "external", "reappeared"]


async def test_a_lost_recording_that_is_listed_again_is_due_again(world):
    await world.lists(a_listing())
    assert await world.me.record_gone(SOURCE, "r1", looks=2)
    assert await world.state() is State.LOST
    world.clock.advance(hours=1)
    await world.lists(a_listing())
    row, recording = await world.row(), await world.recording()
    assert (row.state, row.due_at, row.error) == ("due", NOON + timedelta(hours=1), "")
    assert (recording.status, recording.gone_looks, recording.gone_at) == ("completed", 0, None)
    assert await world.events() == ["discovered", "lost", "reappeared"]


async def test_a_recording_lost_by_a_transfer_is_due_again_when_listed_whatever_was_counted(world):
    (entry,) = await world.claimed()
    await world.me.save([Outcome(entry=entry, event=Event.LOST, reason="the provider deleted it")])
    await world.lists(a_listing())
    assert await world.state() is State.DUE


async def test_first_seen_deleted_and_listed_as_completed_later_is_due(world):
    await world.lists(a_listing(**DELETED))
    await world.lists(a_listing())
    assert await world.state() is State.DUE


async def test_a_listing_as_deleted_alone_changes_nothing(world):
    await world.lists(a_listing())
    added = await world.lists(a_listing(**DELETED))
    assert (added.changed, added.ids) == (0, {"r1"})
    assert (await world.recording()).status == "completed"
    assert await world.events() == ["discovered"]


async def test_an_unavailable_recording_comes_back_when_the_provider_lists_other_content(world):
    (entry,) = await world.claimed()
    await world.me.save([Outcome(entry=entry, event=Event.UNAVAILABLE, reason="404 on the media")])
    await world.lists(a_listing(room_name="another name"))
    assert await world.state() is State.UNAVAILABLE
    await world.lists(a_listing(size=2000))
    assert await world.state() is State.DUE
    assert (await world.row()).attempts == 0


async def test_other_content_of_a_verified_recording_is_fetched_and_the_old_object_kept_as_superseded(world):
    await world.verified()
    world.clock.advance(hours=1)
    await world.lists(a_listing(size=2000))
    row = await world.row()
    assert (row.state, row.attempts, row.key) == ("due", 0, "rooms/r1/media.ogg")
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    assert (entry.sha256, entry.listed_size) == ("ab" * 32, 2000)
    assert (
        await world.me.save([stored(entry, key="rooms/r1/media-cdcdcd.ogg", sha256="cd" * 32, size=2000, version_id="v9")]) == []
    )
    (old,) = await world.rows(sa.select(superseded))
    assert (old.key, old.version_id, old.size, old.sha256, old.token) == ("rooms/r1/media.ogg", "v1", 1000, "ab" * 32, "t1")
    assert (old.archived_at, old.superseded_at) == (NOON, NOON + timedelta(hours=1))
    row = await world.row()
    assert (row.state, row.key, row.sha256) == ("stored", "rooms/r1/media-cdcdcd.ogg", "cd" * 32)


async def test_other_content_in_several_parts_keeps_the_old_object_as_superseded_too(world):
    await world.verified()
    await world.lists(a_listing(size=2000))
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    upload = {"key": "rooms/r1/media-2.ogg", "token": "t2"}
    entry = await world.me.note_upload(entry, facts={"upload_id": "u2", "upload": upload})
    await world.me.save([stored(entry, **upload, sha256="cd" * 32, size=2000, version_id="v2")])
    (old,) = await world.rows(sa.select(superseded))
    assert (old.key, old.version_id, old.size, old.sha256, old.token) == ("rooms/r1/media.ogg", "v1", 1000, "ab" * 32, "t1")


async def test_the_same_bytes_under_the_same_key_supersede_nothing(world):
    await world.verified()
    await world.lists(a_listing(duration=3601.0))
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    await world.me.save([stored(entry)])
    assert await world.count(superseded) == 0


async def test_other_content_is_noticed_across_a_status_in_between(world):
    await world.verified()
    await world.lists(a_listing(**UNKNOWN))
    assert await world.state() is State.VERIFIED
    await world.lists(a_listing(size=2000))
    assert (await world.history())[-1].event == Event.CONTENT_CHANGED


async def test_other_content_that_is_listed_during_the_transfer_is_noticed_after_it(world):
    (entry,) = await world.claimed()
    await world.lists(a_listing(size=2000))
    assert await world.state() is State.TRANSFERRING
    await world.me.save([stored(entry)])
    await world.lists(a_listing(size=2000))
    assert await world.state() is State.DUE
    assert await world.events() == ["discovered", "claimed", "stored", "content_changed"]


async def test_a_completed_size_that_was_not_known_before_is_no_other_content_for_one_that_waits(world):
    await world.lists(processing())
    await world.lists(a_listing(size=5))
    assert await world.events() == ["discovered", "completed"]


async def test_ended_between_leaves_out_what_the_provider_has_deleted(world):
    await world.lists(a_listing("held"), a_listing("gone"))
    await world.me.record_gone(SOURCE, "gone", looks=2)
    found = await world.me.ended_between(SOURCE, NOON - timedelta(days=1), NOON)
    assert [known.ref.recording_id for known in found] == ["held"]


async def test_open_recordings_are_handed_out_in_turn_and_never_twice_at_once(world):
    await world.lists(*(processing(f"p{n}") for n in range(5)), a_listing("done"), a_listing("odd", **UNKNOWN))
    assert await world.me.open_recordings(SOURCE, limit=10) == []  # listed a moment ago: just looked at
    world.clock.advance(minutes=1)
    first = await world.me.open_recordings(SOURCE, limit=4)
    second = await world.me.open_recordings(SOURCE, limit=4)
    assert {ref.recording_id for ref in (*first, *second)} == {"p0", "p1", "p2", "p3", "p4", "odd"}
    assert (len(first), len(second)) == (4, 2)
    world.clock.advance(minutes=1)
    assert {ref.recording_id for ref in await world.me.open_recordings(SOURCE, limit=4)} == {ref.recording_id for ref in first}


async def test_what_backfill_finds_queues_behind_live_work(world):
    await world.me.add_page(SOURCE, KIND, [a_listing("old")], priority=PRIORITY_BACKFILL)
    await world.lists(a_listing("new"))
    assert [entry.recording_id for entry in await world.me.claim(1, sources=[SOURCE])] == ["new"]


async def test_two_pages_at_once_with_the_same_recordings_leave_each_of_them_once(world):
    page = [a_listing(f"r{n}") for n in range(40)]
    added = await asyncio.gather(*(who.add_page(SOURCE, KIND, page) for who in (world.me, world.you, world.me, world.you)))
    assert sorted(item.new for item in added) == [0, 0, 0, 40]
    assert await world.count(recordings) == 40
    assert await world.count(ledger) == 40


async def test_a_change_is_one_line_when_two_pollers_see_it_at_once(world):
    await world.lists(*(processing(f"r{n}") for n in range(20)))
    page = [a_listing(f"r{n}") for n in range(20)]
    await asyncio.gather(*(who.add_page(SOURCE, KIND, page) for who in (world.me, world.you) * 4))
    assert await world.count(ledger) == 40


async def test_the_entry_tells_a_worker_all_that_was_listed(world):
    listed = replace(a_listing(), media_type="audio", container="ogg", room_id="room-1", size=77)
    await world.lists(listed)
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    assert (entry.status, entry.listed_size, entry.codec, entry.container) == (ProviderStatus.COMPLETED, 77, "opus", "ogg")
    assert (entry.room_id, entry.media_type, entry.first_seen_at) == ("room-1", "audio", NOON)
    assert (entry.started_at, entry.ended_at) == (listed.started_at, listed.ended_at)
