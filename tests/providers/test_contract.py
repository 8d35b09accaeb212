"""The contract of the Provider port, on every provider: single records, deletion, the whole source."""

import dataclasses

import pytest

from archiver.domain import errors
from archiver.domain.recording import RecordingRef
from archiver.providers.settings import Credentials
from archiver.simulator import actions, page_actions
from tests.providers.simulated import simulated
from tests.simulator.stage import ROOM_ID, ROOM_SID

# One recording.


async def test_the_record_of_one_is_what_the_list_says(on):
    recording = on.add()
    listed = (await on.walk())[0].recordings[0]
    found = await on.provider.get(on.ref(recording))
    assert dataclasses.replace(found, raw={}) == dataclasses.replace(listed, raw={})


async def test_a_recording_that_is_not_there_is_gone(on):
    missing = RecordingRef(source="src", recording_id=on.new_id(99))
    for ask in (on.provider.get(missing), on.download(dataclasses.replace(on.add(1), id=missing.recording_id))):
        with pytest.raises(errors.RecordingGone):
            await ask


@pytest.mark.parametrize("how", ["truncated", "null", "array", "string", "not json", "deep"])
async def test_a_garbled_record_is_not_believed(on, how):
    recording = on.add()
    on.fault(page_actions.garbled(how), on="record")
    with pytest.raises(errors.ContractBroken):
        await on.provider.get(on.ref(recording))


async def test_the_record_of_another_recording_is_not_believed(on):
    recording = on.add(1)
    on.fault(page_actions.with_fields(id=on.new_id(2), sid=on.new_id(2)), on="record")
    with pytest.raises(errors.ContractBroken, match=on.new_id(1)):
        await on.provider.get(on.ref(recording))


async def test_a_room_is_found_with_its_name_and_settings(on_video):
    room_id, name = (ROOM_SID, "Meeting") if on_video.kind == "twilio-video" else (ROOM_ID, "My Room")
    room = await on_video.provider.room(room_id)
    assert (room.room_id, room.name) == (room_id, name)
    assert room.raw["max_participants"]


async def test_telnyx_calls_have_no_rooms():
    async with simulated("telnyx-calls") as on:
        assert await on.provider.room(ROOM_ID) is None
        assert on.observed == []


@pytest.mark.parametrize("room_id", ["", "x", "../x", "RM" + "0" * 32, "00000000-0000-4000-8000-000000000000"])
async def test_a_room_that_is_not_there_is_none(on, room_id):
    assert await on.provider.room(room_id) is None


# Deletion.


async def test_exactly_the_one_recording_is_deleted(on):
    doomed, kept = on.add(1), on.add(2)
    await on.provider.delete(on.ref(doomed))
    assert on.world.deletions == [doomed.id]
    assert on.world.bulk_deletions == []
    assert await on.ids() == [kept.id]


async def test_to_delete_what_is_gone_is_a_success(on):
    recording = on.add()
    for _ in range(3):
        await on.provider.delete(on.ref(recording))
    await on.provider.delete(RecordingRef(source="src", recording_id=on.new_id(77)))


async def test_a_deletion_whose_answer_is_lost_is_unavailable_and_not_repeated(on):
    recording = on.add()
    on.fault(actions.no_answer(), on="record", method="DELETE")
    with pytest.raises(errors.ProviderUnavailable):
        await on.provider.delete(on.ref(recording))
    assert on.world.deletions == [recording.id]


ODD_IDS = (
    "", " ", ".", "..", "/", "//", "*", "?", "?filter[status]=completed", "#", "%", "%20", "%2e%2e", "../room_recordings", "actions/delete", "x", "null", "a?b", "a#b", "a/b",
    "a\n", "\x00", "RT", "RT*", "ü", "6b61621f-62e0-4aad-ab11-9fd19e272e7", "6b61621f-62e0-4aad-ab11-9fd19e272e73/", "6b61621f-62e0-4aad-ab11-9fd19e272e73?x=1", "x" * 100,
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_no_id_whatever_deletes_more_than_one_recording(on, odd):
    on.add(1)
    odd_ref = RecordingRef(source="src", recording_id=odd)
    for ask in (on.provider.delete, on.provider.get):
        try:
            await ask(odd_ref)
        except (errors.UrlRefused, errors.RecordingGone):
            pass
        else:
            assert on.kind == "telnyx-calls"
            assert odd.replace("-", "").isalnum()
    assert on.world.deletions == on.world.bulk_deletions == []
    assert not on.simulation.requests(method="DELETE", path=r"ecordings/?$")


# The whole source.


async def test_refused_credentials_are_named_as_such(on):
    on.add()
    on.simulation.world.credentials = dataclasses.replace(on.simulation.credentials, api_key="other", api_key_secret="other")
    for ask in (
        on.walk(),
        on.provider.get(on.ref(on.add())),
        on.provider.check(),
        on.download(on.add()),
        on.provider.delete(on.ref(on.add())),
    ):
        with pytest.raises(errors.CredentialsRefused):
            await ask


async def test_the_cheapest_question_is_answered_in_one_line(on):
    line = await on.provider.check()
    assert line.startswith("src: http://127.0.0.1:")
    assert "\n" not in line
    assert len(on.observed) == 1


@pytest.mark.parametrize("code", [500, 502, 503])
async def test_a_burst_of_errors_is_ridden_out(on, code):
    recording = on.add()
    on.fault(actions.status(code), on="any", times=2)
    assert await on.ids() == [recording.id]


async def test_a_wait_that_is_asked_for_is_kept_by_the_whole_source(on):
    on.add()
    on.fault(actions.status(429, retry_after="100"), on="any", times=1)
    with pytest.raises(errors.RateLimited) as refused:
        await on.walk()
    assert refused.value.wait == 100
    with pytest.raises(errors.RateLimited):
        await on.provider.check()
    assert len(on.observed) == 1
    await on.clock.sleep(101)
    await on.provider.check()


async def test_a_closed_provider_can_be_closed_again(on):
    await on.provider.check()
    await on.provider.aclose()
    await on.provider.aclose()


async def test_the_other_way_to_sign_in_to_twilio_works():
    async with simulated("twilio-video") as stage:
        token = stage.simulation.credentials
        async with simulated(
            "twilio-video", credentials=Credentials(account_sid=token.account_sid, password=token.auth_token)
        ) as other:
            assert "answers" in await other.provider.check()
