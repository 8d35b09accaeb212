"""A transfer that fails at any point leaves nothing under its key, and the next attempt makes up for it."""

import asyncio
import hashlib
from collections import Counter
from datetime import timedelta

import pytest

from archiver.domain.errors import ChecksumRefused, StorageFull, StorageUnavailable
from archiver.domain.ports import NewObject
from archiver.domain.recording import State
from archiver.pipeline.digest import RESUMABLE
from archiver.pipeline.sweep import sweep
from tests.pipeline.fake_provider import media_bytes, recording

KEY = "rooms/2026/03/10/r1/media.ogg"
SMALL, LARGE = 300, 3500  # bytes; a part has 1000
STEPS = {
    SMALL: ["put", "head"],
    LARGE: ["begin", "put_part", "put_part", "put_part", "put_part", "complete", "head"],
}
RESET, FULL, WRONG = StorageUnavailable("reset"), StorageFull("no space left"), ChecksumRefused("other bytes")
POINTS = [
    (size, number, when, RESET)
    for size, steps in STEPS.items()
    for number in range(len(steps) - 1)
    for when in ("before", "after")
]
POINTS += [(SMALL, 0, "before", FULL), (SMALL, 0, "before", WRONG), (LARGE, 2, "before", FULL), (LARGE, 2, "before", WRONG)]
POINTS += [(LARGE, 5, "before", FULL), (LARGE, 5, "before", WRONG), (SMALL, 0, "after", FULL), (LARGE, 5, "after", FULL)]


def one(stage, size, **how):
    stage.provider.put(recording("r1"))
    return stage.provider.has("r1", media_bytes(size), **how)


def fail(stage, size, number, when, error):
    """Has the operation `number` of an undisturbed run fail, before it is done or after."""
    operation = STEPS[size][number]
    earlier = STEPS[size][:number].count(operation)
    calls = Counter()

    def act(_key):
        calls[operation] += 1
        if calls[operation] == earlier + 1:
            getattr(stage.store, when)[operation].append(error)

    stage.store.on[operation] = act


@pytest.mark.parametrize(("size", "number", "when", "error"), POINTS)
async def test_after_a_failure_at_any_point_nothing_half_made_stands_there_and_a_retry_archives_it(
    stage, size, number, when, error
):
    body = one(stage, size)
    fail(stage, size, number, when, error)
    seen = []
    stage.store.on["begin"] = stage.store.on.get("begin") or (lambda _key: seen.append(dict(stage.store.objects)))
    await stage.poll()
    await stage.work()
    assert await stage.state() is State.VERIFIED
    assert stage.store.keys_now() == [KEY]
    assert stage.store.content(KEY) == body
    assert all(not objects for objects in seen)
    stage.clock.advance(hours=25)
    await sweep(storage=stage.store, catalog=stage.catalog, clock=stage.clock)  # for one whose id the lost answer held
    assert stage.store.begun == {}


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_lost_answer_to_the_last_act_is_settled_by_token_and_size_and_sends_nothing_twice(stage, size):
    one(stage, size)
    stage.store.after["put" if size == SMALL else "complete"] = [StorageUnavailable("no answer")]
    await stage.poll()
    await stage.work()
    assert await stage.state() is State.VERIFIED
    assert stage.provider.calls["media r1"] == 1
    assert stage.store.counts["put"] + stage.store.counts["complete"] == 1
    assert [outcome.event.value for outcome in stage.outcomes] == ["stored", "verified"]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_behind_a_lost_answer_an_object_of_the_right_size_by_another_attempt_is_never_taken_for_ours(stage, size):
    body, rivals = one(stage, size), media_bytes(size, "a rival's")
    stage.store.before["put" if size == SMALL else "complete"] = [StorageUnavailable("no answer, and nothing done")]
    stage.store.plant(KEY, rivals, **{"archiver-token": "another", "archiver-recording": "r1"})
    await stage.poll()
    await stage.work()
    assert await stage.state() is State.VERIFIED
    assert stage.store.content((await stage.row()).key) == body
    assert stage.store.content(KEY) == rivals
    assert "damaged" not in [outcome.event.value for outcome in stage.outcomes]


@pytest.mark.parametrize(("size", "number"), [(SMALL, 0), *[(LARGE, number) for number in range(6)]])
async def test_cancelled_at_any_operation_it_leaves_a_claim_to_hand_back_and_the_next_worker_archives_it(stage, size, number):
    body = one(stage, size)
    reached = asyncio.Event()
    calls = Counter()

    def hit(_key):
        calls["all"] += 1
        if calls["all"] == number + 1:
            reached.set()

    stage.store.on = dict.fromkeys(("put", "begin", "put_part", "complete"), hit)
    stage.store._latency = 0.5
    await stage.poll()
    work = asyncio.create_task(stage.work())
    await reached.wait()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert stage.store.keys_now() == []
    assert await stage.catalog.hand_back() == 1
    assert await stage.state() is State.DUE
    await stage.work()
    assert await stage.state() is State.VERIFIED
    assert stage.store.content(KEY) == body
    assert stage.store.begun == {}


# -- cut lines


async def test_a_cut_download_goes_on_where_it_was_cut_when_the_validator_is_the_same(stage):
    body = one(stage, LARGE, cut=[700, 2600, 2601])
    await stage.poll()
    await stage.work()
    assert stage.store.content(KEY) == body
    assert stage.provider.calls["media r1"] == 4
    assert stage.outcomes[0].event.value == "stored"
    assert stage.store.counts["put_part"] == 4


@pytest.mark.parametrize(("validator", "ranges"), [("", "same"), ("", "any"), ('"two"', "same"), ('"two"', "any")])
async def test_without_a_validator_or_with_another_one_the_attempt_starts_anew_and_never_mixes_bytes(stage, validator, ranges):
    one(stage, LARGE, etag="" if not validator else '"one"', cut=[2100], ranges=ranges)
    file = stage.provider.files["r1", "media"]
    other = media_bytes(LARGE, "other")

    def swap():
        if stage.provider.calls["media r1"] == 2:
            file.body, file.etag = other, validator

    file.on_open = swap
    await stage.poll()
    await stage.work()
    assert await stage.state() is State.VERIFIED
    assert stage.store.content(KEY) == other
    assert stage.store.keys_now() == [KEY]
    assert stage.outcomes[0].event.value == "retry_scheduled"
    assert stage.store.begun == {}


async def test_a_provider_that_began_anew_is_not_asked_again_and_again_within_one_attempt(stage):
    one(stage, LARGE, cut=[2100])
    stage.provider.files["r1", "media"].ranges = ""
    (entry,) = await stage.claimed("r1")
    with pytest.raises(Exception, match="began anew"):
        await stage.transfer().archive(entry)
    assert stage.provider.calls["media r1"] == 2
    await stage.catalog.hand_back()


async def test_a_line_that_is_cut_again_and_again_is_given_up_for_a_retry(stage):
    one(stage, LARGE, cut=[500 + 10 * number for number in range(40)])
    (entry,) = await stage.claimed("r1")
    with pytest.raises(Exception, match="connection broke"):
        await stage.transfer().archive(entry)
    assert stage.provider.calls["media r1"] <= 7
    await stage.catalog.hand_back()


# -- what an attempt leaves to the next one


def next_process(stage):
    """The lease of the one that died is over, and nobody knows any more what it held."""
    stage.clock.advance(minutes=1)
    stage.plain_catalog._held.clear()


async def interrupted(stage, *, after=2200):
    """A large transfer whose process died after so many bytes: its claim ran out, its upload stands."""
    body = one(stage, LARGE, cut=[after] * 8)
    (entry,) = await stage.claimed("r1")
    with pytest.raises(Exception, match="connection broke"):
        await stage.transfer().archive(entry)
    next_process(stage)
    stage.provider.files["r1", "media"].cut.clear()
    stage.provider.calls.clear()
    stage.store.log.clear()
    return body


@pytest.mark.skipif(not RESUMABLE, reason="this libcrypto's digests cannot be saved")
async def test_the_next_attempt_goes_on_with_the_upload_and_fetches_and_sends_only_what_is_missing(stage):
    body = await interrupted(stage)
    await stage.work()
    assert stage.store.content(KEY) == body
    assert [line.split()[0] for line in stage.store.log][:4] == ["parts", "put_part", "put_part", "complete"]
    assert (await stage.row()).sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("lost", ["the upload", "a part", "the bytes"])
async def test_what_cannot_be_gone_on_with_is_dropped_and_begun_anew(stage, lost):
    body = await interrupted(stage)
    (upload,) = stage.store.begun.values()
    if lost == "the upload":
        stage.store.begun.clear()
    elif lost == "a part":
        del upload.parts[1]
    else:
        body = media_bytes(LARGE, "other")
        stage.provider.has("r1", body, etag='"two"')
    await stage.work()
    assert await stage.state() is State.VERIFIED
    assert stage.store.content(KEY) == body
    assert stage.store.begun == {}


async def test_an_upload_that_was_complete_but_for_the_answer_is_found_by_its_token_without_a_download(stage):
    one(stage, LARGE)
    (entry,) = await stage.claimed("r1")
    stage.store.after["complete"] = [StorageUnavailable("no answer")]
    stage.store.before["head"] = [StorageUnavailable("down")]
    with pytest.raises(StorageUnavailable):
        await stage.transfer().archive(entry)
    next_process(stage)
    await stage.work()
    assert await stage.state() is State.VERIFIED
    assert stage.provider.calls["media r1"] == 1
    assert stage.store.keys_now() == [KEY]


async def test_uploads_that_nobody_goes_on_with_are_swept_after_a_day_and_foreign_ones_left_alone(stage):
    await interrupted(stage)
    stage.provider.listed.clear()
    foreign = await stage.store.begin(_new("foreign/thing.bin"))
    assert (await sweep(storage=stage.store, catalog=stage.catalog, clock=stage.clock)).aborted == 0
    stage.clock.advance(hours=25)
    swept = await sweep(storage=stage.store, catalog=stage.catalog, clock=stage.clock)
    assert (swept.aborted, swept.foreign) == (1, 1)
    assert list(stage.store.begun) == [foreign]
    assert (await stage.row()).upload_id == ""


async def test_an_upload_that_a_live_worker_is_at_is_not_swept_however_old_it_is(stage):
    one(stage, LARGE)
    (entry,) = await stage.claimed("r1")
    upload_id = await stage.store.begin(_new(KEY))
    await stage.catalog.note_upload(entry, facts={"upload_id": upload_id, "upload": {}})
    swept = await sweep(storage=stage.store, catalog=stage.catalog, clock=stage.clock, age=timedelta(0))
    assert (swept.aborted, list(stage.store.begun)) == (0, [upload_id])


def _new(key):
    return NewObject(key=key, content_type="audio/ogg", metadata={"archiver-token": "t"})
