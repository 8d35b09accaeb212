"""What only one of the providers does."""

from datetime import timedelta

import pytest

from archiver.domain import errors
from archiver.domain.recording import ProviderStatus
from archiver.simulator import actions, body_actions, page_actions
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.faults import Rule
from tests.providers.simulated import simulated, truth
from tests.providers.stage import NOON


async def test_what_was_made_and_deleted_between_two_polls_is_in_twilios_second_list():
    async with simulated("twilio-video") as on:
        recording = on.add()
        on.world.delete(recording.id)
        assert await on.ids("ended") == []
        [page] = await on.walk("deleted")
        assert [(listed.recording_id, listed.status) for listed in page.recordings] == [(recording.id, ProviderStatus.DELETED)]


async def test_a_muted_track_is_unavailable_and_a_deleted_one_is_gone():
    async with simulated("twilio-video") as on:
        muted, deleted = on.add(1, muted=True), on.add(2)
        on.world.delete(deleted.id)
        with pytest.raises(errors.MediaUnavailable, match="is completed and has no media"):
            await on.download(muted)
        with pytest.raises(errors.RecordingGone, match="is deleted"):
            await on.download(deleted)


async def test_an_encrypted_track_comes_with_all_it_takes_to_decrypt_it():
    async with simulated("twilio-video") as on:
        recording = on.add(encrypted=True)
        media, body = await on.download(recording)
        assert media.encrypted
        assert set(media.metadata) == {
            "x-amz-meta-x-amz-key",
            "x-amz-meta-x-amz-iv",
            "x-amz-meta-x-amz-matdesc",
            "x-amz-meta-x-amz-unencrypted-content-length",
        }
        assert body == truth(recording, "media")


async def test_a_track_in_the_customers_bucket_is_external():
    async with simulated("twilio-video") as on:
        on.add(external="https://bucket.s3.amazonaws.com/path/RT.mka?X-Amz-Signature=x")
        assert (await on.walk())[0].recordings[0].external_url == "https://bucket.s3.amazonaws.com/path/RT.mka"


async def test_bytes_that_twilio_hands_out_itself_are_taken_and_only_with_credentials():
    async with simulated("twilio-video") as on:
        recording = on.add()

        def direct(exchange):
            link = exchange.honest().document["redirect_to"].partition("://")[2]
            from urllib.parse import parse_qsl

            path, _, query = link.partition("?")
            media = exchange.request.__class__(
                host="media",
                method="GET",
                path="/" + path.partition("/")[2],
                query=tuple(parse_qsl(query)),
                target="/" + link.partition("/")[2],
            )
            return actions.Delivery(reply=on.simulation.media_host.answer(media))

        on.simulation.faults.add(Rule(name="direct", action=direct, host="twilio", path="/Media"))
        media, body = await on.download(recording)
        assert body == truth(recording, "media")
        assert media.announced == len(body)
        assert on.media_requests() == []


async def test_a_redirect_without_a_location_is_followed_by_its_body():
    async with simulated("twilio-video") as on:
        recording = on.add()

        def bare(exchange):
            reply = exchange.honest()
            return actions.Delivery(reply=actions.replace(reply, headers={"Content-Type": "application/json"}))

        on.simulation.faults.add(Rule(name="bare", action=bare, host="twilio", path="/Media"))
        assert (await on.download(recording))[1] == truth(recording, "media")


async def test_a_redirect_to_nowhere_is_no_media():
    async with simulated("twilio-video") as on:
        on.simulation.faults.add(Rule(name="nowhere", action=actions.status(302, body="empty"), host="twilio", path="/Media"))
        with pytest.raises(errors.MediaImplausible, match="named no place"):
            await on.download(on.add())


async def test_twilios_limit_of_requests_at_once_is_backed_off_from():
    import asyncio

    async with simulated("twilio-video", behaviour=Behaviour(twilio_concurrency=4, latency=0.001)) as on:
        recordings = [on.add(number) for number in range(1, 13)]
        found = await asyncio.gather(*(on.provider.get(on.ref(each)) for each in recordings), return_exceptions=True)
        assert all(isinstance(each, errors.RateLimited) or each.recording_id for each in found)
        assert on.simulation.concurrency.most <= 12


async def test_the_three_shapes_of_telnyx_errors_all_mean_gone():
    for shape in ("errors", "bare", "message"):
        async with simulated("telnyx-rooms", behaviour=Behaviour(telnyx_error_shape=shape)) as on:
            with pytest.raises(errors.RecordingGone, match=r"404: (10005 Resource not found|Error)"):
                await on.provider.get(on.ref(on.add(1)).__class__(source="src", recording_id=on.new_id(2)))


async def test_telnyx_headers_show_what_is_left_of_the_limit():
    async with simulated("telnyx-rooms", behaviour=Behaviour(telnyx_limit=3, telnyx_window=10)) as on:
        on.add()
        await on.walk()
        assert on.provider.ratelimit_remaining == 2
        for _ in range(20):
            await on.walk()
        assert [code for _, code in on.observed] == ["200"] * 21
        assert sum(on.clock.slept) >= 60


async def test_a_link_of_an_hour_ago_is_never_used():
    async with simulated("telnyx-rooms") as on:
        recording = on.add()
        await on.walk()
        await on.clock.sleep(3_700)
        assert (await on.download(recording))[1] == truth(recording, "media")
        assert len(on.media_requests()) == 1


async def test_a_call_in_two_formats_is_fetched_in_the_wanted_ones():
    async with simulated("telnyx-calls", formats=("mp3", "wav")) as on:
        recording = on.add()
        assert (await on.walk())[0].recordings[0].renditions == ("mp3", "wav")
        for rendition in ("mp3", "wav"):
            assert (await on.download(recording, rendition=rendition))[1] == truth(recording, rendition)


async def test_a_call_without_the_wanted_format_is_fetched_in_what_there_is():
    async with simulated("telnyx-calls") as on:
        recording = on.add(renditions=("wav",))
        assert (await on.walk())[0].recordings[0].renditions == ("wav",)
        assert (await on.download(recording, rendition="wav"))[1] == truth(recording, "wav")


async def test_a_slow_media_host_is_given_up_and_a_wrong_bit_is_not_seen_here():
    async with simulated("telnyx-rooms") as on:
        recording = on.add()
        on.fault(body_actions.flipped(), on="media")
        media, body = await on.download(recording)
        assert media.announced == len(body)
        assert body != truth(recording, "media")


async def test_a_late_recording_is_found_when_it_is_listed():
    async with simulated("telnyx-rooms") as on:
        recording = on.add(listed_at=NOON + timedelta(minutes=5))
        assert await on.ids() == []
        await on.clock.sleep(301)
        assert await on.ids() == [recording.id]


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("telnyx-rooms", "https://media.twilio.com/x"),
        ("telnyx-calls", "https://media.twilio.com/x"),
        ("twilio-video", "https://api.telnyx.com/x"),
    ],
)
async def test_a_link_to_the_other_provider_is_refused(kind, other):
    async with simulated(kind) as on:
        on.fault(page_actions.links_to(other), on="any")
        with pytest.raises(errors.UrlRefused, match=r"which is none of amazonaws\.com, "):
            await on.download(on.add())


async def test_a_twilio_page_that_links_to_itself_is_followed_once():
    async with simulated("twilio-video") as on:
        on.add()
        on.fault(page_actions.stuck())
        with pytest.raises(errors.ContractBroken, match="links to a page that was read before"):
            await on.walk()
        assert len(on.observed) == 2
