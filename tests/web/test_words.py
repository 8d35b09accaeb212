"""What pages are written with: the headline, bars, measures, and strangers' texts made visible."""

import itertools
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain.recording import State
from archiver.web import measures, states, visible
from archiver.web.attention import attention
from archiver.web.headline import NARROW, headline, segments
from archiver.web.states import Tone

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
COUNTS = st.dictionaries(st.sampled_from([state.value for state in State]), st.integers(0, 10**9))


def said(counts, *, several=False, ready=True):
    found = headline(counts, several=several, ready=ready)
    return found.spoken, found.tone


@pytest.mark.parametrize(
    ("counts", "sentence", "tone"),
    [
        ({}, "No recordings yet", Tone.CALM),
        ({"verified": 1}, "The only recording is archived and verified", Tone.GOOD),
        ({"verified": 1234, "lost": 0}, "All 1,234 recordings archived and verified", Tone.GOOD),
        ({"verified": 412, "waiting": 4, "lost": 2}, "412 of 418 recordings archived and verified; 2 lost, 4 waiting", Tone.BAD),
        ({"verified": 5, "waiting": 4, "due": 2}, "5 of 11 recordings archived and verified; 6 on their way", Tone.BUSY),
        ({"verified": 5, "stored": 1}, "5 of 6 recordings archived and verified; 1 stored, not yet verified", Tone.BUSY),
        ({"verified": 5, "expired": 3}, "5 of 8 recordings archived and verified; 3 expired by policy", Tone.GOOD),
        (
            {"verified": 5, "expired": 3, "external": 1},
            "5 of 9 recordings archived and verified; 4 in your own bucket or expired by policy",
            Tone.GOOD,
        ),
        ({"due": 1}, "0 of 1 recording archived and verified; 1 due", Tone.BUSY),
        ({"verified": 1, "frozen": 1}, "1 of 2 recordings archived and verified; 1 frozen", Tone.BAD),
    ],
)
def test_the_headline_says_whether_everything_is_archived(counts, sentence, tone):
    assert said(counts) == (sentence, tone)


def test_the_headline_is_alarmed_when_the_program_is_not_ready():
    assert said({"verified": 3}, ready=False)[1] is Tone.BAD
    assert said({}, ready=False)[1] is Tone.BAD


@given(COUNTS)
def test_the_numbers_of_the_headline_add_up(counts):
    found = headline(counts, several=False, ready=True)
    assert counts.get("verified", 0) + sum(part.count for part in found.rest) == sum(counts.values())


@given(COUNTS)
def test_a_bar_is_full_and_shows_every_state_that_has_any(counts):
    bar = segments(counts, least=NARROW)
    present = {state: count for state, count in counts.items() if count}
    assert {item.state: item.count for item in bar} == present
    if present:
        assert sum(item.width for item in bar) == pytest.approx(100, abs=0.01)
        assert all(item.width >= 1 for item in bar)
        assert all(a.start + a.width == pytest.approx(b.start, abs=0.001) for a, b in itertools.pairwise(bar))


def test_every_state_has_its_words():
    assert set(states.WORDS) == set(State)
    assert states.word("frozen").tone is Tone.BAD


def test_a_stalled_source_is_told_once_by_whoever_knows_more():
    status = {"problems": ["a: no complete pass since 10:00", "a: 2 lost"]}
    live = ["a: no complete pass for 700 s", "b: no complete pass for 700 s", "the store: denied"]
    told = ["b: no complete pass for 700 s", "the store: denied", "a: no complete pass since 10:00", "a: 2 lost"]
    assert attention(status, live) == told


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7265, "2 h 1 min"),
        (86400, "1 day"),
        (86400 + 5, "1 day"),
        (2 * 86400 + 3600, "2 days 1 h"),
        (400 * 86400, "400 days"),
        (10**9, "11,574 days 1 h"),
    ],
)
def test_durations_have_two_units(seconds, shown):
    assert measures.duration(seconds) == shown


def test_instants_are_told_from_now():
    assert measures.ago(NOW - timedelta(seconds=90), NOW) == "1 min 30 s ago"
    assert measures.ago(NOW + timedelta(minutes=5), NOW) == "in 5 min"
    assert measures.ago(NOW, NOW) == "just now"


def test_instants_of_every_year_can_be_shown():
    for year in (1, 999, 2026, 9999):
        moment = datetime(year, 3, 2, 1, 2, 3, 4, tzinfo=UTC)
        assert measures.instant(moment) == f"2 Mar {year}, 01:02 UTC"
        assert measures.second(moment) == f"{year:04}-03-02 01:02:03"
        assert measures.parsed(measures.exact(moment)) == moment
        assert measures.ago(moment, NOW)
    assert measures.day(datetime(2026, 3, 2, tzinfo=UTC)) == "2 Mar 2026"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (20 * 1024**2, "20.0 MiB"),
        (2**63, "8,388,608.0 TiB"),
        (-1, "-1 bytes"),
    ],
)
def test_sizes_have_binary_units(count, shown):
    assert measures.size(count) == shown


def test_lengths_look_as_in_players():
    assert [measures.length(s) for s in (0, 59, 61, 3599, 3600, 360_000)] == [
        "0:00",
        "0:59",
        "1:01",
        "59:59",
        "1:00:00",
        "100:00:00",
    ]


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_share_is_all_or_nothing_only_when_it_is(part, whole):
    shown = measures.share(min(part, whole), whole)
    assert (shown == "100 %") == (part >= whole)
    assert shown != "0 %"


@given(st.text(st.characters(), max_size=300))
def test_what_is_shown_of_a_strangers_text_can_be_seen(text):
    for shown in (visible.line(text), visible.block(text)):
        for char in shown:
            assert char in "\n\u200c\u200d" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        shown.encode()
    assert "\n" not in visible.line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Ü 会議 👩‍👩‍👧", "plain Ü 会議 👩‍👩‍👧"),
        ("a\r\nb\tc\x1b[31m", "a␍␊b␉c␛[31m"),
        ("evil\u202egnp.exe", "evil⟨U+202E⟩gnp.exe"),
        ("\u2028\ufeff\x7f\ud800\x85\U000e0041", "⟨U+2028⟩⟨U+FEFF⟩␡⟨U+D800⟩⟨U+0085⟩⟨U+E0041⟩"),
        (" \u00a0\u3000", "␠⟨U+00A0⟩⟨U+3000⟩"),
        ("", ""),
        ("x" * 10_000, "x" * 200 + "… (10,000 characters)"),
    ],
)
def test_controls_and_directions_are_spelled_out(text, shown):
    assert visible.line(text) == shown
