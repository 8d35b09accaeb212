"""The contract of the Provider port, on every provider: media."""

from datetime import timedelta

import pytest

from archiver.domain import errors, integrity
from archiver.domain.ports import Resume
from archiver.simulator import actions, body_actions, page_actions
from tests.providers.simulated import truth
from tests.providers.stage import NOON

# Media.


async def test_the_bytes_are_those_of_the_provider_and_their_length_is_announced(on):
    recording = on.add()
    media, body = await on.download(recording)
    assert body == truth(recording, on.rendition)
    assert (media.offset, media.announced) == (0, len(body))
    assert media.validator
    assert integrity.implausible(body[:64], content_type=media.content_type, encrypted=media.encrypted) is None


async def test_a_link_just_listed_is_used_once_within_a_minute_and_asked_for_else(on_telnyx):
    recording = on_telnyx.add()
    await on_telnyx.walk()
    await on_telnyx.download(recording)
    assert [endpoint for endpoint, _ in on_telnyx.observed] == ["list"]
    await on_telnyx.download(recording)
    await on_telnyx.walk()
    await on_telnyx.clock.sleep(61)
    await on_telnyx.download(recording)
    assert [endpoint for endpoint, _ in on_telnyx.observed] == ["list", "recording", "list", "recording"]


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
    "early last chunk": actions.chunked,
    "until close": actions.until_close,
    "HTTP/1.0": lambda after: actions.until_close(after, version="1.0"),
}
LOUD = {
    "short": actions.cut,
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
    assert integrity.length_problem(
        received=len(body), announced=media.announced, listed=listed.size, head=body[:64], encrypted=False
    )


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


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/",
        "file:///etc/passwd",
        "//evil.example/x",
        "javascript:x",
        "http://127.0.0.1:1/x",
        "s3://b/k",
        "https://evil.example/x",
    ],
)
async def test_a_forged_link_is_refused(on, url):
    recording = on.add()
    on.fault(page_actions.links_to(url), on="any")
    with pytest.raises(errors.UrlRefused):
        await on.download(recording)
    assert on.media_requests() == []


async def test_what_is_still_processing_has_no_media_yet(on_video):
    recording = on_video.add(ended_at=NOON + timedelta(hours=1), started_at=NOON - timedelta(hours=1))
    with pytest.raises(errors.MediaUnavailable):
        await on_video.download(recording)


async def test_a_record_without_a_link_has_no_media_yet(on_telnyx):
    on_telnyx.fault(page_actions.with_fields(download_urls={}, download_url=""), on="record")
    with pytest.raises(errors.MediaUnavailable):
        await on_telnyx.download(on_telnyx.add())


async def test_a_rendition_nobody_has_is_unavailable(on):
    recording = on.add()
    with pytest.raises(errors.MediaUnavailable):
        await on.download(recording, rendition="flac")
