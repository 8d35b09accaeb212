"""Webhooks over HTTP: right ones leave one note, wrong ones learn nothing, and no one signs in."""

import asyncio
import gzip
import json
import time
from urllib.parse import urlencode

import pytest
import structlog

from archiver.config import Secret
from archiver.web import arrivals, connection, webhooks
from tests.web.callers import (
    CALL_RECORDING,
    FORM,
    JSON,
    OTHER_ACCOUNT,
    PUBLIC,
    ROOM_EVENT,
    ROOM_RECORDING,
    SECOND_TOKEN,
    SOURCES,
    TELNYX,
    TOKEN,
    TWILIO_RECORDING,
    Notes,
    Source,
    post_telnyx,
    post_twilio,
    post_twilio_json,
    telnyx_body,
    telnyx_headers,
    twilio_form,
    twilio_headers,
)
from tests.web.site import site_at
from tests.web.test_access import TOKENS, USERS
from tests.web.test_routes import assert_armoured

BOTH = ("/webhooks/telnyx", "/webhooks/twilio")


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
async def site(empty_url, notes):
    """A server that knows the webhooks of five sources, and wants everybody else to sign in."""
    async with site_at(empty_url, users=USERS, tokens=TOKENS, public_url=PUBLIC, hooks=notes.hooks()) as site:
        yield site


# -- right ones


async def test_a_room_recording_is_noted_for_its_source_without_signing_in(site, notes):
    answer = await post_telnyx(site)
    assert (answer.status, answer.text) == (200, "ok\n")
    assert_armoured(answer)
    assert notes.taken == [("rooms", ROOM_RECORDING)]


@pytest.mark.parametrize("event", ["call.recording.saved", "conference.recording.saved"])
@pytest.mark.parametrize(("payload", "noted"), [({"recording_id": CALL_RECORDING.upper()}, CALL_RECORDING), ({}, "")])
async def test_a_call_is_noted_by_its_id_or_as_something_new(site, notes, event, payload, noted):
    assert (await post_telnyx(site, telnyx_body(event, **payload))).status == 200
    assert notes.taken == [("calls", noted)]


@pytest.mark.parametrize("event", ["recording-started", "recording-completed", "recording-failed"])
@pytest.mark.parametrize(("token", "source"), [(TOKEN, "video"), (SECOND_TOKEN, "video-two")])
async def test_a_twilio_recording_is_noted_for_the_account_that_signed(site, notes, event, token, source):
    assert (await post_twilio(site, twilio_form(event), token=token)).status == 200
    assert notes.taken == [(source, TWILIO_RECORDING)]


async def test_twilio_may_send_json_whose_digest_is_signed(site, notes):
    assert (await post_twilio_json(site, json.dumps(twilio_form()).encode())).status == 200
    assert notes.taken == [("video", TWILIO_RECORDING)]


@pytest.mark.parametrize("url", [f"{PUBLIC}/webhooks/twilio?x=1", "https://archive.example.org:443/webhooks/twilio?x=1"])
async def test_twilio_signs_the_public_address_whatever_a_proxy_made_of_it(site, notes, url):
    fields = twilio_form(TrackName="Tür & Café +49")
    headers = {**twilio_headers(fields, url=url), "Host": "backend.internal:8080", "X-Forwarded-Host": "evil.example"}
    data = urlencode(fields).encode()
    assert (await site.get("/webhooks/twilio?x=1", method="POST", data=data, headers=headers)).status == 200
    assert notes.taken == [("video", TWILIO_RECORDING)]


@pytest.mark.parametrize(
    "body",
    [
        telnyx_body("video.room.session.ended", room_id="x"),
        telnyx_body("video.room.recording.completed"),
        telnyx_body("video.room.recording.completed", recording_id="../../etc/passwd"),
        telnyx_body("video.room.recording.completed", recording_id=["x"]),
        b'{"data": []}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"data": {"event_type": 5, "id": {}, "payload": 7}}',
        b"",
    ],
)
async def test_a_signed_event_of_no_use_is_taken_counted_and_leads_to_nothing(site, notes, body):
    with structlog.testing.capture_logs() as logged:
        assert (await post_telnyx(site, body)).status == 200
    assert notes.taken == []
    assert [line["so_far"] for line in logged if line["event"] == "webhook_ignored"] == [1]


async def test_a_twilio_event_of_no_use_is_taken_too(site, notes):
    assert (await post_twilio(site, twilio_form("room-ended"))).status == 200
    assert (await post_twilio(site, twilio_form(sid="RT1"))).status == 200
    assert (await post_twilio(site, {})).status == 200
    assert (await post_twilio_json(site, b"[]")).status == 200
    assert notes.taken == []


async def test_a_thousand_replays_have_one_effect(site, notes):
    body, headers = ROOM_EVENT, telnyx_headers(ROOM_EVENT, site.clock.now())
    answers = []
    for _ in range(10):
        posts = (site.get("/webhooks/telnyx", method="POST", data=body, headers=headers) for _ in range(100))
        answers += await asyncio.gather(*posts)
    assert {answer.status for answer in answers} == {200}
    assert notes.taken == [("rooms", ROOM_RECORDING)]


async def test_another_attempt_to_deliver_an_event_is_the_same_event(site, notes):
    await post_telnyx(site)
    site.clock.advance(seconds=30)
    await post_telnyx(site, ROOM_EVENT + b" ")
    for _ in range(3):
        await post_twilio(site)
    assert notes.taken == [("rooms", ROOM_RECORDING), ("video", TWILIO_RECORDING)]
    site.clock.advance(seconds=webhooks.REMEMBERED)
    await post_twilio(site)
    assert notes.taken[2:] == [("video", TWILIO_RECORDING)]


# -- wrong ones


async def test_an_event_of_another_account_or_another_time_is_refused(site, notes):
    now = int(site.clock.now().timestamp())
    for signer, moment in ((OTHER_ACCOUNT, now), (TELNYX, now - 301), (TELNYX, now + 301)):
        headers = {**JSON, **signer.headers(ROOM_EVENT, moment)}
        answer = await site.get("/webhooks/telnyx", method="POST", data=ROOM_EVENT, headers=headers)
        assert_refused(answer)
    assert_refused(await post_twilio(site, token="token-of-somebody"))
    assert_refused(await post_twilio(site, url="https://elsewhere.example/webhooks/twilio"))
    assert_refused(await post_twilio(site, url=f"{PUBLIC}/webhooks/twilio?x=1"))
    assert_refused(await post_twilio_json(site, b"{}", sha256="0" * 64))
    assert_refused(await post_twilio_json(site, b"{}", sha256=""))
    assert notes.taken == []


def assert_refused(answer):
    assert answer.status == 403
    assert json.loads(answer.text) == {"schema": "archiver.error/1", "status": 403, "error": "Refused."}
    assert_armoured(answer)


@pytest.mark.parametrize("path", BOTH)
async def test_a_missing_or_doubled_signature_is_refused_as_a_wrong_one_is(site, path):
    kind = JSON if path.endswith("telnyx") else FORM
    assert_refused(await site.get(path, method="POST", data=b"a=b", headers=kind))
    names = ["telnyx-signature-ed25519", "telnyx-timestamp", "X-Twilio-Signature"]
    doubled = [*kind.items(), *((name, "1") for name in names for _ in range(2))]
    assert_refused(await site.get(path, method="POST", data=b"a=b", headers=doubled))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"public_url": ""}, "web.public_url is not set"),
        ({"hooks": Notes().hooks([Source(name="by-key", provider="twilio-video")])}, "no source of Twilio has an auth_token"),
        ({"hooks": None}, "no source of Twilio has an auth_token"),
    ],
)
async def test_twilio_is_refused_with_a_line_in_the_log_where_it_cannot_be_checked(empty_url, changes, why):
    given = {"public_url": PUBLIC, "hooks": Notes().hooks(), **changes}
    async with site_at(empty_url, **given) as site:
        with structlog.testing.capture_logs() as logged:
            assert_refused(await post_twilio(site))
    assert [line["why"] for line in logged if line["event"] == "webhook_refused"] == [why]


async def test_telnyx_is_refused_without_a_key_even_where_pages_are_open(empty):
    with structlog.testing.capture_logs() as logged:
        assert_refused(await post_telnyx(empty))
    assert [line["why"] for line in logged if line["event"] == "webhook_refused"] == [
        "no source of Telnyx has a webhook_public_key"
    ]


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_only_post_is_answered(site, path, method):
    answer = await site.get(path, method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert_armoured(answer)


@pytest.mark.parametrize("path", BOTH)
async def test_a_body_of_another_type_or_packing_is_refused_unread(site, notes, path):
    right = telnyx_headers(ROOM_EVENT, site.clock.now()) if path.endswith("telnyx") else twilio_headers(twilio_form())
    kind = right["Content-Type"]
    other = {"Content-Type": "text/plain"} if path.endswith("twilio") else FORM
    for changes in (other, {"Content-Type": ""}, {"Content-Encoding": "gzip"}, {"Content-Type": f"{kind}, {kind}"}):
        data = gzip.compress(ROOM_EVENT) if "Content-Encoding" in changes else ROOM_EVENT
        answer = await site.get(path, method="POST", data=data, headers={**right, **changes})
        assert answer.status == 415, changes
    assert notes.taken == []


def request(path, *headers, kind="application/json"):
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def test_a_body_of_unknown_length_or_too_large_is_refused_unread(site):
    endless = [request(path, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n" for path in BOTH]
    large = [request(path, f"Content-Length: {arrivals.LARGEST + 1}") for path in BOTH]
    answers = await asyncio.gather(*(site.raw(each) for each in (*endless, *large)))
    assert [answer.split(b" ", 2)[1] for answer in answers] == [b"415", b"415", b"413", b"413"]


async def test_the_largest_body_is_taken(site, notes):
    body = ROOM_EVENT + b" " * (arrivals.LARGEST - len(ROOM_EVENT))
    assert (await post_telnyx(site, body)).status == 200
    assert notes.taken == [("rooms", ROOM_RECORDING)]


async def test_a_body_that_does_not_come_is_answered_within_two_seconds(site):
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    writer.write(request("/webhooks/telnyx", "Content-Length: 100") + b"{")
    assert b" 408 " in await reader.readline()
    assert time.monotonic() - started < 2
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_many_wrong_ones_are_put_off_and_right_ones_never_count(empty_url, notes, monkeypatch):
    monkeypatch.setattr(webhooks, "AT_ONCE", 3)
    async with site_at(empty_url, public_url=PUBLIC, hooks=notes.hooks()) as site:
        for number in range(10):
            assert (await post_telnyx(site, telnyx_body(event_id=str(number), recording_id=ROOM_RECORDING))).status == 200
        assert [(await post_telnyx(site, signer=OTHER_ACCOUNT)).status for _ in range(4)] == [403, 403, 403, 429]
        assert (await post_telnyx(site)).headers["Retry-After"] == "1"
        site.clock.advance(seconds=1)
        assert (await post_telnyx(site)).status == 200


def test_those_who_may_be_wrong_at_once_are_more_than_can_be_connected():
    assert webhooks.AT_ONCE > connection.MOST


async def test_a_rotated_token_counts_within_a_minute(empty_url, notes, tmp_path):
    file = tmp_path / "token"
    file.write_text("old-token\n")
    source = Source(name="video", provider="twilio-video", auth_token=Secret("old-token", file=file))
    async with site_at(empty_url, public_url=PUBLIC, hooks=notes.hooks([source])) as site:
        assert (await post_twilio(site, token="old-token")).status == 200
        file.write_text("new-token\n")
        site.clock.advance(seconds=31)
        assert (await post_twilio(site, token="old-token")).status == 403
        assert (await post_twilio(site, twilio_form("recording-failed"), token="new-token")).status == 200
    assert len(notes.taken) == 2


async def test_nothing_in_the_log_or_an_answer_helps_to_forge_one(site):
    with structlog.testing.capture_logs() as logged:
        answers = [await post_twilio(site, token="x"), await post_telnyx(site, signer=OTHER_ACCOUNT), await post_twilio(site)]
    for text in (repr(logged), *(answer.text for answer in answers)):
        assert f"'{TOKEN}'" not in text
        assert SECOND_TOKEN not in text
        assert all(source.webhook_public_key not in text for source in SOURCES if source.webhook_public_key)
