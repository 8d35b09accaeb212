"""Webhook signatures, against the test vectors of providers.md 7 and the providers' own verifiers."""

import base64
import json
import time

import nacl.signing
import pytest
import telnyx
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from archiver.simulator.webhooks import TelnyxSigner, telnyx_event, twilio_event, twilio_signature
from tests.simulator.stage import CALL_ID, NOON, TELNYX_ID, TWILIO_ID, call_recording, telnyx_recording, twilio_recording

SEED = bytes(range(32))
BODY = (
    b'{"data":{"record_type":"event","event_type":"video.room.recording.completed","id":"6b61621f-62e0-4aad-ab11-9fd19e272e73",'
    b'"payload":{}},"meta":{"attempt":1,"delivered_to":"https://example.com/webhooks"}}'
)


def test_the_telnyx_vector_is_signed_as_known():
    signer = TelnyxSigner(SEED)

    assert signer.public_key == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    assert signer.headers(BODY, 1_700_000_000) == {
        "telnyx-signature-ed25519": "bA4O6fW+rD1BeWUc2ZgYxIdMol6qeG0t98cmrui3CICUmVa1ReW6UFcpPzCXJH6pATUhg0WJtGx7zhBm9S/gDA==",
        "telnyx-timestamp": "1700000000",
    }


def test_telnyx_own_verifier_takes_a_fresh_event_and_refuses_a_changed_one():
    signer = TelnyxSigner(SEED)
    body = telnyx_event(telnyx_recording(), NOON)
    headers = signer.headers(body, int(time.time()))
    with telnyx.Telnyx(api_key="x", public_key=signer.public_key) as client:
        client.webhooks.unwrap(body.decode(), headers=headers)
        with pytest.raises(ValueError, match="does not match"):
            client.webhooks.unwrap(body.decode().replace(TELNYX_ID, CALL_ID), headers=headers)


def test_an_independent_implementation_verifies_the_signature():
    signer = TelnyxSigner(b"\x07" * 32)
    signature = base64.b64decode(signer.headers(b"{}", 5)["telnyx-signature-ed25519"])

    nacl.signing.VerifyKey(base64.b64decode(signer.public_key)).verify(b"5|{}", signature)


def test_telnyx_events_name_their_recording():
    room = json.loads(telnyx_event(telnyx_recording(), NOON, download_url="http://x/y"))["data"]
    call = json.loads(telnyx_event(call_recording(renditions=("wav",)), NOON, download_url="http://x/y"))["data"]
    again = json.loads(telnyx_event(telnyx_recording(), NOON, attempt=2))

    assert (room["event_type"], room["payload"]["recording_id"], room["payload"]["download_url"]) == (
        "video.room.recording.completed",
        TELNYX_ID,
        "http://x/y",
    )
    assert (call["event_type"], call["payload"]["recording_urls"]) == ("call.recording.saved", {"mp3": None, "wav": "http://x/y"})
    assert "recording_id" not in call["payload"]
    assert (again["data"]["id"], again["meta"]["attempt"]) == (room["id"], 2)


def test_the_twilio_vector_is_signed_as_known():
    parameters = {
        "RoomSid": "RM" + "a" * 32,
        "RecordingSid": "RT" + "a" * 32,
        "StatusCallbackEvent": "recording-completed",
        "AccountSid": "AC" + "a" * 32,
    }

    assert twilio_signature("12345", "https://example.com/webhooks/twilio?x=1", parameters) == "YlQu87zElJv5GaTia3nasfSUfgw="


@pytest.mark.parametrize("event", ["recording-started", "recording-completed", "recording-failed"])
def test_twilios_own_validator_takes_our_events(event):
    url = "https://example.com/webhooks/twilio"
    form = twilio_event(twilio_recording(), "AC" + "a" * 32, NOON, event=event)
    validator = RequestValidator("token")

    assert form["RecordingSid"] == TWILIO_ID
    assert ("MediaUri" in form) is (event == "recording-completed")
    assert ("FailedOperation" in form) is (event == "recording-failed")
    assert validator.validate(url, form, twilio_signature("token", url, form))
    assert not validator.validate(url, form, twilio_signature("other", url, form))


def test_repeated_parameters_are_sorted_and_single():
    values = ["2", "1", "2", "9", "30", "4", "8", "7"]
    form = MultiDict([("b", "x"), *(("a", value) for value in values)])
    expected = RequestValidator("t").compute_signature("https://e/", form)

    assert twilio_signature("t", "https://e/", {"a": values, "b": "x"}) == expected
