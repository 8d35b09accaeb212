"""What a statement says about a period: counted, with every gap named, and signed only when it may be."""

import base64
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain import attestation
from archiver.domain.attestation import Count, PassSeen, Standing, standing
from archiver.domain.errors import UsageError
from archiver.domain.recording import State
from archiver.domain.windows import Window, ids_sha256
from archiver.pipeline.signing import load_key, load_public_key, make_key, signature_problem, signed

DAY = timedelta(days=1)
FIRST = date(2026, 3, 1)


def a_pass(first, last, *, after, listing="ended"):
    began = datetime.combine(last, datetime.min.time(), tzinfo=UTC) + after
    return PassSeen(
        listing=listing,
        first_day=first,
        last_day=last,
        listed=1,
        ids_sha256="",
        first_started_at=began - DAY,
        last_started_at=began,
        times=2,
    )


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["verified"], Standing.VERIFIED),
        (["verified", "verified"], Standing.VERIFIED),
        (["verified", "due"], Standing.WAITING),
        (["verified", "failed"], Standing.WAITING),
        (["verified", "damaged"], Standing.WAITING),
        (["verified", "stored"], Standing.WAITING),
        (["verified", "unavailable"], Standing.EXCLUDED),
        (["external"], Standing.EXCLUDED),
        (["expired"], Standing.EXCLUDED),
        (["lost", "verified"], Standing.LOST),
        (["lost", "waiting"], Standing.LOST),
        ([], Standing.WAITING),
    ],
)
def test_the_worst_rendition_says_where_a_recording_stands(states, expected):
    assert standing(State(state) for state in states) is expected


@given(st.lists(st.tuples(st.text("ab12", min_size=1, max_size=6), st.sampled_from(State)), unique_by=lambda item: item[0]))
def test_counts_add_up_to_what_was_listed_and_every_recording_that_is_not_verified_or_excluded_is_named(found):
    count = Count()
    for recording_id, state in found:
        count.add(recording_id, [("media", state, "why")])
    assert sum(count.by.values()) == len(found)
    assert len(count.gaps) == count.by[Standing.WAITING] + count.by[Standing.LOST]
    assert sum(count.excluded_because.values()) == count.by[Standing.EXCLUDED]
    assert ids_sha256(count.ids) == ids_sha256(sorted(recording_id for recording_id, _state in found))


def test_a_day_counts_as_covered_only_by_a_complete_pass_that_began_after_it_had_ended():
    period = Window(first=FIRST, last=FIRST + DAY)
    late = a_pass(FIRST, FIRST + DAY, after=timedelta(days=1))
    early = a_pass(FIRST, FIRST + DAY, after=timedelta(hours=12))
    assert attestation.uncovered(period, [late], ["ended"]) == []
    assert attestation.uncovered(period, [early], ["ended"]) == [FIRST + DAY]
    assert attestation.uncovered(period, [], ["ended"]) == [FIRST, FIRST + DAY]


def test_every_list_by_day_has_to_cover_a_day():
    period = Window(first=FIRST, last=FIRST)
    ended = a_pass(FIRST, FIRST, after=timedelta(days=2))
    assert attestation.uncovered(period, [ended], ["ended", "deleted"]) == [FIRST]
    deleted = a_pass(FIRST, FIRST, after=timedelta(days=2), listing="deleted")
    assert attestation.uncovered(period, [ended, deleted], ["ended", "deleted"]) == []


def test_the_days_of_a_period_are_those_it_touches():
    whole = attestation.days_of(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    assert (whole.first, whole.last) == (date(2026, 3, 1), date(2026, 3, 2))
    part = attestation.days_of(datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 3, 0, 0, 1, tzinfo=UTC))
    assert (part.first, part.last) == (date(2026, 3, 1), date(2026, 3, 3))


def a_statement(**changes):
    source = {"name": "rooms", "complete": True, "uncovered_days": [], "lost": 0, "waiting": 0, "gaps": []} | changes
    return {"schema": attestation.SCHEMA, "sources": [source]}


def test_a_clean_statement_finds_nothing_and_every_kind_of_gap_is_a_finding():
    assert attestation.findings(a_statement()) == []
    assert len(attestation.findings(a_statement(lost=2))) == 1
    assert len(attestation.findings(a_statement(waiting=1))) == 1
    assert "2026-03-01" in attestation.findings(a_statement(complete=False, uncovered_days=["2026-03-01"]))[0]


# -- keys and signatures


def test_a_key_lies_in_a_private_file_and_is_never_overwritten(tmp_path):
    path = tmp_path / "key"
    public = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_public_key(tmp_path / "key.pub") == public
    with pytest.raises(UsageError, match="exists already"):
        make_key(path)


@pytest.mark.parametrize("content", [None, b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_private_key_is_refused_with_its_path(tmp_path, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"attest\.key_file"):
        load_key(path)


def test_any_change_to_a_signed_statement_breaks_its_signature(tmp_path):
    make_key(tmp_path / "key")
    whole = signed(a_statement(listed=5), load_key(tmp_path / "key"))
    assert signature_problem(whole) is None
    text = json.dumps(whole)
    changed = text.replace('"listed": 5', '"listed": 6')
    assert changed != text
    assert "changed" in signature_problem(json.loads(changed))
    for name in ("signature", "public_key"):
        raw = bytearray(base64.b64decode(whole[name]))
        for position in range(len(raw)):
            flipped = bytes(byte ^ (position == index) for index, byte in enumerate(raw))
            assert signature_problem({**whole, name: base64.b64encode(flipped).decode()}) is not None
    assert signature_problem({**whole, "signature": ""}) == "it is not signed"


def test_a_statement_by_another_key_than_the_expected_one_is_refused(tmp_path):
    ours, theirs = make_key(tmp_path / "ours"), make_key(tmp_path / "theirs")
    whole = signed(a_statement(), load_key(tmp_path / "theirs"))
    assert signature_problem(whole, public_key=theirs) is None
    assert ours in signature_problem(whole, public_key=ours)
