"""Our quick way to canonical JSON writes the bytes of the slow one, for everything that a history can hold."""

import json
from enum import StrEnum

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.pipeline import canonical as module
from archiver.pipeline.canonical import canonical

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SAFE = 2**53 - 1
EXACT = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(-SAFE, SAFE) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner),
)


@settings(max_examples=50)
@given(EXACT)
def test_what_json_carries_exactly_is_written_as_rfc_8785_says(value):
    assert canonical(value) == rfc8785.dumps(value)


@settings(max_examples=50)
@given(ANYTHING)
def test_everything_has_a_canonical_form_that_reads_back_to_itself(value):
    body = canonical(value)
    assert canonical(json.loads(body)) == body
    assert b"\n" not in body


def test_fields_are_sorted_as_utf_16_sorts_them():
    assert canonical({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()


def test_words_of_ours_take_the_quick_way(monkeypatch):
    class Word(StrEnum):
        ENDED = "ended"

    monkeypatch.delattr(module.rfc8785, "dumps")  # the slow way, a millisecond a recording
    assert canonical({"status": Word.ENDED, "all": [Word.ENDED]}) == b'{"all":["ended"],"status":"ended"}'
