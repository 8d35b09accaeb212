"""API bodies: strict JSON or nothing, and error texts that give nothing away."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.providers.bodies import NotJson, Repeated, decode, shown
from archiver.providers.telnyx import describe_error as describe_telnyx
from archiver.providers.twilio import describe_error as describe_twilio
from tests.providers.stage import API_KEY, CANARY, SIGNATURE


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b'{"a":', b"nonsense", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b"\xff\xfe{}", '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}', b"[" * 100_000, b"{}{}", b'{"a":1,}', b"{'a':1}", b"\x00", b"9" * 5_000,
    ],
)  # fmt: skip
def test_what_is_not_json_is_no_json_and_is_not_quoted(body):
    found = decode(body)
    assert isinstance(found, NotJson)
    assert len(found.why) < 100


def test_a_byte_order_mark_before_json_is_skipped():
    assert decode(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_an_object_that_names_a_key_twice_is_told_from_others():
    assert isinstance(decode(b'{"a":1,"a":2}'), Repeated)
    assert not isinstance(decode(b'{"a":1,"b":2}'), Repeated)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_not(body):
    decode(body)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"errors": [{"code": "10005", "title": "Resource not found", "detail": "Gone."}]}, "10005 Resource not found Gone."),
        ({"code": "10005", "title": "Resource not found", "detail": "Gone."}, "10005 Resource not found Gone."),
        ({"message": "Error", "success": False}, "Error"),
        ({"errors": [{"code": 401}]}, "401"),
        ({"errors": []}, ""),
        ({"errors": ["x"]}, ""),
        ({"errors": {"a": 1}}, ""),
        (None, ""),
        ([], ""),
        ("x", ""),
        ({"errors": [{"code": {"a": 1}, "title": ["x"], "detail": None}]}, ""),
    ],
)
def test_code_and_title_are_found_in_all_shapes_of_telnyx_errors(payload, text):
    assert describe_telnyx(payload) == text


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"code": 20404, "message": "Not found", "more_info": "https://x", "status": 404}, "20404 Not found"),
        (
            {"type": "x", "title": "Not Found", "status": 404, "code": 20404, "detail": "No such thing"},
            "20404 Not Found No such thing",
        ),
        ({"code": True, "message": 5}, "5"),
        (None, ""),
        ("<TwilioResponse>", ""),
    ],
)
def test_code_and_message_are_found_in_both_shapes_of_twilio_errors(payload, text):
    assert describe_twilio(payload) == text


def test_a_providers_words_are_one_short_line_without_secrets():
    text = f"a\r\nb\x1b[31m\u2028\u202e key {API_KEY} at https://h/p?{SIGNATURE}" + "x" * 1_000
    found = shown(text, (API_KEY,))
    assert CANARY not in found
    assert "https://h/p" in found
    assert found.isprintable()
    assert len(found) <= 200


@given(st.text(max_size=300), st.text(min_size=8, max_size=20))
def test_no_secret_survives_in_an_error_text(text, secret):
    assert secret not in shown(f"{text}{secret}{text}", (secret,)) or not secret.strip()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["errors", "code", "title", "detail", "message"]), inner, max_size=5)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_described_without_failing(payload):
    for describe in (describe_telnyx, describe_twilio):
        assert shown(describe(payload), ()).isprintable()
    json.dumps(payload)
