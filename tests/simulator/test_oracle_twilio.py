"""Twilio's own SDK against the simulated Twilio: whatever it asks agrees with the world."""

import asyncio
import hashlib
import json
from datetime import UTC
from urllib.parse import urlsplit

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from archiver.simulator.page_actions import inserts
from archiver.simulator.population import Mix, populate
from archiver.simulator.recordings import Phase, Source
from archiver.simulator.server import serve
from archiver.simulator.world import World
from tests.simulator.stage import NOON, ask

TWILIO = Source.TWILIO_VIDEO


class Rerouted(TwilioHttpClient):
    """The SDK has no base URL: requests to video.twilio.com go to the simulation; page URLs are followed as they come."""

    def __init__(self, base_url):
        super().__init__(pool_connections=True, timeout=10)
        self.base_url = base_url
        self.urls = []

    def request(self, method, url, *args, **options):
        parts = urlsplit(url)
        self.urls.append(url)
        if parts.netloc == "video.twilio.com":
            url = self.base_url + parts.path + (f"?{parts.query}" if parts.query else "")
        return super().request(method, url, *args, **options)


@pytest.fixture
async def crowd(clock):
    world = World(clock=clock, seed=6)
    populate(world, 400, mix=Mix(shares={TWILIO: 1}, days=40))
    async with serve(world) as running:
        yield running


@pytest.fixture
def http_client(crowd):
    client = Rerouted(crowd.twilio_url)
    yield client
    if client.session is not None:
        client.session.close()


@pytest.fixture
def sdk(crowd, http_client):
    known = crowd.credentials
    return Client(known.api_key_sid, known.api_key_secret, known.account_sid, http_client=http_client)


async def sids(question):
    return await asyncio.to_thread(lambda: [item.sid for item in question()])


def page_problem(error):
    """Status and code of a list that failed: the SDK's exception holds the response."""
    response = error.args[1]
    return response.status_code, json.loads(response.text)["code"]


def known(crowd, matches=lambda _: True, *, hidden=(Phase.DELETED,)):
    listed = [each for each in crowd.world.recordings.values() if each.is_listed(NOON) and each.phase(NOON) not in hidden]
    return {each.id for each in listed if matches(each)}


@pytest.mark.parametrize("size", [1, 33, 100])
async def test_the_sdk_finds_every_recording_that_is_not_deleted_once(crowd, sdk, http_client, size):
    limit = 30 if size == 1 else None
    found = await sids(lambda: sdk.video.v1.recordings.list(page_size=size, limit=limit))

    assert len(found) == len(set(found))
    assert set(found) == known(crowd) if limit is None else len(found) == limit
    assert all(url.startswith(("https://video.twilio.com/", crowd.twilio_url)) for url in http_client.urls)


@pytest.mark.parametrize("status", ["processing", "completed", "deleted", "failed"])
async def test_a_filter_on_status_finds_what_the_world_holds(crowd, sdk, status):
    expected = known(crowd, lambda each: each.provider_status(NOON) == status, hidden=())

    assert expected
    assert set(await sids(lambda: sdk.video.v1.recordings.list(status=status, page_size=100))) == expected


async def test_the_window_on_date_created_is_closed_at_the_start_and_open_at_the_end(crowd, sdk):
    instants = sorted(crowd.world.recordings[sid].started_at for sid in known(crowd))
    after, before = instants[20], instants[-20]
    expected = known(crowd, lambda each: after <= each.started_at < before)
    found = await sids(lambda: sdk.video.v1.recordings.list(date_created_after=after, date_created_before=before, page_size=50))

    assert set(found) == expected


async def test_grouping_and_source_sids_narrow_a_list(crowd, sdk):
    recording = crowd.world.recordings[min(known(crowd))]
    of_room = known(crowd, lambda each: each.room_id == recording.room_id)
    of_person = known(crowd, lambda each: each.room_id == recording.room_id and each.participant_id == recording.participant_id)
    listing = sdk.video.v1.recordings

    assert set(await sids(lambda: listing.list(grouping_sid=[recording.room_id], page_size=100))) == of_room
    assert (
        set(await sids(lambda: listing.list(grouping_sid=[recording.room_id, recording.participant_id], page_size=100)))
        == of_person
    )
    assert await sids(lambda: listing.list(source_sid="MT" + recording.id[2:], page_size=100)) == [recording.id]
    assert set(await sids(lambda: listing.list(media_type="video", page_size=100))) == known(
        crowd, lambda each: each.medium == "video"
    )


async def test_a_rooms_recordings_are_listed_in_pages_of_up_to_a_thousand(crowd, sdk):
    recording = crowd.world.recordings[min(known(crowd))]
    found = await sids(lambda: sdk.video.v1.rooms(recording.room_id).recordings.list(page_size=1000))

    assert set(found) == known(crowd, lambda each: each.room_id == recording.room_id)


async def test_a_page_above_a_hundred_is_refused_as_the_sdk_sends_it(sdk):
    with pytest.raises(TwilioException) as refused:
        await sids(lambda: sdk.video.v1.recordings.list(limit=500))
    assert page_problem(refused.value) == (400, 20007)


async def test_what_the_sdk_fetches_is_what_the_world_holds(crowd, sdk):
    recording = next(
        each for each in crowd.world.recordings.values() if each.has_media(NOON) and not each.media["media"].encrypted
    )
    found = await asyncio.to_thread(sdk.video.v1.recordings(recording.id).fetch)
    in_room = await asyncio.to_thread(sdk.video.v1.rooms(recording.room_id).recordings(recording.id).fetch)

    for each in (found, in_room):
        assert (each.sid, each.status, each.type, each.codec) == (recording.id, "completed", recording.medium, recording.codec)
        assert each.date_created == recording.started_at.astimezone(UTC)
        assert each.size == recording.media["media"].size
        assert each.duration == (recording.ended_at - recording.started_at).total_seconds()
        assert each.grouping_sids == {"room_sid": recording.room_id, "participant_sid": recording.participant_id}
    assert in_room.room_sid == recording.room_id
    assert in_room.container_format == found.container_format == recording.media["media"].extension


async def test_media_redirects_to_the_true_bytes_with_a_body_that_says_the_same(crowd, sdk):
    recording = next(each for each in crowd.world.recordings.values() if each.has_media(NOON))
    for place in (f"Recordings/{recording.id}", f"Rooms/{recording.room_id}/Recordings/{recording.id}"):
        answer = await asyncio.to_thread(sdk.request, "GET", f"https://video.twilio.com/v1/{place}/Media")
        url = answer.headers["Location"]

        assert answer.status_code == 302
        assert f'"{url}"' in answer.text
        assert url.startswith(crowd.media_url)
        assert hashlib.sha256((await ask(url)).body).hexdigest() == recording.media["media"].sha256


async def test_a_deleted_recording_is_remembered_for_thirty_days(crowd, sdk, clock):
    recording = next(each for each in crowd.world.recordings.values() if each.has_media(NOON))
    listing = sdk.video.v1.recordings
    assert await asyncio.to_thread(listing(recording.id).delete)

    assert (await asyncio.to_thread(listing(recording.id).fetch)).status == "deleted"
    assert recording.id not in await sids(lambda: listing.list(page_size=100))
    assert recording.id in await sids(lambda: listing.list(status="deleted", page_size=100))
    clock.advance(days=30)
    with pytest.raises(TwilioRestException) as gone:
        await asyncio.to_thread(listing(recording.id).fetch)
    assert (gone.value.status, gone.value.code) == (404, 20404)
    assert recording.id not in await sids(lambda: listing.list(status="deleted", page_size=100))


async def test_rooms_are_listed_by_status_and_fetched(crowd, sdk):
    rooms = {room.id: room for room in crowd.world.rooms.values()}
    running = {sid for sid, room in rooms.items() if room.ended_at > NOON}

    assert set(await sids(lambda: sdk.video.v1.rooms.list(page_size=100))) == running
    assert set(await sids(lambda: sdk.video.v1.rooms.list(status="completed", page_size=1000))) == set(rooms) - running
    room = await asyncio.to_thread(sdk.video.v1.rooms(next(iter(running))).fetch)
    assert (room.status, room.end_time, room.unique_name) == ("in-progress", None, rooms[room.sid].name)


async def test_the_recording_settings_say_whether_media_is_external_or_encrypted(crowd, sdk):
    question = sdk.video.v1.recording_settings
    plain = await asyncio.to_thread(question().fetch)
    crowd.world.recording_settings.update(aws_storage_enabled=True, aws_s3_url="https://customer-bucket/video")
    external = await asyncio.to_thread(question().fetch)

    assert (plain.aws_storage_enabled, plain.encryption_enabled, plain.account_sid) == (
        False,
        False,
        crowd.credentials.account_sid,
    )
    assert (external.aws_storage_enabled, external.aws_s3_url) == (True, "https://customer-bucket/video")


async def test_the_auth_token_opens_as_well_and_a_wrong_one_does_not(crowd, http_client):
    known_ = crowd.credentials
    with_token = Client(known_.account_sid, known_.auth_token, http_client=http_client)
    with_wrong = Client(known_.account_sid, "wrong", http_client=http_client)

    assert await sids(lambda: with_token.video.v1.recordings.list(page_size=100, limit=5))
    with pytest.raises(TwilioException) as refused:
        await sids(lambda: with_wrong.video.v1.recordings.list(page_size=100, limit=5))
    assert page_problem(refused.value) == (401, 20003)


async def test_a_muted_track_is_completed_and_has_no_media_for_ever(crowd, sdk, clock):
    muted = next(each for each in crowd.world.recordings.values() if each.muted)
    clock.advance(days=365)

    assert (await asyncio.to_thread(sdk.video.v1.recordings(muted.id).fetch)).status == "completed"
    answer = await asyncio.to_thread(sdk.request, "GET", f"https://video.twilio.com/v1/Recordings/{muted.id}/Media")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")


async def test_external_media_is_named_and_not_handed_out(crowd, sdk):
    external = next(each for each in crowd.world.recordings.values() if each.external)

    found = await asyncio.to_thread(sdk.video.v1.recordings(external.id).fetch)
    assert found.media_external_location == external.external
    answer = await asyncio.to_thread(sdk.request, "GET", f"https://video.twilio.com/v1/Recordings/{external.id}/Media")
    assert answer.status_code == 404


async def test_paging_neither_repeats_nor_skips_though_recordings_come_and_go_between_pages(crowd, sdk):
    before = known(crowd)
    page = await asyncio.to_thread(sdk.video.v1.recordings.page, page_size=20)
    found = []
    while page is not None:
        found += [item.sid for item in page]
        crowd.world.delete(found[-1])
        inserts(TWILIO)(crowd.world)
        page = await asyncio.to_thread(page.next_page)

    assert len(found) == len(set(found))
    assert before <= set(found)
