"""Telnyx' own SDK against the simulated Telnyx: whatever it asks agrees with the world."""

import asyncio
import hashlib
from datetime import UTC, timedelta

import pytest
import telnyx

from archiver.simulator.population import populate
from archiver.simulator.recordings import Phase, Source
from archiver.simulator.server import serve
from archiver.simulator.world import World
from tests.simulator.stage import NOON


@pytest.fixture
async def crowd(clock):
    world = World(clock=clock, seed=5)
    populate(world, 700)
    async with serve(world) as running:
        yield running


@pytest.fixture
def sdk(crowd):
    with telnyx.Telnyx(api_key=crowd.credentials.api_key, base_url=crowd.telnyx_url + "/v2", max_retries=0) as client:
        yield client


async def ids(question):
    """Every id that the SDK's own paging finds; it blocks, so it gets a thread."""
    return await asyncio.to_thread(lambda: [item.id for item in question()])


def known(crowd, source, matches=lambda _: True):
    return {
        each.id for each in crowd.world.recordings.values() if each.source is source and each.is_listed(NOON) and matches(each)
    }


@pytest.mark.parametrize("size", [1, 20, 100, 249, 250])
async def test_the_sdk_finds_every_room_recording_once_whatever_the_page_size(crowd, sdk, size):
    found = await ids(lambda: sdk.room_recordings.list(page_size=size))

    assert len(found) == len(set(found))
    assert set(found) == known(crowd, Source.TELNYX_ROOMS)


@pytest.mark.parametrize("size", [7, 250])
async def test_the_sdk_finds_every_call_recording_once(crowd, sdk, size):
    found = await ids(lambda: sdk.recordings.list(page_size=size))

    assert len(found) == len(set(found))
    assert set(found) == known(crowd, Source.TELNYX_CALLS)


def ended_on(recording):
    return recording.ended_at.astimezone(UTC).date() if recording.phase(NOON) is Phase.COMPLETED else None


DAY = (NOON - timedelta(days=3)).date()
ROOM_QUESTIONS = {
    "ended on a date": ({"date_ended_at": {"eq": DAY}}, lambda each: ended_on(each) == DAY),
    "ended from a date on": ({"date_ended_at": {"gte": DAY}}, lambda each: ended_on(each) is not None and ended_on(each) >= DAY),
    "ended up to a date": ({"date_ended_at": {"lte": DAY}}, lambda each: ended_on(each) is not None and ended_on(each) <= DAY),
    "ended between dates": (
        {"date_ended_at": {"gte": DAY, "lte": DAY + timedelta(days=1)}},
        lambda each: ended_on(each) in {DAY, DAY + timedelta(days=1)},
    ),
    "started on a date": ({"date_started_at": {"eq": DAY}}, lambda each: each.started_at.date() == DAY),
    "processing": ({"status": "processing"}, lambda each: each.provider_status(NOON) == "processing"),
    "completed": ({"status": "completed"}, lambda each: each.provider_status(NOON) == "completed"),
    "video": ({"type": "video"}, lambda each: each.medium == "video"),
    "long": (
        {"duration_secs": 600},
        lambda each: ended_on(each) is not None and (each.ended_at - each.started_at).total_seconds() >= 600,
    ),
}


@pytest.mark.parametrize("question", ROOM_QUESTIONS)
async def test_a_filter_on_room_recordings_finds_what_the_world_holds(crowd, sdk, question):
    wanted, matches = ROOM_QUESTIONS[question]

    expected = known(crowd, Source.TELNYX_ROOMS, matches)
    assert expected
    assert set(await ids(lambda: sdk.room_recordings.list(filter=wanted, page_size=250))) == expected


@pytest.mark.parametrize("field", ["room_id", "session_id", "participant_id"])
async def test_a_filter_on_an_id_finds_its_recordings(crowd, sdk, field):
    wanted = getattr(next(each for each in crowd.world.recordings.values() if each.source is Source.TELNYX_ROOMS), field)

    expected = known(crowd, Source.TELNYX_ROOMS, lambda each: getattr(each, field) == wanted)
    assert set(await ids(lambda: sdk.room_recordings.list(filter={field: wanted}, page_size=250))) == expected


INSTANT = NOON - timedelta(days=2, hours=5, seconds=17)
CALL_QUESTIONS = {
    "created_at gte": ({"created_at": {"gte": INSTANT.isoformat()}}, lambda each: each.completed_at >= INSTANT),
    "created_at lte": ({"created_at": {"lte": INSTANT.isoformat()}}, lambda each: each.completed_at <= INSTANT),
    "start_time": ({"start_time": {"gte": INSTANT.isoformat()}}, lambda each: each.started_at >= INSTANT),
    "end_time": (
        {"end_time": {"gte": "2026-03-08T00:00:00Z", "lte": INSTANT.isoformat()}},
        lambda each: INSTANT.replace(hour=0, minute=0, second=0) <= each.ended_at <= INSTANT,
    ),
    "connection_id": ({"connection_id": "175237942907135702"}, lambda each: each.room_id == "175237942907135702"),
}


@pytest.mark.parametrize("question", CALL_QUESTIONS)
async def test_a_filter_on_calls_finds_what_the_world_holds(crowd, sdk, question):
    wanted, matches = CALL_QUESTIONS[question]

    expected = known(crowd, Source.TELNYX_CALLS, matches)
    assert expected
    assert set(await ids(lambda: sdk.recordings.list(filter=wanted, page_size=100))) == expected


async def test_what_the_sdk_retrieves_is_what_the_world_holds_and_its_link_leads_to_the_true_bytes(crowd, sdk, client_session):
    recording = next(
        each for each in crowd.world.recordings.values() if each.source is Source.TELNYX_ROOMS and each.has_media(NOON)
    )
    found = (await asyncio.to_thread(sdk.room_recordings.retrieve, recording.id)).data

    assert (found.room_id, found.session_id, found.participant_id) == (
        recording.room_id,
        recording.session_id,
        recording.participant_id,
    )
    assert (found.started_at, found.ended_at, found.completed_at) == (
        recording.started_at,
        recording.ended_at,
        recording.completed_at,
    )
    assert (found.status, found.type, found.codec) == ("completed", recording.medium, recording.codec)
    async with client_session.get(found.download_url) as response:
        assert hashlib.sha256(await response.read()).hexdigest() == recording.media["media"].sha256


async def test_a_recording_that_is_processing_has_neither_end_nor_link(crowd, sdk):
    recording = next(
        each
        for each in crowd.world.recordings.values()
        if each.phase(NOON) is Phase.PROCESSING and each.source is Source.TELNYX_ROOMS
    )
    found = (await asyncio.to_thread(sdk.room_recordings.retrieve, recording.id)).data

    assert found.status == "processing"
    assert (found.ended_at, found.completed_at, found.download_url, found.duration_secs, found.size_mb) == (None,) * 5


async def test_a_call_has_a_link_for_each_rendition(crowd, sdk, client_session):
    for renditions in ({"mp3"}, {"wav"}, {"mp3", "wav"}):
        recording = next(
            each for each in crowd.world.recordings.values() if set(each.media) == renditions and each.has_media(NOON)
        )
        found = (await asyncio.to_thread(sdk.recordings.retrieve, recording.id)).data
        links = {name: link for name, link in found.download_urls.to_dict().items() if link}

        assert set(links) == renditions
        for name, link in links.items():
            async with client_session.get(link) as response:
                assert hashlib.sha256(await response.read()).hexdigest() == recording.media[name].sha256


async def test_a_room_comes_with_its_sessions_when_they_are_asked_for(crowd, sdk):
    for room in [room for room in crowd.world.rooms.values() if not room.twilio][:5]:
        sessions = {session.id for session in crowd.world.sessions.values() if session.room_id == room.id}
        found = (await asyncio.to_thread(lambda room=room: sdk.rooms.retrieve(room.id, include_sessions=True))).data
        bare = (await asyncio.to_thread(lambda room=room: sdk.rooms.retrieve(room.id))).data

        assert found.unique_name == room.name
        assert {session.id for session in found.sessions} == sessions
        assert not bare.sessions


async def test_rooms_sessions_and_participants_are_listed(crowd, sdk):
    world = crowd.world
    room = next(room for room in world.rooms.values() if not room.twilio)
    session = next(each for each in world.sessions.values() if each.room_id == room.id)
    people = {each.id for each in world.participants.values() if each.session_id == session.id}

    assert set(await ids(lambda: sdk.rooms.list(page_size=250))) == {each.id for each in world.rooms.values() if not each.twilio}
    assert set(await ids(lambda: sdk.rooms.sessions.list_0(page_size=250))) == set(world.sessions)
    of_room = await ids(lambda: sdk.rooms.sessions.list_1(room.id, page_size=250))
    assert set(of_room) == {each.id for each in world.sessions.values() if each.room_id == room.id}
    assert set(await ids(lambda: sdk.rooms.sessions.retrieve_participants(session.id))) == people
    assert set(await ids(lambda: sdk.room_participants.list(filter={"session_id": session.id}))) == people


async def test_a_deleted_room_recording_is_gone(crowd, sdk):
    recording = next(
        each for each in crowd.world.recordings.values() if each.source is Source.TELNYX_ROOMS and each.has_media(NOON)
    )
    await asyncio.to_thread(sdk.room_recordings.delete, recording.id)

    with pytest.raises(telnyx.NotFoundError):
        await asyncio.to_thread(sdk.room_recordings.retrieve, recording.id)
    assert recording.id not in await ids(lambda: sdk.room_recordings.list(page_size=250))
    assert crowd.world.deletions == [recording.id]


async def test_a_deleted_call_is_answered_with_the_call_and_gone(crowd, sdk):
    recording = next(
        each for each in crowd.world.recordings.values() if each.source is Source.TELNYX_CALLS and each.has_media(NOON)
    )
    answer = await asyncio.to_thread(sdk.recordings.delete, recording.id)

    assert answer.data.id == recording.id
    with pytest.raises(telnyx.NotFoundError):
        await asyncio.to_thread(sdk.recordings.delete, recording.id)


async def test_a_bulk_deletion_takes_what_its_filter_matches_and_is_remembered(crowd, sdk):
    room_id = next(each.room_id for each in crowd.world.recordings.values() if each.source is Source.TELNYX_ROOMS)
    doomed = known(crowd, Source.TELNYX_ROOMS, lambda each: each.room_id == room_id)
    answer = await asyncio.to_thread(lambda: sdk.room_recordings.delete_bulk(filter={"room_id": room_id}))

    assert answer.data.room_recordings == len(doomed)
    assert len(crowd.world.bulk_deletions) == 1
    assert not doomed & set(await ids(lambda: sdk.room_recordings.list(page_size=250)))


async def test_a_wrong_key_is_refused(crowd):
    with (
        telnyx.Telnyx(api_key="wrong", base_url=crowd.telnyx_url + "/v2", max_retries=0) as client,
        pytest.raises(telnyx.AuthenticationError),
    ):
        await asyncio.to_thread(client.room_recordings.list)
