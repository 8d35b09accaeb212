"""Signatures of webhooks: the vectors of providers.md, and not one bit beside them."""

from itertools import product

import pytest

from archiver.simulator.webhooks import twilio_signature as simulated
from archiver.web.signatures import TOLERANCE, body_is, is_fresh, spellings, telnyx_signed, twilio_signature, twilio_signed
from tests.web.callers import OTHER_ACCOUNT, TELNYX

KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
TIMESTAMP = "1700000000"
BODY = (
    b'{"data":{"record_type":"event","event_type":"video.room.recording.completed","id":"6b61621f-62e0-4aad-ab11-9fd19e272e73",'
    b'"payload":{}},"meta":{"attempt":1,"delivered_to":"https://example.com/webhooks"}}'
)
SIGNATURE = "bA4O6fW+rD1BeWUc2ZgYxIdMol6qeG0t98cmrui3CICUmVa1ReW6UFcpPzCXJH6pATUhg0WJtGx7zhBm9S/gDA=="
URL = "https://example.com/webhooks/twilio?x=1"
FIELDS = [
    ("RoomSid", "RM" + "a" * 32),
    ("RecordingSid", "RT" + "a" * 32),
    ("StatusCallbackEvent", "recording-completed"),
    ("AccountSid", "AC" + "a" * 32),
]
TWILIO_SIGNATURE = "YlQu87zElJv5GaTia3nasfSUfgw="


def flips(text: bytes):
    """The text with one bit of it turned, for every bit."""
    for at, bit in product(range(len(text)), range(8)):
        yield text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :]


def telnyx(*, key=KEY, signature=SIGNATURE, timestamp=TIMESTAMP, body=BODY):
    return telnyx_signed(key, signature=signature, timestamp=timestamp, body=body)


def twilio(*, token="12345", signature=TWILIO_SIGNATURE, urls=(URL,), fields=FIELDS):
    return twilio_signed(token, signature=signature, urls=urls, fields=fields)


def test_the_vector_of_telnyx_is_right():
    assert telnyx()


def test_any_bit_of_a_telnyx_body_counts():
    assert not any(telnyx(body=body) for body in flips(BODY))


def test_any_bit_of_a_telnyx_timestamp_counts():
    assert not any(telnyx(timestamp=stamp.decode("latin-1")) for stamp in flips(TIMESTAMP.encode()))


def test_any_bit_of_a_telnyx_signature_counts_even_those_that_base64_does_not_use():
    assert not any(telnyx(signature=signature.decode("latin-1")) for signature in flips(SIGNATURE.encode()))


@pytest.mark.parametrize("signature", ["", "=", "AAAA", SIGNATURE[:-2], SIGNATURE + "=", SIGNATURE + "\n", " " + SIGNATURE, "ü"])
def test_what_is_no_signature_of_telnyx_is_none(signature):
    assert not telnyx(signature=signature)


def test_the_key_of_another_account_does_not_fit():
    assert TELNYX.public_key == KEY
    assert not telnyx(key=OTHER_ACCOUNT.public_key)
    assert not telnyx(key="A" * 43 + "=")


@pytest.mark.parametrize("off", [0, 1, -1, TOLERANCE, -TOLERANCE])
def test_a_timestamp_within_five_minutes_is_fresh(off):
    assert is_fresh(str(1_700_000_000 + off), now=1_700_000_000)


@pytest.mark.parametrize(
    "stamp", ["1699999699", "1700000301", "", "-1", "+1700000000", "17e8", "1_700_000_000", "١٧٠٠٠٠٠٠٠٠", " 1700000000", "9" * 12]
)
def test_any_other_timestamp_is_not(stamp):
    assert not is_fresh(stamp, now=1_700_000_000)


def test_the_vector_of_twilio_is_right_in_any_order_of_fields():
    assert twilio()
    assert twilio(fields=FIELDS[::-1])


def test_any_bit_of_a_twilio_signature_counts():
    assert not any(twilio(signature=signature.decode("latin-1")) for signature in flips(TWILIO_SIGNATURE.encode()))


def test_any_bit_of_a_twilio_value_or_address_counts():
    for at, (name, value) in enumerate(FIELDS):
        for changed in flips(value.encode()):
            assert not twilio(fields=[*FIELDS[:at], (name, changed.decode("latin-1")), *FIELDS[at + 1 :]])
    assert not any(twilio(urls=[url.decode("latin-1")]) for url in flips(URL.encode()))


def test_a_field_more_or_less_counts():
    assert not twilio(fields=FIELDS[1:])
    assert not twilio(fields=[*FIELDS, ("x", "")])


def test_another_account_of_twilio_does_not_fit():
    assert not twilio(token="12346")


def test_several_values_of_a_field_are_signed_as_the_simulator_and_the_sdk_sign_them():
    values = ["2", "1", "2", "30"]
    assert twilio_signature("t", URL, [("a", value) for value in values]) == simulated("t", URL, {"a": values})


@pytest.mark.parametrize(
    ("public", "expected"),
    [
        ("https://a.example", {"https://a.example/w?x", "https://a.example:443/w?x"}),
        ("https://a.example:443", {"https://a.example/w?x", "https://a.example:443/w?x"}),
        ("https://a.example:8443", {"https://a.example:8443/w?x", "https://a.example/w?x"}),
        ("http://a.example", {"http://a.example/w?x", "http://a.example:80/w?x"}),
        ("https://a.example/archive", {"https://a.example/archive/w?x", "https://a.example:443/archive/w?x"}),
        ("http://[::1]:8080", {"http://[::1]:8080/w?x", "http://[::1]/w?x"}),
    ],
)
def test_an_address_is_tried_with_its_port_and_without(public, expected):
    assert set(spellings(public, "/w?x")) == expected


def test_a_body_is_the_one_whose_digest_was_signed():
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert body_is(b"hello", digest)
    assert body_is(b"hello", digest.upper())
    assert not body_is(b"hellp", digest)
    assert not body_is(b"hello", "")
