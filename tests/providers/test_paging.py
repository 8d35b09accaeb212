"""Walks over pages: what may be believed, in which order, and that every walk ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.domain.errors import ContractBroken
from archiver.domain.recording import Listed, Page, ProviderStatus
from archiver.providers import telnyx, telnyx_calls, telnyx_rooms, twilio, twilio_video
from archiver.providers.progress import MOST_PAGES, Progress
from tests.providers.stage import NOON, WINDOW, collected
from tests.providers.test_parsing import SAMPLES, read_call, read_room, read_track


def telnyx_page(rows=(), *, requested=1, **meta):
    given = {"page_number": requested, "page_size": 250, "total_pages": 1, "total_results": len(rows), **meta}
    return telnyx.parse_page(
        {"data": list(rows), "meta": {key: value for key, value in given.items() if value is not ...}},
        requested=requested,
        read=read_room,
    )


def row(number=0):
    return {"id": f"{number:08x}-0000-4000-8000-000000000000"}


@pytest.mark.parametrize(
    "payload",
    [
        None, [], "ok", 5, {}, {"data": []}, {"meta": {}}, {"data": {}, "meta": {"page_number": 1, "total_pages": 1, "total_results": 0}},
        {"data": None, "meta": {}}, {"data": [], "meta": []}, {"errors": [{"code": "10007", "title": "Unexpected error"}]},
    ],
)  # fmt: skip
def test_a_page_without_the_documented_shape_is_not_believed(payload):
    with pytest.raises(ContractBroken):
        telnyx.parse_page(payload, requested=1, read=read_room)
    with pytest.raises(ContractBroken):
        twilio.parse_page(payload, key="recordings", read=read_track)


@pytest.mark.parametrize("name", ["page_number", "total_pages", "total_results"])
@pytest.mark.parametrize("value", [..., None, "1", 1.0, -1, True, [], {}])
def test_a_count_that_is_no_whole_number_is_not_believed(name, value):
    with pytest.raises(ContractBroken):
        telnyx_page([row()], **{name: value})


def test_rows_on_a_list_of_no_pages_or_no_results_are_not_believed():
    for changes in ({"total_pages": 0}, {"total_results": 0}):
        with pytest.raises(ContractBroken, match="1 rows on a list of"):
            telnyx_page([row()], **changes)


def test_an_empty_list_is_one_page_and_the_last():
    page = telnyx_page(total_pages=0, total_results=0)
    assert (page.recordings, page.total, page.last) == ((), 0, True)


def test_a_number_that_is_not_the_one_asked_for_means_that_the_list_does_not_advance():
    with pytest.raises(ContractBroken, match="asked for page 2 of 5, got page 1"):
        telnyx_page([row()], requested=2, page_number=1, total_pages=5)


def test_beyond_a_list_that_shrank_any_number_may_stand():
    assert telnyx_page([], requested=4, page_number=3, total_pages=3).last


def test_a_page_smaller_than_asked_for_and_totals_that_do_not_fit_are_left_to_the_ids():
    page = telnyx_page([row()], page_size=20, total_pages=3, total_results=55)
    assert (page.total, page.pages, page.last) == (55, 3, False)


@pytest.mark.parametrize("following", [..., 0, 5, True, [], {}])
def test_whether_there_is_a_next_page_has_to_be_said(following):
    meta = {"next_page_url": following} if following is not ... else {}
    with pytest.raises(ContractBroken, match="next_page_url"):
        twilio.parse_page({"recordings": [], "meta": meta}, key="recordings", read=read_track)


def test_the_official_twilio_page_is_read():
    page = twilio.parse_page(SAMPLES["twilio_list"], key="recordings", read=read_track)
    assert (len(page.recordings), page.rejected, page.total, page.last) == (1, (), None, False)


# Order.


def fetching(pages, log):
    async def fetch(number):
        log.append(number)
        return Page(number=number, recordings=(), pages=pages, total=pages, last=number >= pages)

    return fetch


async def test_a_forward_walk_goes_from_the_first_page_to_the_last():
    log = []
    pages = await collected(telnyx.walk_forward(fetching(3, log)))
    assert log == [1, 2, 3]
    assert [page.last for page in pages] == [False, False, True]


async def test_a_backward_walk_goes_from_the_last_page_to_the_first():
    log = []
    pages = await collected(telnyx.walk_backward(fetching(3, log)))
    assert log == [1, 3, 2, 1]
    assert [page.last for page in pages] == [False, False, False, True]


async def test_a_backward_walk_over_one_page_or_none_is_one_request():
    for count in (0, 1):
        log = []
        assert [page.last for page in await collected(telnyx.walk_backward(fetching(count, log)))] == [True]
        assert log == [1]


@given(st.integers(1, 40), st.integers(1, 7), st.data())
@settings(max_examples=200)
def test_a_backward_walk_misses_nothing_that_was_there_all_the_time_when_rows_vanish(count, size, data):
    """What a forward walk cannot promise (F7): here one row may be deleted before every request."""
    rows = list(range(count))
    gone = set()

    async def fetch(number):
        pages = -(-len(rows) // size)
        page = rows[(number - 1) * size : number * size]
        listed = tuple(
            Listed(recording_id=str(each), status=ProviderStatus.COMPLETED, status_raw="", renditions=(), raw={}) for each in page
        )
        found = Page(number=number, recordings=listed, pages=pages, last=number >= pages)
        if rows and data.draw(st.booleans()):
            gone.add(rows.pop(data.draw(st.integers(0, len(rows) - 1))))
        return found

    async def walk():
        return {listed.recording_id async for page in telnyx.walk_backward(fetch) for listed in page.recordings}

    import asyncio

    walked = asyncio.run(walk())
    assert {str(each) for each in range(count) if each not in gone} <= walked


# Ends.


def page_of(*ids, last=False, rejected=()):
    listed = tuple(
        Listed(recording_id=each, status=ProviderStatus.COMPLETED, status_raw="", renditions=(), raw={}) for each in ids
    )
    return Page(number=1, recordings=listed, rejected=rejected, last=last)


def test_a_page_that_comes_again_ends_the_walk():
    progress = Progress("src")
    progress.check(page_of("a", "b"))
    with pytest.raises(ContractBroken, match="page 2 is page 1 again"):
        progress.check(page_of("a", "b"))


def test_one_row_may_come_again_because_another_was_inserted_before_it():
    progress = Progress("src")
    for _ in range(5):
        progress.check(page_of("a"))


def test_twenty_pages_without_anything_new_end_the_walk():
    for ids in ([], ["a"], ["a", "b"]):
        progress = Progress("src")
        pages = [page_of(*(ids if number % 2 else ids[::-1])) for number in range(100)]
        with pytest.raises(ContractBroken, match=r"brought nothing new|again"):
            for page in pages:
                progress.check(page)
        assert progress.pages <= 22


def test_a_walk_of_more_than_ten_thousand_pages_ends():
    progress = Progress("src")
    with pytest.raises(ContractBroken, match="more than 10000 pages"):
        for number in range(MOST_PAGES + 5):
            progress.check(page_of(str(number)))
    assert progress.pages == MOST_PAGES + 1


# Filters.


def test_telnyx_rooms_are_asked_for_whole_dates():
    assert telnyx_rooms.query(telnyx_rooms.ENDED, WINDOW) == [
        ("filter[date_ended_at][gte]", "2026-03-08"),
        ("filter[date_ended_at][lte]", "2026-03-11"),
    ]
    assert telnyx_rooms.query(telnyx_rooms.PROCESSING, None) == [("filter[status]", "processing")]


def test_telnyx_calls_are_asked_for_instants_of_their_end():
    assert telnyx_calls.query(telnyx_calls.ENDED, WINDOW) == [
        ("filter[end_time][gte]", "2026-03-08T00:00:00Z"),
        ("filter[end_time][lte]", "2026-03-12T00:00:00Z"),
    ]


def test_twilio_is_asked_for_a_day_more_because_it_filters_by_start():
    expected = [("DateCreatedAfter", "2026-03-07T00:00:00Z"), ("DateCreatedBefore", "2026-03-12T00:00:00Z"), ("PageSize", "100")]
    assert twilio_video.query(twilio_video.ENDED, WINDOW) == expected
    assert twilio_video.query(twilio_video.DELETED, WINDOW) == [("Status", "deleted"), *expected]


@pytest.mark.parametrize(
    ("module", "listing"),
    [(telnyx_rooms, telnyx_rooms.ENDED), (telnyx_calls, telnyx_calls.ENDED), (twilio_video, twilio_video.ENDED)],
)
def test_a_windowed_list_without_a_window_is_a_mistake(module, listing):
    with pytest.raises(ValueError, match="needs a window"):
        module.query(listing, None)


# Anything at all.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(
    {
        name
        for sample in ("telnyx_list", "twilio_list")
        for each in SAMPLES[sample].get("data", SAMPLES[sample].get("recordings"))
        for name in each
    }
    | {*SAMPLES["telnyx_call_recording"]["data"], "room_sid"}
)
IDS = st.sampled_from(["6b61621f-62e0-4aad-ab11-9fd19e272e73", "RT" + "a" * 32, "", None]) | json_values
rows = json_values | st.fixed_dictionaries(
    {"id": IDS, "sid": IDS}, optional={name: json_values | st.text() for name in FIELDS if name not in {"id", "sid"}}
)
meta = json_values | st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("page_number", "page_size", "total_pages", "total_results", "page", "next_page_url"), st.integers(-1, 3) | json_values
    ),
)
payloads = json_values | st.fixed_dictionaries(
    {"data": st.lists(rows, max_size=4) | json_values, "recordings": st.lists(rows, max_size=4) | json_values, "meta": meta}
)


@given(payloads, st.integers(1, 3))
@settings(max_examples=400, deadline=None)
def test_any_json_is_a_page_or_breaks_the_contract(payload, requested):
    import json

    def parsers():
        yield lambda: telnyx.parse_page(payload, requested=requested, read=read_room)
        yield lambda: telnyx.parse_page(payload, requested=requested, read=read_call)
        yield lambda: twilio.parse_page(payload, key="recordings", read=read_track)

    for parse in parsers():
        try:
            page = parse()
        except ContractBroken:
            continue
        for listed in page.recordings:
            assert listed.renditions
            for instant in (listed.started_at, listed.ended_at):
                assert instant is None or (instant.utcoffset().total_seconds() == 0 and instant.year <= NOON.year + 1)
            assert listed.duration is None or listed.duration >= 0
            assert listed.size is None or 0 < listed.size < 2**63
            json.dumps(listed.raw, allow_nan=False, ensure_ascii=False).encode()
            repr((listed.codec, listed.room_id, listed.participant_name, listed.flags)).encode()
        assert all(len(each.raw) <= 64 * 1024 for each in page.rejected)
