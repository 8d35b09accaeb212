"""A recording's life by the clock, as its provider shows it."""

from datetime import timedelta

import pytest

from archiver.simulator.recordings import Phase, Source
from tests.simulator.stage import (
    CALL_ID,
    NOON,
    TELNYX_ID,
    TWILIO_ID,
    ask_telnyx,
    ask_twilio,
    call_recording,
    telnyx_recording,
    twilio_recording,
)

SOON = NOON + timedelta(minutes=10)


async def total(simulation, path):
    return (await ask_telnyx(simulation, path)).json["meta"]["total_results"]


async def test_a_meeting_begins_goes_on_and_completes(simulation, world, clock):
    world.add([telnyx_recording(started_at=NOON + timedelta(minutes=1), ended_at=SOON, completed_at=SOON + timedelta(minutes=1))])
    seen = []
    for minute in (0, 1, 10, 11):
        clock.now = NOON + timedelta(minutes=minute)
        answer = await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")
        seen.append(answer.json["data"]["status"] if answer.status == 200 else answer.status)

    assert seen == [404, "processing", "processing", "completed"]


async def test_twilio_shows_nothing_of_the_end_while_it_processes(simulation, world, clock):
    world.add([twilio_recording(started_at=NOON - timedelta(minutes=5), ended_at=SOON, completed_at=SOON)])
    processing = (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}")).json
    media = await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}/Media")
    clock.now = SOON
    completed = (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}")).json

    assert (processing["status"], processing["size"], processing["duration"]) == ("processing", 0, 0)
    assert (media.status, media.json["code"]) == (404, 20404)
    assert (completed["status"], completed["duration"]) == ("completed", 900)
    assert completed["size"] == world.recordings[TWILIO_ID].media["media"].size


async def test_telnyx_lists_a_call_only_when_it_is_completed(simulation, world, clock):
    world.add([call_recording(started_at=NOON - timedelta(minutes=5), ended_at=SOON, completed_at=SOON)])
    before = await total(simulation, "/recordings")
    clock.now = SOON

    assert (before, await total(simulation, "/recordings")) == (0, 1)


async def test_a_late_arrival_is_in_no_list_before_its_time_though_its_id_answers(simulation, world, clock):
    world.add([telnyx_recording(listed_at=SOON)])
    window = "/room_recordings?filter[date_ended_at][eq]=2026-03-10"
    early, by_id = await total(simulation, window), (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")).status
    clock.now = SOON

    assert (early, by_id, await total(simulation, window)) == (0, 200, 1)


@pytest.mark.parametrize("path", ["/room_recordings", "/recordings"])
async def test_what_telnyx_deletes_is_gone_at_that_instant(simulation, world, clock, path):
    world.add([telnyx_recording(deleted_at=SOON), call_recording(deleted_at=SOON)])
    recording_id = TELNYX_ID if path == "/room_recordings" else CALL_ID
    before = await total(simulation, path)
    clock.now = SOON

    assert (before, await total(simulation, path)) == (1, 0)
    assert (await ask_telnyx(simulation, f"{path}/{recording_id}")).status == 404


async def test_what_twilio_deletes_is_hidden_remembered_and_then_forgotten(simulation, world, clock):
    world.add([twilio_recording(deleted_at=SOON)])

    async def seen():
        plain = (await ask_twilio(simulation, "/Recordings")).json["recordings"]
        deleted = (await ask_twilio(simulation, "/Recordings?Status=deleted")).json["recordings"]
        media = (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}/Media")).status
        return len(plain), len(deleted), (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}")).status, media

    assert await seen() == (1, 0, 200, 302)
    clock.now = SOON
    assert await seen() == (0, 1, 200, 404)
    clock.now = SOON + timedelta(days=30, microseconds=-1)
    assert await seen() == (0, 1, 200, 404)
    clock.now = SOON + timedelta(days=30)
    assert await seen() == (0, 0, 404, 404)


async def test_a_second_deletion_at_twilio_is_404(simulation, world):
    statuses = [(await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}", method="DELETE")).status for _ in range(2)]

    assert statuses == [204, 404]
    assert world.deletions == [TWILIO_ID]


def test_a_failed_recording_fails_when_it_would_have_completed():
    recording = twilio_recording(completed_at=SOON, failed=True)

    assert [recording.phase(at) for at in (NOON, SOON)] == [Phase.PROCESSING, Phase.FAILED]
    assert not recording.has_media(SOON)


def test_tests_can_change_anything_at_once(world, clock):
    world.replace(TELNYX_ID, completed_at=SOON, ended_at=SOON)
    old = world.recordings[TELNYX_ID].media["media"]

    assert world.complete(TELNYX_ID).phase(NOON) is Phase.COMPLETED
    assert world.recordings[TELNYX_ID].ended_at == NOON
    assert world.change_media(TELNYX_ID, size_hint=90_000).media["media"].sha256 != old.sha256
    assert world.recordings[TELNYX_ID].media["media"].size == 90_000
    world.delete(CALL_ID)
    assert world.find(Source.TELNYX_CALLS, CALL_ID) is None
    world.remove(CALL_ID)
    assert CALL_ID not in world.recordings
    with pytest.raises(KeyError):
        world.complete(CALL_ID)


def test_an_id_answers_at_its_own_provider_alone(world):
    assert world.find(Source.TELNYX_ROOMS, TELNYX_ID) is world.recordings[TELNYX_ID]
    assert world.find(Source.TELNYX_CALLS, TELNYX_ID) is None


def test_a_naive_clock_is_refused(world, clock):
    clock.now = clock.now.replace(tzinfo=None)

    with pytest.raises(ValueError, match="aware"):
        world.now()


def test_lists_are_newest_first_or_oldest_first(world):
    world.add(
        [
            telnyx_recording(f"{number:08x}-0000-4000-8000-000000000000", ended_at=NOON - timedelta(hours=2 + number))
            for number in range(3)
        ]
    )
    newest = [each.id for each in world.listed(Source.TELNYX_ROOMS, "all", lambda *_: True)]
    world.newest_first = False
    world.add([])

    assert newest[0] == TELNYX_ID
    assert [each.id for each in world.listed(Source.TELNYX_ROOMS, "all", lambda *_: True)] == newest[::-1]
