"""Lists in pages, selectors, and everything about one recording."""

import fnmatch
import itertools
import random
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from archiver.catalog import listing
from archiver.catalog.evidence_tables import hold_members, holds
from archiver.catalog.selector import Selector, like
from archiver.domain.errors import UsageError
from archiver.domain.lifecycle import Event
from archiver.domain.recording import Room, State
from archiver.domain.work import Outcome
from tests.catalog.world import NOON, SOURCE, World, a_listing, processing, stored

FIELDS = [
    *("source", "provider", "recording_id", "rendition", "provider_status", "state", "key", "version_id", "size", "sha256"),
    *("started_at", "ended_at", "first_seen_at", "archived_at", "verified_at", "retain_until", "holds", "attempts", "error"),
]


def prefixed(key: str) -> str:
    return f"prefix/{key}"


async def page(world: World, limit=1000, *, after=0, newest_first=False, **chosen):
    async with world.you.database.read() as conn:
        return await listing.page(conn, Selector(**chosen), limit=limit, after=after, newest_first=newest_first)


async def ids(world: World, **chosen):
    return [row.recording_id for row in await page(world, **chosen)]


async def all_pages(world: World, limit, **chosen):
    found, after = [], 0
    while rows := await page(world, limit, after=after, **chosen):
        found += rows
        after = rows[-1].id
    return [row.recording_id for row in found]


# -- rows


async def test_a_row_has_exactly_the_fields_that_users_hold_on_to(world):
    await world.verified()
    (row,) = await page(world)
    assert listing.document(row, prefixed) == {
        "source": "rooms",
        "provider": "telnyx-rooms",
        "recording_id": "r1",
        "rendition": "media",
        "provider_status": "completed",
        "state": "verified",
        "key": "prefix/rooms/r1/media.ogg",
        "version_id": "v1",
        "size": 1000,
        "sha256": "ab" * 32,
        "started_at": "2026-03-02T10:00:00Z",
        "ended_at": "2026-03-02T11:00:00Z",
        "first_seen_at": "2026-03-02T12:00:00Z",
        "archived_at": "2026-03-02T12:00:00Z",
        "verified_at": "2026-03-02T12:00:00Z",
        "retain_until": None,
        "holds": [],
        "attempts": 0,
        "error": "",
    }
    assert list(listing.document(row, prefixed)) == FIELDS


async def test_what_is_not_archived_has_no_key_and_no_size(world):
    await world.lists(processing())
    (row,) = await page(world)
    found = listing.document(row, prefixed)
    assert (found["key"], found["size"], found["ended_at"], found["state"]) == ("", None, None, "waiting")


async def test_a_row_names_the_holds_that_are_in_force(world):
    await world.verified("r1", "r2")
    held = (await world.row("r1")).id
    facts = {"reason": "x", "selector": {}, "future": False, "placed_at": NOON, "placed_by": "somebody"}

    async def place(tx):
        for number, (case, released) in enumerate([("Z v. Y", None), ("A v. B", None), ("over", NOON)], 1):
            await tx.execute(sa.insert(holds), [{"id": number, "case_name": case, "released_at": released, **facts}])
            await tx.execute(sa.insert(hold_members), [{"hold_id": number, "rendition_pk": held, "held_at": NOON}])

    await world.me.database.write(place)
    rows = {row.recording_id: listing.document(row, prefixed) for row in await page(world)}
    assert {name: row["holds"] for name, row in rows.items()} == {"r1": ["A v. B", "Z v. Y"], "r2": []}


# -- pages


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("bounds", [{}, {"since": NOON - timedelta(days=30)}], ids=["as first seen", "by end"])
async def test_pages_of_any_size_show_each_rendition_once_in_one_order(world, bounds, newest_first):
    chance = random.Random(1)
    for number in range(20):
        ended = NOON - timedelta(hours=chance.randrange(5))  # many end at the same instant
        source = chance.choice(["aaa", "mmm", "zzz"])
        await world.lists(a_listing(f"r{number}", ended_at=ended, renditions=("mp3", "wav")), source=source)
    whole = await all_pages(world, 1000, newest_first=newest_first, **bounds)
    assert len(whole) == 40
    for size in (1, 7, 39, 40):
        assert await all_pages(world, size, newest_first=newest_first, **bounds) == whole
    reverse = await all_pages(world, 1000, newest_first=not newest_first, **bounds)
    assert reverse == whole[::-1]


async def test_pages_go_on_while_new_recordings_arrive(world):
    await world.lists(*(a_listing(f"r{n}") for n in range(6)))
    first = await page(world, 4)
    await world.lists(*(a_listing(f"new{n}") for n in range(3)))
    rest = await page(world, 100, after=first[-1].id)
    assert [row.recording_id for row in rest] == ["r4", "r5", "new0", "new1", "new2"]
    assert await page(world, 0) == []


async def test_a_rare_name_is_found_behind_pages_of_others(world):
    await world.lists(*(a_listing(f"r{n}", room_name="Board") for n in range(30)), a_listing("rare", room_name="board"))
    assert await ids(world, limit=2, room="b*d") == ["rare"]


# -- selectors


async def test_each_condition_selects_and_all_of_them_must_hold(world):
    await world.lists(
        a_listing("r1", room_id="rm-1", room_name="Board [1]", participant_id="pa-1", participant_name="Ann"),
        a_listing("r2", room_id="rm-2", room_name="board [2]", ended_at=NOON - timedelta(days=2)),
        processing("r3", room_id="rm-1"),
    )
    await world.lists(a_listing("r1"), a_listing("a/b"), source="calls")
    await world.put("failed", State.FAILED, source="calls")
    assert await ids(world, sources=("calls",)) == ["r1", "a/b", "failed"]
    assert await ids(world, states=("failed", "waiting")) == ["r3", "failed"]
    assert await ids(world, ids=("r1",)) == ["r1", "r1"]
    assert await ids(world, ids=("rooms/r1", "calls/failed")) == ["r1", "failed"]
    assert await ids(world, ids=("a/b", "calls/a/b")) == ["a/b"]
    assert await ids(world, ids=("nobody",)) == []
    assert await ids(world, since=NOON - timedelta(hours=1), sources=(SOURCE,)) == ["r1"]
    assert await ids(world, until=NOON - timedelta(hours=1)) == ["r2"]
    assert await ids(world, since=NOON - timedelta(days=2), until=NOON, sources=(SOURCE,)) == ["r2", "r1"]
    assert await ids(world, room="rm-1") == ["r1", "r3"]
    assert await ids(world, room="Board*") == ["r1"]
    assert await ids(world, room="?oard*") == ["r1", "r2"]
    assert (
        await ids(world, participant="Ann")
        == await ids(world, participant="pa-1")
        == await ids(world, participant="A*")
        == ["r1"]
    )
    assert await ids(world, room="rm-1", states=("due",), participant="Ann", sources=(SOURCE,), ids=("r1",)) == ["r1"]
    assert await ids(world, room="rm-1", participant="Bob") == []
    assert len(await ids(world)) == 6


GLOBS = [
    "*",
    "a*",
    "?b",
    "[ab]c",
    "[!a]*",
    "100%",
    "a_b",
    "\\",
    "[",
    "[]",
    "a[",
    "*[*",
    "'; DROP TABLE recordings; --",
    "ä*",
    "a\\*",
]
NAMES = [
    "",
    "a",
    "ab",
    "ac",
    "bc",
    "100%",
    "100x",
    "a_b",
    "axb",
    "\\",
    "[",
    "[]",
    "a[",
    "x[y",
    "'; DROP TABLE recordings; --",
    "äb",
    "a\\z",
]


async def test_globs_mean_what_the_shell_means_whatever_characters_are_in_them(world):
    await world.lists(*(a_listing(f"r{number}", room_name=name) for number, name in enumerate(NAMES)))
    for glob in GLOBS:
        expected = [f"r{number}" for number, name in enumerate(NAMES) if fnmatch.fnmatchcase(name, glob)]
        assert await ids(world, room=glob) == expected, glob


@given(st.text(alphabet="ab*?[]!-_%\\", max_size=8), st.text(alphabet="ab*?[]!-_%\\", max_size=8))
def test_a_like_pattern_never_misses_what_the_glob_fits(glob, name):
    pattern = "".join(
        {"%": ".*", "_": "."}.get(part, re.escape(part.removeprefix("\\")))
        for part in re.findall(r"\\.|.", like(glob), re.DOTALL)
    )
    if fnmatch.fnmatchcase(name, glob):
        assert re.fullmatch(pattern, name, re.DOTALL | re.IGNORECASE)


async def test_conditions_alone_in_pairs_and_all_together_are_queries_that_work(world):
    await world.lists(a_listing("r1", room_name="x", participant_name="y"))
    wanted = {
        "ids": ("r1",),
        "sources": (SOURCE,),
        "states": ("due",),
        "since": NOON - timedelta(days=1),
        "until": NOON,
        "room": "x",
        "participant": "?",
    }
    for count in (0, 1, 2, len(wanted) - 1, len(wanted)):
        for names in itertools.combinations(wanted, count):
            assert await ids(world, **{name: wanted[name] for name in names}) == ["r1"]


async def test_a_narrow_list_does_not_read_the_whole_table(lite):
    await lite.lists(*(a_listing(f"r{n}", ended_at=NOON - timedelta(hours=n)) for n in range(300)))
    seen = []
    sa.event.listen(lite.you.database._engine.sync_engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    await page(lite, 10, since=NOON - timedelta(hours=3), until=NOON)
    await page(lite, 10, sources=(SOURCE,), states=("failed",))
    await page(lite, 10, ids=("rooms/r1", "r2"))
    await page(lite, 10, after=5)
    async with lite.me.database.read() as conn:
        for statement, parameters in seen:
            plan = [row[3] for row in (await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()]
            assert not any(step.startswith("SCAN") for step in plan), (statement[-200:], plan)


# -- one recording


async def shown(world, text):
    async with world.you.database.read() as conn:
        return await listing.show(conn, text, prefixed)


async def test_show_tells_everything_about_one_recording_and_its_history_in_order(world):
    facts = {
        "room_id": "rm",
        "participant_name": "Ann",
        "flags": ("started after it ended",),
        "raw": {"id": "r1", "x": [1, None]},
    }
    await world.lists(a_listing(renditions=("mp3", "wav"), **facts))
    await world.me.save_rooms(SOURCE, {"rm": Room(room_id="rm", name="Board", raw={"id": "rm", "size": 3})})
    entries = {entry.rendition: entry for entry in await world.me.claim(5, sources=[SOURCE])}
    await world.me.save(
        [stored(entries["mp3"]), Outcome(entry=entries["wav"], event=Event.FAILED, reason="no", kind="UrlRefused")]
    )
    found = await shown(world, "rooms/r1")
    assert (found["schema"], found["recording_id"], found["raw"]) == ("archiver.show/1", "r1", {"id": "r1", "x": [1, None]})
    assert found["room"] == {"id": "rm", "name": "Board", "raw": {"id": "rm", "size": 3}}
    assert (found["flags"], found["participant"]["name"]) == (["started after it ended"], "Ann")
    assert [(item["rendition"], item["state"], item["error"]) for item in found["renditions"]] == [
        ("mp3", "stored", ""),
        ("wav", "failed", "no"),
    ]
    assert set(FIELDS) <= set(found["renditions"][0])
    lines = [(line["event"], line["rendition"], line["from"], line["to"]) for line in found["history"]]
    assert lines[:2] + sorted(lines[2:4]) + lines[4:] == [
        ("discovered", "mp3", "", "due"),
        ("discovered", "wav", "", "due"),
        ("claimed", "mp3", "due", "transferring"),
        ("claimed", "wav", "due", "transferring"),
        ("stored", "mp3", "transferring", "stored"),
        ("failed", "wav", "transferring", "failed"),
    ]
    assert found["history"][4]["data"]["sha256"] == "ab" * 32
    assert await shown(world, "r1") == found


async def test_show_names_the_objects_that_were_there_before(world):
    await world.verified()
    await world.lists(a_listing(size=5))
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    await world.me.save([stored(entry, key="rooms/r1/media-cd.ogg", sha256="cd" * 32)])
    (rendition,) = (await shown(world, "r1"))["renditions"]
    assert rendition["key"] == "prefix/rooms/r1/media-cd.ogg"
    assert [(old["key"], old["sha256"]) for old in rendition["superseded"]] == [("prefix/rooms/r1/media.ogg", "ab" * 32)]


async def test_an_id_that_is_unknown_or_ambiguous_is_refused_with_what_to_write(world):
    for source in ("calls", SOURCE):
        await world.lists(a_listing("r1"), source=source)
    await world.lists(a_listing("calls/r1"))
    with pytest.raises(UsageError, match="no recording 'nope' in the catalog; hint: archiver list"):
        await shown(world, "nope")
    with pytest.raises(UsageError, match="'r1' is ambiguous: calls/r1, rooms/r1; hint: write the source before it"):
        await shown(world, "r1")
    with pytest.raises(UsageError, match="'calls/r1' is ambiguous: calls/r1, rooms/calls/r1"):
        await shown(world, "calls/r1")
    assert (await shown(world, "rooms/r1"))["source"] == "rooms"
    assert (await shown(world, "rooms/calls/r1"))["recording_id"] == "calls/r1"
    with pytest.raises(UsageError, match="no recording 'calls/r2'"):
        await shown(world, "calls/r2")
