"""Raw JSON: what is kept can be stored anywhere, read back exactly, and opens nothing."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.providers.raw import TooDeep, cut_queries, escaped, rejected_text, storable, unescaped

anything = st.text(st.characters(), max_size=40) | st.text("\\u0041d8fFx\x00\ud800\udfff", max_size=40)


@given(anything)
def test_escaping_gives_back_every_text(text):
    assert unescaped(escaped(text)) == text


@given(anything)
def test_no_escaped_text_has_what_a_database_refuses(text):
    assert "\x00" not in escaped(text)
    escaped(text).encode("utf-8")


def test_a_text_that_looks_escaped_is_told_from_one_that_is():
    assert storable("\\u0000") != storable("\x00")
    assert unescaped(storable("\\u0000")) == "\\u0000"
    assert unescaped(storable("\x00")) == "\x00"


def test_an_ordinary_text_is_left_as_it_is():
    for text in ("", "Zoë", "DOMAIN\\user", "日本", "a\u202eb", "c:\\users", "\\"):
        assert escaped(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://h/p?a=b", "https://h/p"),
        ("https://h/p#f", "https://h/p"),
        ("HTTPS://H/P?X", "HTTPS://H/P"),
        ("https://h/p?a=b c=secret", "https://h/p"),
        ("  https://h/p?a=b", "  https://h/p"),
        ("//h/p?a=b", "//h/p"),
        ("s3://b/k?sig=1", "s3://b/k"),
        ("see https://h/p?a=b, or https://h/q#x now", "see https://h/p or https://h/q now"),
        ("h/p?X-Amz-Signature=1", "h/p"),
        ("/p?x=1&Signature=2", "/p?x=1"),
        ("why? because #1", "why? because #1"),
        ("https://h/p", "https://h/p"),
    ],
)
def test_the_query_is_cut_off_every_url(text, expected):
    assert cut_queries(text) == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | anything,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
        max_leaves=20,
    )
)
@settings(max_examples=200)
def test_whatever_json_holds_can_be_stored_as_utf8_json(value):
    text = json.dumps(storable(value), allow_nan=False, ensure_ascii=False)
    assert "\x00" not in json.loads(json.dumps(text))
    text.encode("utf-8")


def test_queries_are_cut_wherever_a_url_hides():
    value = {"a": [{"b": {"https://h/k?sig=1": "https://h/v?sig=2"}}]}
    assert storable(value) == {"a": [{"b": {"https://h/k": "https://h/v"}}]}


def test_nesting_without_end_is_refused_and_not_followed():
    value = []
    for _ in range(5_000):
        value = [value]
    with pytest.raises(TooDeep):
        storable(value)
    assert "deeper" in rejected_text(value)


def test_a_rejected_row_is_kept_to_64_kib():
    assert len(rejected_text({"id": "x" * 200_000})) == 64 * 1024


def test_a_hostile_text_costs_linear_time():
    import time

    began = time.process_time()
    for text in ("://" * 300_000 + "?", "a" * 1_000_000 + "?", "https://" + "?" * 1_000_000, "//" * 400_000 + " ?"):
        storable(text)
    assert time.process_time() - began < 2
