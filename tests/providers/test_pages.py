"""A page that did not change is not read again, and nothing else is taken for one."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archiver.domain.recording import Listed, Page, ProviderStatus, Rejected
from archiver.providers.bodies import NotJson
from archiver.providers.pages import MOST_PAGES, Kept, Pages, unsigned

ASKED = (("page[number]", "1"),)
LINK = "https://s3.amazonaws.com/b/r1.webm?X-Amz-Date=20260101T000000Z&X-Amz-Signature=aa"


def listed(**facts):
    given = {
        "recording_id": "r1",
        "status": ProviderStatus.COMPLETED,
        "status_raw": "completed",
        "renditions": ("media",),
        "raw": {},
    }
    return Listed(**(given | facts))


def page(*recordings, **facts):
    return Page(number=1, recordings=recordings or (listed(),), **facts)


def body(**row):
    return json.dumps({"data": [{"id": "r1", "name": "x", "download_url": LINK} | row]}).encode()


def remembered(first, *, asked=ASKED, kept=None):
    pages = Pages()
    reading = pages.reading(asked)
    assert reading(first) == json.loads(first)
    pages.keep(reading, kept or Kept(page()))
    return pages


@pytest.mark.parametrize("second", [body(), body(download_url=LINK.replace("=aa", "=bb")), body(download_url=LINK + "&x=1")])
def test_a_page_whose_links_alone_are_signed_anew_is_the_same_page(second):
    pages = remembered(body())
    assert pages.reading(ASKED)(second) == Kept(page())


@given(st.lists(st.sampled_from(['"', "?", "\\", "https://a", "http://b/c", "&x=1", ", ", "secret"]), max_size=12).map("".join))
@example('{"note": "see \\"https://x?kept\\" there", "url": "https://a/b?gone"}')
@example('"https://a?b?c"')
@example('"https://a?no end')
def test_links_lose_what_is_signed_and_nothing_else_is_lost(text):
    """The same as a regular expression says, which takes six times as long; a link with two question marks is left alone."""
    body = b'"' + text.encode()  # in JSON a question mark stands behind some quotation mark
    assert unsigned(body) == re.sub(rb'"(https?://[^"?\\]*)\?[^"?\\]*"', rb'"\1"', body)


@pytest.mark.parametrize(
    "second",
    [
        body(name="y"),
        body(name="x?y"),
        body(download_url=LINK.replace("r1", "r2")),
        body(download_url=LINK.partition("?")[0] + "x?"),
        body(download_url=None),
        body() + b" ",
    ],
)
def test_a_page_on_which_anything_else_changed_is_read(second):
    pages = remembered(body())
    assert pages.reading(ASKED)(second) == json.loads(second)


def test_a_text_with_a_question_mark_is_no_link():
    pages = remembered(body(name="why? because"))
    assert not isinstance(pages.reading(ASKED)(body(name="why? never mind")), Kept)


def test_what_was_asked_otherwise_is_another_page():
    pages = remembered(body())
    assert not isinstance(pages.reading((("page[number]", "2"),))(body()), Kept)


@pytest.mark.parametrize(
    "odd", [page(listed(flags=("started_at lies in the future",))), page(rejected=(Rejected(reason="no id", raw="{}"),))]
)
def test_a_page_with_something_odd_on_it_is_read_every_time(odd):
    pages = remembered(body(), kept=Kept(odd))
    assert pages.reading(ASKED)(body()) == json.loads(body())


def test_no_more_than_a_few_pages_are_kept_those_asked_for_last():
    pages = Pages()
    for number in range(MOST_PAGES + 1):
        reading = pages.reading(number)
        reading(body())
        pages.keep(reading, Kept(page()))
        pages.reading(0)
    assert isinstance(pages.reading(0)(body()), Kept)
    assert not isinstance(pages.reading(1)(body()), Kept)


def test_what_is_no_json_is_said_to_be_none():
    assert isinstance(Pages().reading(ASKED)(b"<html>"), NotJson)
