"""The contract of the Provider port, on every provider (style: one contract, all backends)."""

import dataclasses
from datetime import timedelta

import pytest

from archiver.domain import errors, integrity
from archiver.domain.ports import Resume
from archiver.domain.recording import ProviderStatus, RecordingRef
from archiver.domain.windows import Window
from archiver.providers.settings import Credentials
from archiver.simulator import actions, body_actions, page_actions
from tests.providers.simulated import KINDS, simulated, truth
from tests.providers.stage import NOON
from tests.simulator.stage import ROOM_ID, ROOM_SID


@pytest.fixture(params=KINDS)
async def on(request):
    async with simulated(request.param) as stage:
        yield stage


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


async def test_what_is_still_processing_is_found_by_a_poll(on):
    if on.kind == "telnyx-calls":
        return  # Telnyx lists only completed calls
    recording = on.add(ended_at=NOON + timedelta(hours=1), started_at=NOON - timedelta(hours=1))
    found = [listed for name in (each.name for each in on.provider.listings) for page in await on.walk(name) for listed in page.recordings]
    assert [(listed.recording_id, listed.status, listed.ended_at) for listed in found] == [(recording.id, ProviderStatus.PROCESSING, None)]


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


async def test_rows_on_a_list_of_no_pages_are_not_believed(on):
    if on.kind == "twilio-video":
        return  # it names no totals
    on.add()
    on.fault(page_actions.wrong_totals(pages=0))
    with pytest.raises(errors.ContractBroken):
        await on.walk()


async def test_totals_that_do_not_fit_are_told_and_left_to_the_caller(on):
    if on.kind == "twilio-video":
        return
    on.add()
    on.fault(page_actions.wrong_totals(results=7))
    assert [page.total for page in await on.walk()] == [7]


async def test_a_next_page_elsewhere_is_never_asked_for(on):
    if on.kind != "twilio-video":
        return  # pages have numbers there
    on.add()
    on.fault(page_actions.next_page_at(on.simulation.media_url))
    with pytest.raises(errors.ContractBroken, match="next page"):
        await on.walk()
    assert on.media_requests() == []


async def test_a_walk_that_is_left_early_leaves_nothing_open(on):
    for number in range(1, 300):
        on.add(number)
    pages = on.provider.pages(on.provider.listings[0], Window(first=NOON.date() - timedelta(days=1), last=NOON.date()))
    async for _ in pages:
        break
    await pages.aclose()


# One recording.


async def test_the_record_of_one_is_what_the_list_says(on):
    recording = on.add()
    listed = (await on.walk())[0].recordings[0]
    found = await on.provider.get(on.ref(recording))
    assert dataclasses.replace(found, raw={}) == dataclasses.replace(listed, raw={})


async def test_a_recording_that_is_not_there_is_gone(on):
    missing = RecordingRef(source="src", recording_id=on.new_id(99))
    for ask in (on.provider.get(missing), on.download(dataclasses.replace(on.add(1), id=missing.recording_id))):
        with pytest.raises(errors.RecordingGone):
            await ask


@pytest.mark.parametrize("how", ["truncated", "null", "array", "string", "duplicate keys"])
async def test_a_garbled_record_is_not_believed(on, how):
    recording = on.add()
    if on.kind == "twilio-video" and how == "duplicate keys":
        return  # the duplicate is a key that a single record does not have
    on.fault(page_actions.garbled(how), on="record")
    with pytest.raises(errors.ContractBroken):
        await on.provider.get(on.ref(recording))


async def test_the_record_of_another_recording_is_not_believed(on):
    recording = on.add(1)
    on.fault(page_actions.with_fields(id=on.new_id(2), sid=on.new_id(2)), on="record")
    with pytest.raises(errors.ContractBroken, match=on.new_id(1)):
        await on.provider.get(on.ref(recording))


async def test_a_room_is_found_with_its_name_and_settings(on):
    if on.kind == "telnyx-calls":
        assert await on.provider.room(ROOM_ID) is None
        return
    room_id, name = (ROOM_SID, "Meeting") if on.kind == "twilio-video" else (ROOM_ID, "My Room")
    room = await on.provider.room(room_id)
    assert (room.room_id, room.name) == (room_id, name)
    assert room.raw["max_participants"]


@pytest.mark.parametrize("room_id", ["", "x", "../x", "RM" + "0" * 32, "00000000-0000-4000-8000-000000000000"])
async def test_a_room_that_is_not_there_is_none(on, room_id):
    assert await on.provider.room(room_id) is None


# Media.


async def test_the_bytes_are_those_of_the_provider_and_their_length_is_announced(on):
    recording = on.add()
    media, body = await on.download(recording)
    assert body == truth(recording, on.rendition)
    assert (media.offset, media.announced) == (0, len(body))
    assert media.validator
    assert integrity.implausible(body[:64], content_type=media.content_type, encrypted=media.encrypted) is None


async def test_a_link_just_listed_is_used_once_within_a_minute_and_asked_for_else(on):
    if on.kind == "twilio-video":
        return  # its list has no links
    recording = on.add()
    await on.walk()
    await on.download(recording)
    assert [endpoint for endpoint, _ in on.observed] == ["list"]
    await on.download(recording)
    await on.walk()
    await on.clock.sleep(61)
    await on.download(recording)
    assert [endpoint for endpoint, _ in on.observed] == ["list", "recording", "list", "recording"]


async def test_credentials_never_reach_the_media_host(on):
    await on.download(on.add())
    assert on.media_requests()
    assert not any(line.authorized or "cookie" in line.header_names for line in on.media_requests())
    assert all(line.authorized for line in on.simulation.audit if line.host != "media")


async def test_a_link_that_expired_is_asked_for_anew_once(on):
    recording = on.add()
    on.fault(actions.status(403), on="media", times=1)
    _, body = await on.download(recording)
    assert body == truth(recording, on.rendition)
    on.fault(actions.status(403), on="media")
    with pytest.raises(errors.LinkExpired):
        await on.download(recording)
    assert len(on.media_requests()) == 4


async def test_a_download_goes_on_where_it_was_cut(on):
    recording = on.add()
    media, body = await on.download(recording)
    resumed, rest = await on.download(recording, resume=Resume(offset=1_000, validator=media.validator))
    assert (resumed.offset, resumed.announced, resumed.validator) == (1_000, len(body), media.validator)
    assert body[:1_000] + rest == body


@pytest.mark.parametrize(
    "fault", [body_actions.range_ignored(), body_actions.wrong_range(), body_actions.wrong_range(-1), body_actions.other_bytes(), body_actions.new_etag()],
    ids=["range ignored", "wrong range", "wrong range back", "other bytes", "new etag"],
)  # fmt: skip
async def test_a_resume_that_is_not_honoured_starts_the_file_anew_and_says_so(on, fault):
    recording = on.add()
    media, _ = await on.download(recording)
    on.fault(fault, on="media")
    resumed, body = await on.download(recording, resume=Resume(offset=1_000, validator=media.validator))
    assert resumed.offset == 0
    assert len(body) == resumed.announced


CUTS = {"at once": 0, "one byte": 1, "half": 0.5, "all but one": -1}
SILENT = {
    "early last chunk": lambda after: actions.chunked(after),
    "until close": lambda after: actions.until_close(after),
    "HTTP/1.0": lambda after: actions.until_close(after, version="1.0"),
}
LOUD = {
    "short": lambda after: actions.cut(after),
    "reset": lambda after: actions.cut(after, ending="rst"),
    "no last chunk": lambda after: actions.chunked(after, terminated=False),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("how", LOUD)
async def test_a_body_that_is_cut_loudly_is_an_error(on, how, cut):
    recording = on.add()
    on.fault(LOUD[how](CUTS[cut]), on="media")
    with pytest.raises((errors.MediaIncomplete, errors.ProviderUnavailable)):
        await on.download(recording)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("how", SILENT)
async def test_a_body_that_is_cut_silently_has_no_evidence_of_its_length(on, how, cut):
    """F1: what aiohttp reports no error for. Twilio's list has the size besides, so there the pipeline sees it by that too."""
    recording = on.add()
    on.fault(SILENT[how](CUTS[cut]), on="media")
    listed = await on.provider.get(on.ref(recording))
    media, body = await on.download(recording)
    assert media.announced is None
    assert len(body) < recording.media[on.rendition].size
    assert integrity.length_problem(received=len(body), announced=media.announced, listed=listed.size, head=body[:64], encrypted=False)


@pytest.mark.parametrize("kind", ["html", "json", "xml", "empty", "noise"])
async def test_something_else_in_place_of_media_is_seen_by_the_pipeline(on, kind):
    """An answer of 200 is a body; the first bytes and the type say what it is not."""
    recording = on.add()
    on.fault(body_actions.instead(kind), on="media")
    media, body = await on.download(recording)
    assert integrity.implausible(body[:64], content_type=media.content_type, encrypted=media.encrypted)


@pytest.mark.parametrize("how", ["valid", "truncated", "bomb"])
async def test_an_encoded_body_is_refused(on, how):
    recording = on.add()
    on.fault(body_actions.gzipped(how, bomb_size=2**22), on="media")
    with pytest.raises(errors.MediaImplausible, match="encoding"):
        await on.download(recording)


@pytest.mark.parametrize(("fault", "error"), [
    (actions.status(204), errors.MediaImplausible), (actions.status(304), errors.MediaImplausible), (body_actions.partial(), errors.MediaImplausible),
    (actions.status(404), errors.MediaUnavailable), (actions.status(500), errors.ProviderUnavailable), (actions.status(503), errors.ProviderUnavailable),
    (actions.no_answer(), errors.ProviderUnavailable), (actions.redirect("http://169.254.169.254/latest/"), errors.UrlRefused),
    (actions.redirect("file:///etc/passwd"), errors.UrlRefused), (actions.announced(5), errors.MediaIncomplete),
    (actions.head_lines("Content-Length: 5", "Content-Length: 6"), errors.ProviderUnavailable), (actions.head_lines("Content-Length: -5"), errors.ProviderUnavailable),
    (actions.head_lines("Content-Length: 5", "Transfer-Encoding: chunked"), errors.ProviderUnavailable),
], ids=["204", "304", "206", "404", "500", "503", "no answer", "metadata", "file", "longer", "two lengths", "negative", "length and chunks"])  # fmt: skip
async def test_a_media_host_that_misbehaves_has_its_error(on, fault, error):
    recording = on.add()
    on.fault(fault, on="media")
    with pytest.raises(error):
        await on.download(recording)


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/", "file:///etc/passwd", "//evil.example/x", "javascript:x", "http://127.0.0.1:1/x", "s3://b/k", "https://evil.example/x"])
async def test_a_forged_link_is_refused(on, url):
    recording = on.add()
    on.fault(page_actions.links_to(url), on="any")
    with pytest.raises(errors.UrlRefused):
        await on.download(recording)
    assert on.media_requests() == []


async def test_what_has_no_media_yet_is_unavailable(on):
    if on.kind == "telnyx-calls":
        on.fault(page_actions.with_fields(download_urls={}), on="record")
        recording = on.add()
    else:
        recording = on.add(ended_at=NOON + timedelta(hours=1), started_at=NOON - timedelta(hours=1))
    with pytest.raises(errors.MediaUnavailable):
        await on.download(recording)


async def test_a_rendition_nobody_has_is_unavailable(on):
    recording = on.add()
    with pytest.raises(errors.MediaUnavailable):
        await on.download(recording, rendition="flac")


# Deletion.


async def test_exactly_the_one_recording_is_deleted(on):
    doomed, kept = on.add(1), on.add(2)
    await on.provider.delete(on.ref(doomed))
    assert on.world.deletions == [doomed.id]
    assert on.world.bulk_deletions == []
    assert await on.ids() == [kept.id]


async def test_to_delete_what_is_gone_is_a_success(on):
    recording = on.add()
    for _ in range(3):
        await on.provider.delete(on.ref(recording))
    await on.provider.delete(RecordingRef(source="src", recording_id=on.new_id(77)))


async def test_a_deletion_whose_answer_is_lost_is_unavailable_and_not_repeated(on):
    recording = on.add()
    on.fault(actions.no_answer(), on="record", method="DELETE")
    with pytest.raises(errors.ProviderUnavailable):
        await on.provider.delete(on.ref(recording))
    assert on.world.deletions == [recording.id]


ODD_IDS = (
    "", " ", ".", "..", "/", "//", "*", "?", "?filter[status]=completed", "#", "%", "%20", "%2e%2e", "../room_recordings", "actions/delete", "x", "null", "a?b", "a#b", "a/b",
    "a\n", "\x00", "RT", "RT*", "ü", "6b61621f-62e0-4aad-ab11-9fd19e272e7", "6b61621f-62e0-4aad-ab11-9fd19e272e73/", "6b61621f-62e0-4aad-ab11-9fd19e272e73?x=1", "x" * 100,
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_no_id_whatever_deletes_more_than_one_recording(on, odd):
    on.add(1)
    odd_ref = RecordingRef(source="src", recording_id=odd)
    for ask in (on.provider.delete, on.provider.get):
        try:
            await ask(odd_ref)
        except (errors.UrlRefused, errors.RecordingGone):
            pass
        else:
            assert on.kind == "telnyx-calls"
            assert odd.replace("-", "").isalnum()
    assert on.world.deletions == on.world.bulk_deletions == []
    assert not on.simulation.requests(method="DELETE", path=r"ecordings/?$")


# The whole source.


async def test_refused_credentials_are_named_as_such(on):
    on.add()
    on.simulation.world.credentials = dataclasses.replace(on.simulation.credentials, api_key="other", api_key_secret="other")
    for ask in (on.walk(), on.provider.get(on.ref(on.add())), on.provider.check(), on.download(on.add()), on.provider.delete(on.ref(on.add()))):
        with pytest.raises(errors.CredentialsRefused):
            await ask


async def test_the_cheapest_question_is_answered_in_one_line(on):
    line = await on.provider.check()
    assert line.startswith("src: http://127.0.0.1:")
    assert "\n" not in line
    assert len(on.observed) == 1


@pytest.mark.parametrize("code", [500, 502, 503])
async def test_a_burst_of_errors_is_ridden_out(on, code):
    recording = on.add()
    on.fault(actions.status(code), on="any", times=2)
    assert await on.ids() == [recording.id]


async def test_a_wait_that_is_asked_for_is_kept_by_the_whole_source(on):
    on.add()
    on.fault(actions.status(429, retry_after="100"), on="any", times=1)
    with pytest.raises(errors.RateLimited) as refused:
        await on.walk()
    assert refused.value.wait == 100
    with pytest.raises(errors.RateLimited):
        await on.provider.check()
    assert len(on.observed) == 1
    await on.clock.sleep(101)
    await on.provider.check()


async def test_a_closed_provider_can_be_closed_again(on):
    await on.provider.check()
    await on.provider.aclose()
    await on.provider.aclose()


async def test_the_other_way_to_sign_in_to_twilio_works():
    async with simulated("twilio-video") as stage:
        token = stage.simulation.credentials
        async with simulated("twilio-video", credentials=Credentials(account_sid=token.account_sid, password=token.auth_token)) as other:
            assert "answers" in await other.provider.check()
