"""The media host: signed URLs that expire, one way of authentication, ranges, and S3's XML."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from archiver.simulator.recordings import Source
from tests.simulator.stage import CALL_ID, TELNYX_ID, TWILIO_ID, ask, ask_telnyx, ask_twilio, media_url, twilio_recording


def code(answer):
    """S3's error code in an XML answer."""
    return answer.body.decode().partition("<Code>")[2].partition("</Code>")[0]


def truth(world, recording_id=TELNYX_ID, rendition="media"):
    return world.recordings[recording_id].media[rendition]


async def test_a_signed_url_gives_the_bytes_with_length_type_and_etag(simulation, world):
    answer = await ask(await media_url(simulation))

    assert answer.status == 200
    assert answer.body == truth(world).read()
    assert answer.header("Content-Length") == str(truth(world).size)
    assert answer.header("Content-Type") == "audio/ogg"
    assert answer.header("ETag") == truth(world).etag
    assert answer.header("Accept-Ranges") == "bytes"


async def test_authorization_beside_the_signature_is_refused(simulation):
    answer = await ask(await media_url(simulation), headers={"Authorization": "Bearer x"})

    assert (answer.status, code(answer)) == (400, "InvalidArgument")
    assert b"Only one auth mechanism allowed" in answer.body


@pytest.mark.parametrize(
    ("source", "seconds"), [(Source.TELNYX_ROOMS, 3600), (Source.TELNYX_CALLS, 600), (Source.TWILIO_VIDEO, 600)]
)
async def test_a_url_expires(simulation, clock, source, seconds):
    url = await media_url(simulation, source)
    clock.advance(seconds=seconds - 1)
    assert (await ask(url)).status == 200
    clock.advance(seconds=1)
    answer = await ask(url)

    assert (answer.status, code(answer)) == (403, "AccessDenied")
    assert b"Request has expired" in answer.body


async def test_twilios_ttl_decides_how_long_its_url_lives(simulation, clock):
    url = (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}/Media?Ttl=5")).json["redirect_to"]
    clock.advance(seconds=4)
    assert (await ask(url)).status == 200
    clock.advance(seconds=1)
    assert (await ask(url)).status == 403


@pytest.mark.parametrize("ttl", ["0", "3601", "-1", "soon"])
async def test_a_ttl_out_of_range_is_refused(simulation, ttl):
    assert (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}/Media?Ttl={ttl}")).status == 400


async def test_a_signature_holds_for_its_path_its_time_and_get_alone(simulation):
    url = await media_url(simulation)
    other = urlsplit(await media_url(simulation, Source.TELNYX_CALLS))
    forged = {
        "another path": url.replace(urlsplit(url).path, other.path),
        "longer life": url.replace("X-Amz-Expires=3600", "X-Amz-Expires=9999"),
        "another signature": url[:-4] + "beef",
        "one more parameter": url + "&x=1",
    }

    for what, forgery in forged.items():
        answer = await ask(forgery)
        assert (answer.status, code(answer)) == (403, "SignatureDoesNotMatch"), what
    assert code(await ask(url, method="PUT", body=b"x")) == "SignatureDoesNotMatch"
    for unsigned in (url.partition("?")[0], url + "&X-Amz-Expires=9999"):
        assert code(await ask(unsigned)) == "AccessDenied"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-50", -50, None), ("bytes=39000-99999999", 39000, None)],
)
async def test_a_range_is_answered_with_just_that(simulation, world, asked, start, stop):
    answer = await ask(await media_url(simulation), headers={"Range": asked})
    content = truth(world).read()
    first = start % len(content)

    assert answer.status == 206
    assert answer.body == content[start:stop]
    assert answer.header("Content-Range") == f"bytes {first}-{first + len(answer.body) - 1}/{len(content)}"


async def test_a_range_beyond_the_end_is_416(simulation, world):
    answer = await ask(await media_url(simulation), headers={"Range": "bytes=99999999-"})

    assert (answer.status, answer.header("Content-Range")) == (416, f"bytes */{truth(world).size}")


async def test_if_range_gives_the_range_for_the_same_etag_and_everything_for_another(simulation, world):
    url = await media_url(simulation)
    same = await ask(url, headers={"Range": "bytes=10-", "If-Range": truth(world).etag})
    world.change_media(TELNYX_ID)
    changed = await ask(url, headers={"Range": "bytes=10-", "If-Range": same.header("ETag")})

    assert same.status == 206
    assert changed.status == 200
    assert changed.body == truth(world).read()
    assert changed.header("ETag") != same.header("ETag")


async def test_media_of_a_deleted_recording_is_gone_though_its_url_has_not_expired(simulation, world):
    url = await media_url(simulation)
    world.delete(TELNYX_ID)
    answer = await ask(url)

    assert (answer.status, code(answer)) == (404, "NoSuchKey")


async def test_each_rendition_of_a_call_has_a_url_of_its_own(simulation, world):
    links = (await ask_telnyx(simulation, f"/recordings/{CALL_ID}")).json["data"]["download_urls"]

    for rendition, link in links.items():
        assert (await ask(link)).body == truth(world, CALL_ID, rendition).read()


async def test_encrypted_media_comes_with_the_headers_that_decrypt_it(simulation, world):
    world.add([twilio_recording(encrypted=True)])
    answer = await ask(await media_url(simulation, Source.TWILIO_VIDEO))

    assert answer.header("Content-Type") == "application/octet-stream"
    assert {name for name, _ in answer.headers if name.startswith("x-amz-meta")} == {
        "x-amz-meta-x-amz-key",
        "x-amz-meta-x-amz-iv",
        "x-amz-meta-x-amz-matdesc",
        "x-amz-meta-x-amz-unencrypted-content-length",
    }
    described = (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}")).json["size"]
    assert described == int(answer.header("x-amz-meta-x-amz-unencrypted-content-length")) < len(answer.body)


async def test_urls_lead_where_the_behaviour_says_so_that_a_proxy_can_stand_before_the_host(simulation):
    simulation.behaviour.media_url = "http://127.0.0.1:1"

    assert (await media_url(simulation)).startswith("http://127.0.0.1:1/telnyx-rooms/")
    assert (await media_url(simulation, Source.TWILIO_VIDEO)).startswith("http://127.0.0.1:1/twilio-video/")


async def test_two_hours_of_urls_are_all_different(simulation, clock):
    urls = set()
    for _ in range(3):
        urls.add(await media_url(simulation))
        clock.now += timedelta(hours=1)

    assert len(urls) == 3
