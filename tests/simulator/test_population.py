"""The believable mix: the same for the same seed, quick, varied, and with expectations that hold."""

import time
from collections import Counter
from datetime import timedelta

import pytest

from archiver.simulator import names
from archiver.simulator.expectation import Ending, expectations
from archiver.simulator.population import ALL_PLAIN, Mix, populate
from archiver.simulator.recordings import Phase, Source
from archiver.simulator.server import serve
from archiver.simulator.world import World
from tests.simulator.stage import CALL_ID, NOON, Clock, ask, ask_telnyx, ask_twilio, call_recording


def crowd(count=2_000, *, seed=3, **settings):
    world = World(clock=Clock(), seed=seed)
    populate(world, count, mix=Mix(**settings))
    return world


def test_the_same_seed_makes_the_same_world_down_to_the_bytes():
    first, second = crowd(300), crowd(300)

    assert first.recordings == second.recordings
    assert first.rooms == second.rooms
    assert first.credentials == second.credentials
    assert [each.sha256 for each in expectations(first)] == [each.sha256 for each in expectations(second)]


def test_another_day_moves_the_same_recordings_and_changes_none_of_their_bytes():
    first, later = crowd(300), World(clock=Clock(NOON + timedelta(days=99)), seed=3)
    populate(later, 300)

    assert {each.id: each.media for each in first.recordings.values()} == {
        each.id: each.media for each in later.recordings.values()
    }


def test_another_seed_makes_another_world():
    assert not set(crowd(300).recordings) & set(crowd(300, seed=4).recordings)


def test_ten_thousand_are_made_in_less_than_two_seconds():
    started = time.process_time()
    world = crowd(10_000)

    assert time.process_time() - started < 2
    assert len(world.recordings) == 10_000


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_there_are_as_many_as_asked_for(count):
    assert len(crowd(count).recordings) == count


def test_every_fate_every_codec_and_every_phase_occurs():
    recordings = list(crowd().recordings.values())
    share = Counter(each.source for each in recordings)

    assert [round(share[source] / len(recordings), 2) for source in Source] == [0.35, 0.40, 0.25]
    assert {each.phase(NOON) for each in recordings} == set(Phase)
    assert {file.kind.value for each in recordings for file in each.media.values()} >= {
        "ogg-opus",
        "webm-vp8",
        "mp4-h264",
        "mka-pcmu",
        "mkv-h264",
    }
    assert {tuple(each.media) for each in recordings if each.source is Source.TELNYX_CALLS} == {
        ("mp3",),
        ("wav",),
        ("mp3", "wav"),
    }
    assert {each.ending for each in expectations(crowd())} == set(Ending)
    for oddity in ("muted", "failed", "external", "status", "listed_at", "deleted_at", "extra"):
        assert any(getattr(each, oddity) for each in recordings), oddity
    assert any(file.content_type == "binary/octet-stream" for each in recordings for file in each.media.values())
    assert any(each.codec not in {"", "opus", "OPUS", "PCMU", "vp8", "VP8", "vp9", "h264", "H264"} for each in recordings)


def test_hostile_names_are_about_as_frequent_as_asked_for():
    world = crowd(hostile=0.5)
    hostile = [each.name in names.HOSTILE for each in world.recordings.values() if each.source is Source.TWILIO_VIDEO]

    assert 0.4 < sum(hostile) / len(hostile) < 0.6


def test_instants_lie_as_they_must():
    for each in crowd().recordings.values():
        assert each.started_at < each.ended_at <= each.completed_at
        assert each.started_at <= NOON
        assert each.ended_at > NOON - timedelta(days=8)
        assert each.deleted_at is None or each.deleted_at >= each.completed_at
        assert each.started_at.microsecond == 0


def test_every_recording_of_a_room_has_its_room_session_and_participant():
    world = crowd()
    for each in world.recordings.values():
        if each.source is Source.TELNYX_CALLS:
            continue
        assert world.rooms[each.room_id].twilio is (each.source is Source.TWILIO_VIDEO)
        if each.source is Source.TELNYX_ROOMS:
            assert world.sessions[each.session_id].room_id == each.room_id
            assert world.participants[each.participant_id].session_id == each.session_id


def test_sizes_keep_to_the_range_and_benchmarks_get_nothing_odd():
    world = crowd(500, sizes=(20_000, 1_000_000), fates=ALL_PLAIN, live=0.0, hostile=0.0, shares={Source.TELNYX_ROOMS: 1})
    expected = expectations(world)

    assert {each.ending for each in expected} == {Ending.VERIFIED}
    assert len(expected) == 500
    assert all(20_000 <= each.size <= 1_000_010 for each in expected)
    assert 150_000 < sum(each.size for each in expected) / 500 < 350_000


def test_without_live_meetings_everything_plain_is_completed_by_now():
    world = crowd(500, days=0.001, fates=ALL_PLAIN, live=0.0)

    assert {each.phase(NOON) for each in world.recordings.values()} == {Phase.COMPLETED}


async def test_an_expectation_is_what_the_servers_give():
    world = crowd(200, days=3)
    async with serve(world) as simulation:
        for each in expectations(world, formats=("mp3", "wav")):
            status, found = await what_comes(simulation, each)
            if each.ending is Ending.VERIFIED:
                assert (status, len(found), found) == ("completed", each.size, each.media.read())
            elif each.ending is Ending.WAITING:
                assert status in {"processing", "archiving"}
            else:
                assert found is None
                assert status in {Ending.LOST: {"deleted"}}.get(each.ending, {"completed", "failed"})


async def what_comes(simulation, expectation):
    """The status that a provider tells, and the bytes that it gives."""
    if expectation.source is Source.TWILIO_VIDEO:
        status = (await ask_twilio(simulation, f"/Recordings/{expectation.recording_id}")).json["status"]
        media = await ask_twilio(simulation, f"/Recordings/{expectation.recording_id}/Media")
        url = media.json["redirect_to"] if media.status == 302 else None
    elif expectation.source is Source.TELNYX_ROOMS:
        item = (await ask_telnyx(simulation, f"/room_recordings/{expectation.recording_id}")).json["data"]
        status, url = item["status"], item["download_url"]
    else:
        item = (await ask_telnyx(simulation, f"/recordings/{expectation.recording_id}")).json["data"]
        status, url = item["status"], item["download_urls"].get(expectation.rendition)
    return status, (await ask(url)).body if url else None


def test_what_is_listed_is_what_is_expected():
    world = crowd()
    listed = {each.id for source in Source for each in world.listed(source, "all", lambda *_: True)}

    assert {each.recording_id for each in expectations(world)} == listed


@pytest.mark.parametrize(
    ("renditions", "formats", "expected"),
    [
        (("mp3", "wav"), ("mp3",), ["mp3"]),
        (("mp3", "wav"), ("mp3", "wav"), ["mp3", "wav"]),
        (("wav",), ("mp3",), ["wav"]),
        (("mp3",), ("wav", "mp3"), ["mp3"]),
    ],
)
def test_where_no_wanted_rendition_exists_those_that_do_are_expected(renditions, formats, expected):
    world = World(clock=Clock())
    world.add([call_recording(CALL_ID, renditions=renditions)])

    assert [each.rendition for each in expectations(world, formats=formats)] == expected


def test_expectations_follow_the_time():
    world = crowd()
    now, later = expectations(world), expectations(world, at=NOON + timedelta(days=2))
    states = Counter(each.ending for each in now), Counter(each.ending for each in later)

    assert states[0][Ending.WAITING] > states[1][Ending.WAITING] > 0
    assert states[1][Ending.LOST] > states[0][Ending.LOST]
