"""What is taken out of texts and values before anybody sees them."""

import enum
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import yarl
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from archiver.config import Secret
from archiver.telemetry import redact, register_secret
from archiver.telemetry.redaction import Redactor

CANARY = "cAnaRy7x9"
SIGNED = f"https://bucket.s3.amazonaws.com/a/b.mp3?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={CANARY}&X-Amz-Date=2026"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization:Basic {CANARY}==",
        f"{{'Authorization': 'Bearer {CANARY}'}}",
        f'{{"Proxy-Authorization": "Basic {CANARY}"}}',
        f"('Authorization', 'Bearer {CANARY}')",
        f"(b'authorization', b'Bearer {CANARY}')",
        repr(CIMultiDict({"Authorization": f"Bearer {CANARY}"})),
        f"sent Bearer {CANARY} to the API",
        f"AWS4-HMAC-SHA256 Credential=AKIAX/2026/us-east-1/s3/aws4_request, SignedHeaders=host, Signature={CANARY}",
        SIGNED,
        f"see {SIGNED}, please",
        f"GET /a/b.mp3?partNumber=1&X-Amz-Signature={CANARY} HTTP/1.1",
        f"X-Amz-Security-Token: {CANARY}",
        f"x-amz-security-token={CANARY}",
        f"signature={CANARY}&x=1",
        f"Signature: {CANARY}",
        f"X-Twilio-Signature: {CANARY}",
        f"telnyx-signature-ed25519: {CANARY}",
        f"https://example.com/media#access_token={CANARY}",
        f"https://example.com/media?anything={CANARY}",
        f"https://user:{CANARY}@example.com/media",
        f"https://{CANARY}@example.com/media",
        f"postgresql://archiver:{CANARY}@db/archive",
        f"postgresql+psycopg://archiver:a/{CANARY}@x@db/archive",
        f"redis://:{CANARY}@cache/0",
        f"host=db user=archiver password={CANARY} dbname=x",
        f"password = '{CANARY} and more'",
        f'password="a\\"{CANARY}"',
        f"password='unfinished {CANARY}",
        f"PGPASSWORD={CANARY}",
        f"auth_token: {CANARY}",
        f"authToken={CANARY}",
        f'"api_key": "{CANARY}"',
        f"api-key={CANARY}",
        f"apikey={CANARY}",
        f"X-Api-Key: {CANARY}",
        f"api_key_secret={CANARY}",
        f"client_secret={CANARY}",
        f"token%3D{CANARY}",
        f"Cookie: {CANARY}=1",
        f"Set-Cookie: session={CANARY}; Path=/",
        f"aws_secret_access_key = {CANARY}",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}",
        f"KEY0123456789ABCDEF_{CANARY}",
        f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
        repr(yarl.URL(SIGNED)),
        f"BasicAuth(login='AC0', password='{CANARY}', encoding='latin1')",
        json.dumps({"headers": {"Authorization": f"Bearer {CANARY}"}}),
        json.dumps(json.dumps({"password": CANARY})),
    ],
)
def test_credentials_and_presigned_queries_are_taken_out_of_text(text: str) -> None:
    assert CANARY not in Redactor().text(text)
    assert CANARY not in Redactor().text(f"before {text} after")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "transferred",
        "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "10 bytes received, 1000 announced",
        "telnyx-rooms/2026/01/31/3fa85f64/mp3.mp3",
        "https://api.telnyx.com/v2/room_recordings",
        "403 from https://example.com:8443/x: Forbidden",
        "found b, expected a; hint: archiver doctor",
        "basic authentication was refused",
        "mail to someone@example.com",
        "2026-01-31T08:00:00Z",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor().text(text) == text


def test_what_is_left_of_a_url_still_says_where_it_led() -> None:
    assert Redactor().text(SIGNED) == "https://bucket.s3.amazonaws.com/a/b.mp3?***"
    assert Redactor().text("postgresql://u:p@db:5432/archive") == "postgresql://***@db:5432/archive"


@pytest.mark.parametrize(
    "secret", ["plain-secret", "with space and ümlaut", "quo\"te\\back'slash", "sl/ash+plus=eq", "line\nbreak-x", "%41%42%43-x"]
)
def test_a_registered_secret_is_taken_out_in_every_spelling(secret: str) -> None:
    redactor = Redactor()
    redactor.register(secret)
    for spelling in (secret, quote(secret, safe=""), repr(secret), json.dumps(secret), f"<{secret}>"):
        assert redactor.text(f"x{spelling}y") == "x***y" or "***" in redactor.text(spelling)
        assert secret not in redactor.text(spelling)
        assert spelling.strip("'\"") not in redactor.text(f"x{spelling}y")


def test_a_secret_inside_another_does_not_leave_half_of_the_longer_one() -> None:
    redactor = Redactor()
    redactor.register("abcdef")
    redactor.register("abcdefghijkl")
    assert redactor.text("abcdefghijkl") == "***"


def test_a_secret_is_gone_before_a_long_text_is_cut() -> None:
    redactor = Redactor()
    redactor.register("0123456789abcdef")
    for start in range(32_750, 32_770):
        assert "01234" not in redactor.text("x" * start + "0123456789abcdef" + "y" * 100)


def test_a_very_short_secret_does_not_tear_holes_into_every_word() -> None:
    redactor = Redactor()
    redactor.register("a")
    redactor.register("")
    assert redactor.text("a banana") == "a banana"


def test_what_is_registered_for_the_program_is_taken_out_by_redact() -> None:
    register_secret("canary-for-the-program")
    assert redact("x canary-for-the-program y") == "x *** y"


def test_values_become_plain_json_without_media_bytes() -> None:
    class Colour(enum.StrEnum):
        RED = "red"

    given_values = {
        "none": None,
        "yes": True,
        "whole": 5,
        "huge": 1 << 20_000,
        "nan": float("nan"),
        "inf": float("-inf"),
        "media": b"ID3 recorded words",
        "view": memoryview(b"abc"),
        "at": datetime(2026, 1, 31, 8, tzinfo=UTC),
        "for": timedelta(minutes=2),
        "path": Path("/data"),
        "state": Colour.RED,
        "secret": Secret("canary"),
        "members": ({"b": b"x"}, [1, (2,)], {"only"}),
        "error": ValueError("password=canary"),
    }
    assert Redactor().mapping(given_values) == {
        "none": None,
        "yes": True,
        "whole": 5,
        "huge": "a number of 20001 bits",
        "nan": "nan",
        "inf": "-inf",
        "media": "<18 bytes>",
        "view": "<3 bytes>",
        "at": "2026-01-31T08:00:00Z",
        "for": 120.0,
        "path": "/data",
        "state": "red",
        "secret": "***",
        "members": [{"b": "<1 bytes>"}, [1, [2]], ["only"]],
        "error": "ValueError: password=***",
    }


@pytest.mark.parametrize(
    "name",
    ["password", "Authorization", "auth_token", "authToken", "apiKey", "x-amz-signature", "set-cookie", "client_secret", "sig"],
)
def test_what_stands_under_a_telling_name_goes_whole(name: str) -> None:
    assert Redactor().mapping({name: {"nested": ["canary"]}}) == {name: "***"}
    assert Redactor().mapping({"headers": {name: "canary"}}) == {"headers": {name: "***"}}


def test_secrets_in_names_of_fields_are_taken_out_too() -> None:
    redactor = Redactor()
    assert redactor.mapping({"canary-in-a-name": 1}) == {"canary-in-a-name": 1}
    redactor.register("canary-in-a-name")
    assert redactor.mapping({"canary-in-a-name": 1}) == {"***": 1}


def test_endless_and_deep_values_are_cut() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "<list>" in json.dumps(Redactor().value(loop))
    long = Redactor().value(list(range(1000)))
    assert len(long) == 201
    assert long[-1] == "… (800 more)"


def test_an_object_that_cannot_say_what_it_is_does_no_harm() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert Redactor().value({"x": Mute()}) == {"x": "<Mute>"}


@pytest.mark.parametrize(
    "piece",
    ["token=", '"', "://", "a://b@", "://a@", "postgres://", "token='", 'token="\\', "x-amz-", "token_", "authorization", "authorization:", "eyJ", "KEY",
     "-----BEGIN PRIVATE KEY-----", "bearer ", "basic a", "\\", "a.b-", "?", "@", "%3d", "key,'", "a+"],
)  # fmt: skip
def test_redaction_takes_time_linear_in_a_hostile_text(piece: str) -> None:
    text = piece * (32_000 // len(piece))
    redactor = Redactor()
    started = time.perf_counter()
    redactor.text(text)
    assert time.perf_counter() - started < 0.5  # quadratic ones took seconds


secrets = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=6, max_size=30)


@settings(max_examples=200, deadline=None)
@given(secret=secrets, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_registered_secret_never_comes_through(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.register(secret)
    assert secret not in redactor.text(before + secret + after)
    [under_its_name] = Redactor().value({secret: 1}).values()  # hidden, too, where the secret reads like a name for one: X-AMZ-
    assert redactor.value({"x": [secret], secret: 1}) == {"x": ["***"], "***": under_its_name}
