"""The laws of a transfer: what is stored is what was sent, whole or not at all, under a key that nobody loses."""

import hashlib
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import superseded
from archiver.domain.errors import ObjectExists
from archiver.domain.lifecycle import Event
from archiver.domain.ports import Lock
from archiver.domain.recording import State
from tests.pipeline.clock import NOON
from tests.pipeline.fake_provider import media_bytes, recording
from tests.pipeline.stage import VERSION

PART = 1000  # bytes, see MemoryStore
KEY = "rooms/2026/03/10/r1/media.ogg"
OTHER = media_bytes(700, "other")
DECRYPTION = {"x-amz-meta-x-amz-key": "a2V5", "x-amz-meta-x-amz-iv": "aXY=", "x-amz-meta-x-amz-matdesc": '{"kms": "a"}'}


def sha256(body):
    return hashlib.sha256(body).hexdigest()


async def archived(stage, size=300, **how):
    """One recording through one attempt; its outcome, saved, and its bytes."""
    stage.provider.put(recording("r1"))
    body = stage.provider.has("r1", media_bytes(size), **how)
    (entry,) = await stage.claimed("r1")
    outcome = await stage.transfer().archive(entry)
    assert await stage.catalog.save([outcome]) == []
    return outcome, body


# -- what is stored


@pytest.mark.parametrize("size", [64, 65, PART - 1, PART])
async def test_media_up_to_the_part_size_goes_in_one_put(stage, size):
    outcome, body = await archived(stage, size)
    assert (stage.store.content(KEY), outcome.event) == (body, Event.STORED)
    assert stage.store.log == [f"put {KEY}"]
    row = await stage.row()
    assert (row.key, row.size, row.sha256) == (KEY, size, sha256(body))


@pytest.mark.parametrize(("size", "parts"), [(PART + 1, 2), (2 * PART, 2), (2 * PART + 1, 3), (7 * PART - 1, 7)])
async def test_larger_media_goes_in_parts_of_exactly_one_size_and_completes_last(stage, size, parts):
    _outcome, body = await archived(stage, size)
    assert stage.store.content(KEY) == body
    assert stage.store.log == [f"begin {KEY}", *[f"put_part {KEY}"] * parts, f"complete {KEY}"]
    assert stage.store.begun == {}
    row = await stage.row()
    assert (row.key, row.size, row.sha256, row.upload_id) == (KEY, size, sha256(body), "")


async def test_the_catalog_knows_of_an_upload_before_its_first_part_is_sent_and_of_every_part_after_it(stage):
    noted = stage.catalog.note_upload

    async def noting(entry, *, facts):
        stage.store.log.append(f"note {facts['upload']['parts']}")
        return await noted(entry, facts=facts)

    stage.catalog.note_upload = noting
    await archived(stage, 2 * PART + 500)
    steps = [line.split()[0] if not line.startswith("note") else line for line in stage.store.log]
    sent = ["begin", "note 0", "put_part", "note 1", "put_part", "note 2", "put_part", "note 3"]
    assert steps == [*sent, "note 3", "complete"]


@pytest.mark.parametrize("size", [300, 2500])
async def test_an_object_says_of_itself_what_it_is(stage, size):
    outcome, body = await archived(stage, size)
    metadata = stage.store.objects[KEY].stored.metadata
    expected = {
        "archiver-recording": "r1",
        "archiver-source": "rooms",
        "archiver-rendition": "media",
        "archiver-version": VERSION,
    }
    assert {name: metadata[name] for name in expected} == expected
    assert metadata["archiver-token"] == outcome.facts["token"]
    assert metadata.get("archiver-sha256") == (sha256(body) if size <= PART else None)
    assert stage.store.objects[KEY].content_type == "audio/ogg"


@pytest.mark.parametrize("size", [300, 2500])
async def test_decryption_headers_are_carried_over_to_the_object_and_the_catalog(stage, size):
    await archived(stage, size, metadata=DECRYPTION)
    metadata = stage.store.objects["rooms/2026/03/10/r1/media.ogg"].stored.metadata
    assert {name: metadata[name.removeprefix("x-amz-meta-")] for name in DECRYPTION} == DECRYPTION
    assert (await stage.row()).metadata == DECRYPTION


async def test_a_lock_is_asked_for_at_creation(stage):
    lock = Lock(mode="governance", retain_until=NOON + timedelta(days=365))
    stage.provider.archivable("r1")
    (entry,) = await stage.claimed("r1")
    outcome = await stage.transfer(lock=lock).archive(entry)
    assert (outcome.facts["retain_until"], outcome.facts["lock_mode"]) == (lock.retain_until, "governance")


# -- something stands there already (I8, I17)


def plant(stage, body, **metadata):
    stage.store.plant(KEY, body, **metadata)


@pytest.mark.parametrize("size", [700, 2500])
async def test_an_object_with_the_same_bytes_is_adopted_whoever_wrote_it(stage, size):
    plant(stage, media_bytes(size), archiver_token="old")
    outcome, _body = await archived(stage, size)
    assert stage.store.keys_now() == [KEY]
    assert (outcome.facts["key"], outcome.facts["token"]) == (KEY, "old")
    assert stage.store.begun == {}
    await stage.work()
    assert await stage.state() is State.VERIFIED


@pytest.mark.parametrize("size", [700, 2500])
async def test_a_foreign_object_under_our_key_is_left_alone_and_parked_as_a_conflict(stage, size):
    plant(stage, media_bytes(size, "foreign"))
    stage.provider.put(recording("r1"))
    stage.provider.has("r1", media_bytes(size))
    await stage.poll()
    await stage.work()
    row = await stage.row()
    assert row.state == "failed"
    assert "key_conflict" in row.error
    assert "hint: move the foreign object away" in row.error
    assert stage.store.content(KEY) == media_bytes(size, "foreign")
    assert stage.store.keys_now() == [KEY]
    assert stage.store.begun == {}


@pytest.mark.parametrize("size", [700, 2500])
async def test_other_bytes_that_we_wrote_ourselves_are_kept_and_ours_go_beside_them(stage, size):
    plant(stage, OTHER, archiver_recording="r1", archiver_token="old")
    _outcome, body = await archived(stage, size)
    beside = f"rooms/2026/03/10/r1/media-{sha256(body)[:12]}.ogg"
    assert stage.store.keys_now() == sorted([KEY, beside])
    assert (stage.store.content(KEY), stage.store.content(beside)) == (OTHER, body)
    assert (await stage.row()).key == beside
    assert stage.store.begun == {}


@pytest.mark.parametrize("size", [700, 2500])
async def test_a_name_with_a_digest_that_holds_other_bytes_is_a_conflict(stage, size):
    body = media_bytes(size)
    plant(stage, OTHER, archiver_recording="r1")
    stage.store.plant(f"rooms/2026/03/10/r1/media-{sha256(body)[:12]}.ogg", OTHER, archiver_recording="r1")
    stage.provider.put(recording("r1"))
    stage.provider.has("r1", body)
    (entry,) = await stage.claimed("r1")
    with pytest.raises(ObjectExists, match="key_conflict"):
        await stage.transfer().archive(entry)
    assert len(stage.store.objects) == 2
    assert stage.store.begun == {}
    await stage.catalog.hand_back()


# -- other content


async def changed(stage, size, *, body):
    """The provider announces other content for what is archived, and sends `body`."""
    await archived(stage, size)
    await stage.work()
    stage.provider.put(recording("r1", duration=601.0))
    stage.provider.has("r1", body)
    stage.clock.advance(minutes=5)
    await stage.poll()
    assert await stage.state() is State.DUE
    await stage.work()


@pytest.mark.parametrize("before", [300, 2500])
@pytest.mark.parametrize("after", [400, 3500])
async def test_changed_bytes_become_a_second_object_and_the_first_is_kept(stage, before, after):
    body = media_bytes(after, "changed")
    await changed(stage, before, body=body)
    row = await stage.row()
    assert row.state == "verified"
    assert row.key == f"rooms/2026/03/10/r1/media-{sha256(body)[:12]}.ogg"
    assert stage.store.content(row.key) == body
    assert stage.store.content(KEY) == media_bytes(before)
    (earlier,) = await stage.rows(sa.select(superseded))
    assert (earlier.key, earlier.sha256, earlier.size) == (KEY, sha256(media_bytes(before)), before)


@pytest.mark.parametrize("size", [300, 2500])
async def test_changed_words_about_the_same_bytes_store_nothing_new(stage, size):
    await changed(stage, size, body=media_bytes(size))
    assert await stage.state() is State.VERIFIED
    assert stage.store.keys_now() == [KEY]
    assert await stage.rows(sa.select(superseded)) == []


async def test_bytes_that_changed_a_third_time_in_the_middle_are_not_stored_under_the_second_ones_name(stage):
    await archived(stage, 2500)
    await stage.work()
    stage.provider.put(recording("r1", duration=601.0))
    second, third = media_bytes(2500, "second"), media_bytes(2500, "third")
    stage.provider.has("r1", second)

    def swap():
        if stage.provider.calls["media r1"] == 3:
            stage.provider.has("r1", third)
            stage.provider.files["r1", "media"].body, stage.provider.files["r1", "media"].etag = third, '"three"'

    stage.provider.files["r1", "media"].on_open = swap
    stage.clock.advance(minutes=5)
    await stage.poll()
    await stage.work()
    row = await stage.row()
    assert row.state == "verified"
    assert stage.store.content(row.key) in (second, third)
    assert row.key.endswith(f"media-{sha256(stage.store.content(row.key))[:12]}.ogg")
    assert stage.store.begun == {}


# -- what a media host says of its bytes


@pytest.mark.parametrize(
    "value",
    ["schl\u00fcssel", "two\nlines", " padded ", "x" * 4000],
    ids=["not ascii", "line break", "spaces at its ends", "too long"],
)
async def test_decryption_headers_that_no_object_could_carry_park_that_recording_and_stop_nothing_else(stage, value):
    stage.provider.archivable("r2", "r3")
    stage.provider.put(recording("r1"))
    stage.provider.has("r1", metadata={**DECRYPTION, "x-amz-meta-x-amz-matdesc": value})
    await stage.poll()
    await stage.work()
    assert await stage.states() == {"r1": "failed", "r2": "verified", "r3": "verified"}
    assert "x-amz-meta-x-amz-matdesc" in (await stage.row("r1")).error
    assert stage.health.problems() == []
    assert stage.store.counts["put"] == 2


@pytest.mark.parametrize("content_type", ["audio/ogg\u00fc", "audio/ogg; " + "x" * 500, "nonsense", "audio/og g", ""])
async def test_a_content_type_that_is_none_is_not_passed_on_to_the_store(stage, content_type):
    await archived(stage, content_type=content_type)
    assert stage.store.objects[KEY].content_type == "application/octet-stream"


async def test_a_content_type_with_parameters_is_passed_on_as_it_is(stage):
    await archived(stage, content_type="video/webm; codecs=vp8")
    assert next(iter(stage.store.objects.values())).content_type == "video/webm; codecs=vp8"


@pytest.mark.parametrize(
    "body",
    ["<html>an error</html>".encode("utf-16") * 9, b"\xff\xfe" + bytes(500), b"\xff\xff" * 300, b"\xff\xf2\xf0" + bytes(300)],
    ids=["utf-16 page", "utf-16 mark", "all ones", "impossible bit rate"],
)
async def test_bytes_that_only_begin_like_an_mp3_are_no_recording(stage, body):
    stage.provider.put(recording("r1", renditions=("mp3",)))
    stage.provider.has("r1", body, rendition="mp3", content_type="audio/mpeg")
    await stage.poll()
    await stage.work()
    row = await stage.row("r1", "mp3")
    assert (row.state, row.error_kind) == ("failed", "MediaImplausible")
    assert stage.store.objects == {}


@pytest.mark.parametrize("frame", [b"\xff\xfb\x90\x64", b"\xff\xf3\x84\xc4", b"\xff\xe3\x18\xc4", b"ID3\x04\x00\x00"])
async def test_mp3_of_every_version_is_one(stage, frame):
    stage.provider.put(recording("r1", renditions=("mp3",)))
    stage.provider.has("r1", frame + bytes(500), rendition="mp3", content_type="audio/mpeg")
    await stage.poll()
    await stage.work()
    assert (await stage.row("r1", "mp3")).state == "verified"
