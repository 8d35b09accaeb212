"""Legal hold: by case, on what is there and on what comes; it beats everything, in the catalog and in the store."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import recordings
from archiver.domain.errors import UsageError
from archiver.domain.ports import Later
from archiver.domain.recording import Room, State
from tests.retention.archive import NOON, archive, policy
from tests.retention.locking_store import LockingStore


@pytest.fixture
async def both(database_url):
    """On SQLite and PostgreSQL."""
    async with archive(database_url, policies=[policy("year", "1y")]) as found:
        yield found
        assert await found.violations() == []


async def actions(it):
    return {item.recording_id: item.action.value for item in (await it.plan()).items}


async def test_what_is_held_is_kept_however_long_it_is_over(both):
    await both.archived("r1", "r2")
    placed = await both.hold("X-1", ids=("r1",))
    assert (placed.recordings, placed.renditions, placed.fresh, placed.unknown) == (1, 1, 1, ())
    both.clock.advance(days=4000)
    assert await actions(both) == {"r1": "keep", "r2": "expire"}
    await both.release_hold("X-1")
    assert await actions(both) == {"r1": "expire", "r2": "expire"}


@pytest.mark.parametrize(
    ("chosen", "held"),
    [
        ({"ids": ("rooms/r1", "r2")}, {"r1", "r2"}),
        ({"sources": ("rooms",)}, {"r1", "r2", "r3"}),
        ({"room": "R-2"}, {"r2"}),
        ({"room": "Board*"}, {"r1"}),
        ({"participant": "Ada*"}, {"r3"}),
        ({"since": NOON - timedelta(hours=2), "until": NOON}, {"r1", "r2"}),
        ({"sources": ("rooms",), "participant": "Ada*"}, {"r3"}),
        ({"room": "board*"}, set()),
    ],
)
async def test_selectors_say_what_is_held(it, chosen, held):
    await it.listed("r1", room_id="R-1", room_name="Board room")
    await it.listed("r2", room_id="R-2")
    await it.listed("r3", participant_name="Ada L.", ended_at=NOON - timedelta(days=3))
    await it.work()
    await it.hold("X", **chosen)
    assert {item.recording_id for item in (await it.plan()).items if item.holds == ("X",)} == held


async def test_where_nothing_matches_nothing_is_written_unless_something_may_come(it):
    placed = await it.hold("X", ids=("nobody",))
    assert (placed.recordings, placed.unknown) == (0, ("nobody",))
    assert await it.lines("hold_placed") == []
    await it.hold("X", room="R-1", future=True)
    assert [line.data["future"] for line in await it.lines("hold_placed")] == [True]


async def test_what_matches_later_is_held_on_arrival(both):
    await both.hold("X", room="Board*", future=True)
    await both.listed("r1", room_name="Board")
    await both.listed("r2", room_name="Kitchen")
    lines = [line for line in await both.lines("hold_placed") if line.recording_id]
    assert [(line.recording_id, line.data) for line in lines] == [("r1", {"arrived": True, "case": "X"})]
    await both.work()
    both.clock.advance(days=400)
    assert await actions(both) == {"r1": "keep", "r2": "expire"}


async def test_a_room_whose_name_becomes_known_later_is_held_then(it):
    await it.hold("X", room="Board*", future=True)
    await it.listed("r1", room_id="R-1")
    assert (await it.lines("hold_placed"))[1:] == []
    await it.catalog.save_rooms("rooms", {"R-1": Room(room_id="R-1", name="Board", raw={})})
    assert (await it.lines("hold_placed"))[1].recording_id == "r1"


async def test_without_future_later_matches_are_not_held_but_another_rendition_of_a_held_recording_is(it):
    await it.listed("r1", renditions=("mp3",))
    await it.hold("X", sources=("rooms",))
    await it.listed("r2", renditions=("mp3",))
    await it.listed("r1", renditions=("mp3", "wav"))
    held = [(line.recording_id, line.rendition) for line in await it.lines("hold_placed") if line.recording_id]
    assert held == [("r1", "mp3"), ("r1", "wav")]


async def test_a_run_holds_what_slipped_through_before_it_deletes_anything(it):
    await it.archived("r1")
    await it.hold("X", participant="Ada", future=True)
    await it.database.write(lambda tx: _rename(tx, "Ada"))  # by a rebuild, say: no page brought it
    it.clock.advance(days=400)
    await it.custody.job()
    assert await it.state() is State.VERIFIED
    assert it.deleted() == []


async def _rename(tx, name):
    await tx.execute(sa.update(recordings).values(participant_name=name))


async def test_the_same_hold_placed_again_adds_what_matches_by_now(it):
    await it.listed("r1")
    await it.hold("X", sources=("rooms",))
    await it.listed("r2")
    placed = await it.hold("X", sources=("rooms",))
    assert (placed.recordings, placed.fresh) == (2, 1)
    with pytest.raises(UsageError, match="holds by another selector"):
        await it.hold("X", ids=("r1",))


async def test_a_case_that_was_released_is_history(it):
    await it.listed("r1")
    await it.hold("X", ids=("r1",))
    assert await it.release_hold("X", "settled") == 1
    assert await it.release_hold("X") is None
    assert await it.release_hold("never heard of") is None
    with pytest.raises(UsageError, match="was released"):
        await it.hold("X", ids=("r1",))
    told = [(line.recording_id, line.reason) for line in await it.lines("hold_released")]
    assert told == [("", "settled"), ("r1", "settled")]


async def test_the_history_names_ids_and_no_persons(it):
    await it.listed("r1", participant_name="Ada Lovelace", room_name="Board")
    await it.hold("X", ids=("r1",))
    await it.release_hold("X")
    lines = await it.lines("hold_placed") + await it.lines("hold_released")
    assert "Ada" not in str(lines)
    assert "Board" not in str(lines)


async def test_an_expired_rendition_cannot_be_held_any_more(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    await it.apply()
    placed = await it.hold("X", ids=("r1",))
    assert (placed.recordings, placed.unknown) == (0, ("r1",))


async def test_a_hold_tells_of_deletions_that_were_authorised_just_before(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    row = await it.row()
    await it.keeping.authorise(row.id, it.custody._rules.decide, data={})
    placed = await it.hold("X", ids=("r1",))
    assert placed.deleting == (row.id,)
    it.clock.advance(seconds=61)
    assert (await it.hold("X", ids=("r1",))).deleting == ()
    await it.custody.job()


# -- in the store


async def test_the_store_is_told_and_told_again_when_it_is_over(locked):
    await locked.archived("r1", "r2")
    await locked.hold("X", ids=("r1",))
    held = await locked.custody.holds()
    assert (held.kept, held.set, held.cleared, held.problems) == (True, 1, 0, [])
    row = await locked.row()
    assert (row.store_hold, (await locked.store.head(row.key)).legal_hold) == (True, True)
    assert (await locked.custody.holds()).set == 0
    await locked.release_hold("X")
    assert (await locked.custody.holds()).cleared == 1
    assert (await locked.store.head(row.key)).legal_hold is False


async def test_one_case_released_leaves_the_other_in_the_store(locked):
    await locked.archived("r1")
    await locked.hold("X", ids=("r1",))
    await locked.hold("Y", sources=("rooms",))
    await locked.custody.holds()
    await locked.release_hold("X")
    await locked.custody.holds()
    assert (await locked.store.head((await locked.row()).key)).legal_hold is True
    await locked.release_hold("Y")
    await locked.custody.holds()
    assert (await locked.store.head((await locked.row()).key)).legal_hold is False


async def test_a_hold_that_somebody_else_set_in_the_store_is_never_cleared(locked):
    await locked.archived("r1")
    key = (await locked.row()).key
    locked.store._change(key, legal_hold=True)
    await locked.hold("X", ids=("r1",))
    assert (await locked.custody.holds()).foreign == 1
    await locked.release_hold("X")
    await locked.custody.holds()
    assert (await locked.store.head(key)).legal_hold is True


async def test_what_is_held_before_it_is_archived_is_held_in_the_store_afterwards(locked):
    await locked.hold("X", sources=("rooms",), future=True)
    await locked.archived("r1")
    assert (await locked.custody.holds()).set == 1


async def test_a_second_object_of_a_held_rendition_is_held_from_its_birth(locked):
    await locked.archived("r1")
    await locked.hold("X", ids=("r1",))
    await locked.custody.holds()
    locked.provider.put(replace(locked.provider.listed["r1"], size=77))
    locked.provider.has("r1", b"OggS" + b"x" * 73)
    await locked.catalog.add_page("rooms", "telnyx-rooms", [locked.provider.listed["r1"]])
    await locked.work()
    assert [locked.store.objects[key].stored.legal_hold for key in locked.media()] == [True, True]
    await locked.release_hold("X")
    await locked.custody.holds()
    assert [locked.store.objects[key].stored.legal_hold for key in locked.media()] == [False, False]


async def test_a_store_without_legal_holds_says_so_and_the_catalogs_hold_protects(sqlite_url):
    store = LockingStore(later=Later())
    async with archive(sqlite_url, policies=[policy("year", "1y")], store=store) as it:
        store._clock = it.clock
        await it.archived("r1")
        await it.hold("X", ids=("r1",))
        assert (await it.custody.holds()).kept is False
        assert store.counts["hold"] == 0
        it.clock.advance(days=400)
        await it.custody.job()
        assert it.deleted() == []


async def test_a_store_that_takes_a_hold_and_does_not_show_it_is_told_of(locked):
    await locked.archived("r1")
    await locked.hold("X", ids=("r1",))
    locked.store.shown = False
    held = await locked.custody.holds()
    assert "does not show it" in held.problems[0]
    assert (await locked.row()).store_hold is False


async def test_a_hold_released_while_the_store_is_told_is_seen_to_by_the_next_run(locked):
    await locked.archived("r1")
    await locked.hold("X", ids=("r1",))
    plain = locked.keeping.store_held

    async def store_held(item):
        locked.keeping.store_held = plain
        await locked.release_hold("X")
        return await plain(item)

    locked.keeping.store_held = store_held
    held = await locked.custody.holds()
    assert held.set == 0
    assert (await locked.store.head((await locked.row()).key)).legal_hold is False
