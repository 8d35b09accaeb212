"""Rows of each provider: the official examples read right, and everything odd in one field costs that field alone."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from archiver.domain.recording import ProviderStatus
from archiver.providers import telnyx_calls, telnyx_rooms, twilio_video
from archiver.providers.rows import RowRefused
from tests.providers.stage import CANARY, NOON, ROOM_UUID, RT, SIGNATURE

SAMPLES = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "samples").glob("*.json")}
CALL_UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def room_row(**changes):
    return SAMPLES["telnyx_room_recording"]["data"] | changes


def call_row(**changes):
    return SAMPLES["telnyx_call_recording"]["data"] | changes


def track_row(**changes):
    return SAMPLES["twilio_list"]["recordings"][0] | changes


def read_room(row):
    return telnyx_rooms.parse_recording(row, now=NOON)


def read_call(row, formats=("mp3",)):
    return telnyx_calls.parse_recording(row, formats=formats, now=NOON)


def read_track(row):
    return twilio_video.parse_recording(row, now=NOON)


EVERY = pytest.mark.parametrize(
    ("read", "row", "ident"),
    [(read_room, room_row, "id"), (read_call, call_row, "id"), (read_track, track_row, "sid")],
    ids=["telnyx-rooms", "telnyx-calls", "twilio-video"],
)


def at(text):
    return datetime.fromisoformat(text)


def test_the_official_room_recording_reads_as_documented():
    found = read_room(room_row())
    assert found.recording_id == ROOM_UUID
    assert (found.status, found.status_raw, found.renditions) == (ProviderStatus.COMPLETED, "completed", ("media",))
    assert found.started_at == at("2021-04-16T09:24:55.962200Z")
    assert found.ended_at == at("2021-04-16T10:24:55.962200Z")
    assert (found.duration, found.size, found.media_type, found.codec, found.container) == (3660.0, None, "audio", "opus", "")
    assert found.room_id == "7b61621f-5fe4-4aad-ab11-9fd19e272e73"
    assert found.session_id.startswith("8b61621f")
    assert found.participant_id.startswith("9b61621f")
    assert found.flags == ()


def test_the_official_call_recording_reads_as_documented():
    found = read_call(
        call_row(download_urls={"mp3": "https://x/a.mp3?a=1", "wav": "https://x/a.wav"}, **{"from": "+15551234567"})
    )
    assert found.recording_id == CALL_UUID
    assert (found.status, found.renditions, found.media_type) == (ProviderStatus.COMPLETED, ("mp3",), "conference")
    assert found.started_at == found.ended_at == at("2019-01-23T18:10:02.574Z")
    assert (found.duration, found.size) == (60.0, None)
    assert found.room_id == found.session_id == found.participant_id == "84a97d76-e40f-11ed-9074-02420a0daa69"
    assert found.participant_name == "+15551234567"
    assert found.flags == ()


def test_the_official_track_recording_reads_as_documented():
    found = read_track(SAMPLES["twilio_room_recording"])
    assert found.recording_id == RT
    assert (found.status, found.renditions) == (ProviderStatus.PROCESSING, ("media",))
    assert (found.started_at, found.ended_at, found.duration, found.size) == (at("2015-07-30T20:00:00Z"), None, None, None)
    assert (found.media_type, found.codec, found.container) == ("audio", "opus", "mka")
    assert found.room_id == "RM" + "a" * 32
    assert found.external_url == "https://my-super-duper-bucket.s3.amazonaws.com/my/path/"
    assert found.flags == ()


def test_a_track_ends_its_duration_after_it_was_created():
    found = read_track(track_row())
    assert found.ended_at == at("2015-07-30T20:00:10Z")
    assert (found.duration, found.size) == (10.0, 23)
    assert found.participant_id == "PA" + "a" * 32


@pytest.mark.parametrize("name", ["telnyx_list", "telnyx_room_list"])
def test_official_telnyx_pages_are_read_whole(name):
    page = _telnyx_page(SAMPLES[name], requested=SAMPLES[name]["meta"]["page_number"])
    assert len(page.recordings) == len(SAMPLES[name]["data"])
    assert page.rejected == ()


def _telnyx_page(payload, *, requested=1):
    from archiver.providers.telnyx import parse_page

    return parse_page(payload, requested=requested, read=read_room)


@EVERY
@pytest.mark.parametrize("status", ["processing", "completed", "failed", "deleted", "COMPLETED"])
def test_a_known_status_is_known_in_any_case(read, row, ident, status):
    found = read(row(status=status))
    assert (found.status, found.status_raw) == (ProviderStatus(status.lower()), status)


@EVERY
@pytest.mark.parametrize("status", ["archiving", "", None, 5, "unknown", ["completed"]])
def test_an_unknown_status_is_kept_and_unknown(read, row, ident, status):
    found = read(row(status=status))
    assert found.status is ProviderStatus.UNKNOWN
    assert found.status_raw == (status if isinstance(status, str) else "")


@EVERY
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        5,
        True,
        [],
        {},
        "x" * 10_000,
        "../x",
        "<script>",
        "a/b",
        "%2e%2e",
        "6b61621f",
        "RT" + "g" * 32,
        "RE" + "a" * 32,
        f"{ROOM_UUID}\n",
        f" {ROOM_UUID}",
        "6b61621f‐62e0-4aad-ab11-9fd19e272e73",
        "\x00",
        "a b",
        "٣",
    ],
)
def test_a_row_without_a_usable_id_is_refused(read, row, ident, value):
    if read is read_call and isinstance(value, str) and value.isalnum() and value.isascii() and len(value) <= 64:
        assert read(row(id=value)).recording_id == value
        return
    with pytest.raises(RowRefused, match=ident) as refused:
        read(row(**{ident: value}))
    assert len(str(refused.value)) < 200


@EVERY
@pytest.mark.parametrize("value", [None, 5, "x", [], True, 1.5])
def test_a_row_that_is_no_object_is_refused(read, row, ident, value):
    with pytest.raises(RowRefused):
        read(value)


@EVERY
def test_case_makes_no_second_recording(read, row, ident):
    first = row()[ident]
    second = "RT" + first[2:].upper() if first.startswith("RT") else first.upper()
    assert read(row(**{ident: second})).recording_id == read(row()).recording_id


@EVERY
def test_a_missing_field_is_unknown_and_nothing_else(read, row, ident):
    found = read({ident: row()[ident]})
    assert (found.status, found.started_at, found.ended_at, found.duration, found.size) == (
        ProviderStatus.UNKNOWN,
        None,
        None,
        None,
        None,
    )
    assert (found.codec, found.room_id, found.flags) == ("", "", ())


@EVERY
@pytest.mark.parametrize("value", [5, [], {}, True])
def test_a_field_of_a_wrong_type_is_flagged_and_unknown(read, row, ident, value):
    names = (
        "codec",
        "type",
        "room_id",
        "session_id",
        "participant_id",
        "container_format",
        "source",
        "conference_id",
        "from",
        "grouping_sids",
        "media_external_location",
    )
    found = read(row(**dict.fromkeys(names, value)))
    assert found.flags
    assert found.codec == found.room_id == ""


@EVERY
def test_fields_nobody_knows_are_kept(read, row, ident):
    assert read(row(brand_new={"a": [1, None, 1.5]})).raw["brand_new"] == {"a": [1, None, 1.5]}


@pytest.mark.parametrize(
    ("urls", "formats", "renditions", "flagged"),
    [
        ({"mp3": "u", "wav": "u"}, ("mp3",), ("mp3",), False),
        ({"mp3": "u", "wav": "u"}, ("wav", "mp3"), ("wav", "mp3"), False),
        ({"mp3": "u", "wav": None}, ("mp3", "wav"), ("mp3",), False),
        ({"wav": "u"}, ("mp3",), ("wav",), True),
        ({"wav": "u", "mp3": ""}, ("mp3",), ("wav",), True),
        ({"flac": "u"}, ("mp3",), ("flac",), True),
        ({}, ("mp3",), ("mp3",), False),
        (None, ("mp3", "wav"), ("mp3", "wav"), False),
        ([], ("mp3",), ("mp3",), False),
        ("x", ("mp3",), ("mp3",), False),
        ({"../x": "u"}, ("mp3",), ("mp3",), False),
        ({"mp3": 5}, ("mp3",), ("mp3",), False),
        ({"mp3": "u"}, ("mp3", "mp3"), ("mp3",), False),
    ],
)
def test_the_wanted_files_of_a_call_are_listed_and_else_what_there_is(urls, formats, renditions, flagged):
    found = read_call(call_row(download_urls=urls), formats)
    assert found.renditions == renditions
    assert bool(found.flags) == flagged


@pytest.mark.parametrize(
    "url", ["s3://bucket/key", "gs://bucket/key", "S3://b/k", "https://account.blob.core.windows.net/c/k?sig=1"]
)
def test_a_call_in_the_customers_own_storage_is_external(url):
    assert read_call(call_row(download_urls={"mp3": url})).external_url == url.partition("?")[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com/x",
        "https://blob.core.windows.net.evil.example/x",
        "https://evil.example/.blob.core.windows.net/",
    ],
)
def test_a_call_at_telnyx_is_not_external(url):
    assert read_call(call_row(download_urls={"mp3": url})).external_url == ""


def test_a_call_partly_in_the_customers_storage_is_fetched_and_flagged():
    found = read_call(call_row(download_urls={"mp3": "s3://b/k", "wav": "https://x/y"}), ("mp3", "wav"))
    assert found.external_url == ""
    assert any("own storage" in flag for flag in found.flags)


@EVERY
def test_no_signature_and_no_unstorable_character_is_left_anywhere(read, row, ident):
    hostile = row(
        download_url=f"https://h/p?{SIGNATURE}", download_urls={"mp3": f"https://h/p?{SIGNATURE}"}, media_external_location=f"https://h/p?{SIGNATURE}",
        links={"media": [{f"https://h/k?{SIGNATURE}": f"see https://h/p?{SIGNATURE} or //h/p?{SIGNATURE}"}]}, codec="a\x00\ud800b", type="\udfff", **{"from": "\x00"},
    )  # fmt: skip
    found = read(hostile)
    text = json.dumps(found.raw, ensure_ascii=False) + repr(found)
    assert CANARY not in text
    assert "\x00" not in json.loads(json.dumps(text))
    repr(found.raw).encode()
    assert found.codec in {"", "a\\u0000\\ud800b"}


def test_a_very_long_name_is_cut_in_its_field_and_whole_in_the_raw_json():
    found = read_room(room_row(codec="x" * 10_000))
    assert len(found.codec) == 1_024
    assert len(found.raw["codec"]) == 10_000
    assert found.flags


def test_a_row_that_names_a_key_twice_is_refused_and_the_others_on_the_page_survive():
    from archiver.providers.bodies import decode

    other = ROOM_UUID.replace("6b", "7b")
    body = f'{{"data":[{{"id":"{ROOM_UUID}","status":"completed","status":"processing"}},{{"id":"{other}"}},5],"meta":{{"page_number":1,"total_pages":1,"total_results":3}}}}'
    page = _telnyx_page(decode(body.encode()))
    assert [found.recording_id for found in page.recordings] == [other]
    assert [rejected.reason for rejected in page.rejected] == ["the row names a key twice", "the row is 5, accepted: an object"]
    assert ROOM_UUID in page.rejected[0].raw


def test_a_recording_listed_twice_on_a_page_is_one():
    rows = [room_row(status="processing"), room_row(id=ROOM_UUID.upper()), room_row(id=CALL_UUID)]
    page = _telnyx_page({"data": rows, "meta": {"page_number": 1, "total_pages": 1, "total_results": 3}})
    assert [found.status.value for found in page.recordings] == ["completed", "completed"]
