"""Keys are made of ids and dates alone: whatever a provider sends as an id, the object lies where it belongs (S7)."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.domain.keys import object_key, object_metadata, segment
from tests.pipeline.stage import an_entry

ENDED = datetime(2026, 3, 10, 11, tzinfo=UTC)
KEY = re.compile(r"rooms/2026/03/10/[A-Za-z0-9._-]{1,128}/media(-[0-9a-f]{12})?\.ogg")
HOSTILE = [
    "..",
    ".",
    "",
    "a/../../etc/passwd",
    "/etc",
    "a//b",
    "a\\b",
    "%2e%2e",
    "\u202e",
    "CON ",
    "x" * 10_000,
    "a\r\nb",
    "\ud800",
    "-rf",
]


@pytest.mark.parametrize("recording_id", HOSTILE, ids=ascii)
def test_no_hostile_id_leads_out_of_its_folder(recording_id):
    key = object_key(an_entry(recording_id=recording_id, ended_at=ENDED), "ogg")
    assert KEY.fullmatch(key)
    assert not {".", "..", ""} & set(key.split("/"))


@settings(max_examples=1000)
@given(st.text(), st.sampled_from(["", "ab" * 32]))
def test_whatever_an_id_is_a_key_has_six_plain_segments(recording_id, sha256):
    key = object_key(an_entry(recording_id=recording_id, ended_at=ENDED), "ogg", sha256=sha256)
    assert KEY.fullmatch(key)
    assert key.split("/")[4].strip(".")


@given(st.text(alphabet="0123456789abcdefABCDEF-", min_size=1, max_size=64))
def test_an_id_as_providers_make_them_is_its_own_segment(recording_id):
    assert segment(recording_id) == recording_id


def test_no_name_that_somebody_typed_is_in_the_key_or_beside_the_object():
    typed = {"room_name": "Boardroom", "participant_name": "Ada Lovelace"}
    entry = an_entry(ended_at=ENDED, **typed)
    beside = object_metadata(entry, token="t", version="1", sha256="ab" * 32, carried={})
    assert not [name for name in typed.values() if name in object_key(entry, "ogg") or name in str(beside)]


def test_the_date_is_that_of_the_end_else_of_the_start_else_of_the_first_sight():
    days = {"ended_at": 3, "started_at": 2, "first_seen_at": 1}
    facts = {name: datetime(2026, 1, day, 23, 59, tzinfo=UTC) for name, day in days.items()}
    for name, day in days.items():
        assert object_key(an_entry(**facts), "ogg").startswith(f"rooms/2026/01/0{day}/")
        facts.pop(name)
    with pytest.raises(ValueError, match="has no date"):
        object_key(an_entry(), "ogg")
