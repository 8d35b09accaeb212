"""The contract of the Provider port, on every provider: lists."""

from datetime import timedelta

import pytest

from archiver.domain import errors
from archiver.domain.recording import ProviderStatus
from archiver.domain.windows import Window
from archiver.simulator import page_actions
from tests.providers.stage import NOON

# Lists.


async def test_every_recording_of_the_window_is_listed_once(on):
    made = [on.add(number, ended_at=NOON - timedelta(hours=number % 40, minutes=1)) for number in range(1, 600)]
    for backward in (False, True):
        pages = await on.walk(backward=backward)
        assert {listed.recording_id for page in pages for listed in page.recordings} == {each.id for each in made}
        assert [page.number for page in pages] == list(range(1, len(pages) + 1))
        assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
        assert all(page.total in {None, 599} and not page.rejected for page in pages)


async def test_an_empty_window_is_one_empty_page(on):
    for listing in on.provider.listings:
        pages = await on.walk(listing.name)
        assert [(page.recordings, page.total or 0, page.last) for page in pages] == [((), 0, True)]


async def test_what_ended_in_the_window_is_listed_however_long_before_it_began(on):
    recording = on.add(started_at=NOON - timedelta(hours=20), ended_at=NOON - timedelta(minutes=5))
    day = Window(first=NOON.date(), last=NOON.date())
    pages = [page async for page in on.provider.pages(on.provider.listings[0], day)]
    assert [listed.recording_id for page in pages for listed in page.recordings] == [recording.id]


async def test_a_listed_recording_says_what_is_known_of_it(on):
    recording = on.add()
    listed = (await on.walk())[0].recordings[0]
    assert (listed.status, listed.status_raw) == (ProviderStatus.COMPLETED, "completed")
    assert listed.renditions == (on.rendition,)
    assert listed.started_at == recording.started_at.replace(microsecond=0)
    assert listed.ended_at == recording.ended_at
    assert listed.duration == 3660
    assert listed.participant_id == recording.participant_id
    assert listed.size == (recording.media["media"].size if on.kind == "twilio-video" else None)
    assert listed.flags == ()


async def test_what_is_still_processing_is_found_by_a_poll(on_video):
    recording = on_video.add(ended_at=NOON + timedelta(hours=1), started_at=NOON - timedelta(hours=1))
    found = [
        listed
        for name in (each.name for each in on_video.provider.listings)
        for page in await on_video.walk(name)
        for listed in page.recordings
    ]
    assert [(listed.recording_id, listed.status, listed.ended_at) for listed in found] == [
        (recording.id, ProviderStatus.PROCESSING, None)
    ]


async def test_a_list_is_walked_with_few_requests(on):
    for number in range(1, 100):
        on.add(number)
    await on.walk()
    assert on.observed == [("list", "200")]


async def test_every_word_and_field_that_nobody_documents_is_kept(on):
    recording = on.add(status="archiving", extra={"brand_new": [1]})
    listed = (await on.walk())[0].recordings[0]
    assert (listed.recording_id, listed.status, listed.status_raw) == (recording.id, ProviderStatus.UNKNOWN, "archiving")
    assert listed.raw["brand_new"] == [1]


async def test_null_and_absent_fields_are_the_same(on):
    on.simulation.behaviour.omit_nulls = True
    on.add(ended_at=NOON + timedelta(hours=1), started_at=NOON - timedelta(hours=1))
    on.add(2)
    for listing in on.provider.listings:
        for page in await on.walk(listing.name):
            assert page.rejected == ()


async def test_bad_rows_are_kept_aside_and_the_others_survive(on):
    good, _ = on.add(1), on.add(2, extra={"id": "../x", "sid": "../x"})
    page = (await on.walk())[0]
    assert [listed.recording_id for listed in page.recordings] == [good.id]
    assert len(page.rejected) == 1
    assert "../x" in page.rejected[0].raw


async def test_an_id_in_another_case_is_no_other_recording(on):
    made = [on.add(0xABCDEF00 + number) for number in range(3)]
    on.fault(page_actions.doubled())
    assert sorted(await on.ids()) == sorted(each.id for each in made)


# Lists that lie.

BROKEN = (
    "truncated", "not json", "empty", "utf-16", "nan", "huge", "deep", "duplicate keys", "null", "array", "string", "no list",
    "object for list", "no meta", "strings for integers",
)  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
async def test_a_garbled_page_is_not_believed(on, how):
    on.add()
    on.fault(page_actions.garbled(how))
    with pytest.raises(errors.ContractBroken):
        await on.walk()


@pytest.mark.parametrize("how", ["byte order mark", "lone surrogate", "nul", "big integers"])
async def test_a_page_with_odd_characters_and_numbers_is_read(on, how):
    recording = on.add()
    on.fault(page_actions.garbled(how))
    page = (await on.walk())[0]
    assert [listed.recording_id for listed in page.recordings] == [recording.id]
    text = repr(page.recordings[0].raw)
    text.encode()
    assert "\x00" not in text


@pytest.mark.parametrize("fault", [page_actions.endless(), page_actions.stuck()], ids=["endless", "stuck"])
@pytest.mark.parametrize("count", [1, 2, 300])
async def test_a_list_that_never_ends_is_given_up_after_few_requests(on, fault, count):
    for number in range(1, count + 1):
        on.add(number)
    on.fault(fault)
    with pytest.raises(errors.ContractBroken):
        await on.walk()
    assert len(on.observed) <= 25


async def test_rows_on_a_list_of_no_pages_are_not_believed(on_telnyx):
    on_telnyx.add()
    on_telnyx.fault(page_actions.wrong_totals(pages=0))
    with pytest.raises(errors.ContractBroken):
        await on_telnyx.walk()


async def test_totals_that_do_not_fit_are_told_and_left_to_the_caller(on_telnyx):
    on_telnyx.add()
    on_telnyx.fault(page_actions.wrong_totals(results=7))
    assert [page.total for page in await on_telnyx.walk()] == [7]


async def test_a_next_page_elsewhere_is_never_asked_for(on_twilio):
    on_twilio.add()
    on_twilio.fault(page_actions.next_page_at(on_twilio.simulation.media_url))
    with pytest.raises(errors.ContractBroken, match="next page"):
        await on_twilio.walk()
    assert on_twilio.media_requests() == []


async def test_a_walk_that_is_left_early_leaves_nothing_open(on):
    for number in range(1, 300):
        on.add(number)
    pages = on.provider.pages(on.provider.listings[0], Window(first=NOON.date() - timedelta(days=1), last=NOON.date()))
    async for _ in pages:
        break
    await pages.aclose()
