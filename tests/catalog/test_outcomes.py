"""Outcomes: applied once, to the entry they were made for, with everything that later proof needs (I17, F19)."""

from dataclasses import replace

import pytest

from archiver.domain.errors import CatalogError
from archiver.domain.lifecycle import Event
from archiver.domain.recording import ProviderStatus, State
from archiver.domain.work import LEASE, Outcome
from tests.catalog.world import NOON, SOURCE, failed_once, stored

A_LEASE = LEASE.total_seconds()


async def test_a_batch_is_saved_as_far_as_its_entries_are_still_held(world):
    entries = await world.claimed("r1", "r2", "r3")
    world.clock.advance(seconds=A_LEASE + 1)
    taken = await world.you.claim(1, sources=[SOURCE])
    late = await world.me.save([stored(entry) for entry in entries])
    assert [outcome.entry.id for outcome in late] == [taken[0].id]
    assert sorted([await world.state(f"r{n}") for n in (1, 2, 3)]) == [State.STORED, State.STORED, State.TRANSFERRING]


async def test_a_save_repeated_after_its_answer_was_lost_is_applied_once(world):
    entries = await world.claimed("r1", "r2", "r3")
    batch = [
        stored(entries[0]),
        failed_once(entries[1], gone=True),
        Outcome(entry=entries[2], event=Event.FAILED, reason="url_refused", kind="UrlRefused"),
    ]
    for _ in range(3):
        assert await world.me.save(batch) == []
    assert await world.events("r1") == ["discovered", "claimed", "stored"]
    assert await world.events("r2") == ["discovered", "claimed", "retry_scheduled"]
    assert await world.events("r3") == ["discovered", "claimed", "failed"]
    assert (await world.row("r2")).attempts == 1
    assert (await world.recording("r2")).gone_looks == 1


async def test_a_save_repeated_is_known_although_the_entry_was_claimed_again_meanwhile(world):
    (entry,) = await world.claimed()
    outcome = failed_once(entry)
    assert await world.me.save([outcome]) == []
    await world.you.claim(1, sources=[SOURCE])
    assert await world.me.save([outcome]) == []
    assert await world.events() == ["discovered", "claimed", "retry_scheduled", "claimed"]


async def test_of_two_outcomes_for_one_entry_the_first_counts_and_the_other_is_returned(world):
    (entry,) = await world.claimed()
    first, second = stored(entry), failed_once(entry)
    assert await world.me.save([first, second]) == [second]
    assert await world.state() is State.STORED


async def test_a_change_whose_line_of_history_cannot_be_written_is_not_made(world):
    (entry,) = await world.claimed()
    with pytest.raises(CatalogError):
        await world.me.save([replace(stored(entry), data={"what no JSON holds": object()})])
    assert (await world.state(), await world.events()) == (State.TRANSFERRING, ["discovered", "claimed"])


async def test_an_outcome_for_an_entry_that_is_not_there_is_returned(world):
    (entry,) = await world.claimed()
    nobody = stored(replace(entry, id=entry.id + 1000))
    assert await world.me.save([nobody]) == [nobody]
    assert await world.me.save([]) == []


async def test_stored_keeps_what_proves_the_object_in_the_row_and_in_the_ledger_line(world):
    (entry,) = await world.claimed()
    proof = {"checksums": {"CRC64NVME": "x"}, "parts": [1, 2]}
    await world.me.save([stored(entry, proof=proof, content_type="audio/ogg", metadata={"x-amz-meta-x-amz-key": "k"})])
    row = await world.row()
    assert (row.state, row.archived_at, row.worker, row.lease_until) == ("stored", NOON, "", None)
    assert (row.attempts, row.error, row.due_at) == (0, "", NOON)
    (read,) = await world.me.claim_stored(1, sources=[SOURCE])
    assert (read.proof, read.metadata, read.content_type) == (proof, {"x-amz-meta-x-amz-key": "k"}, "audio/ogg")
    line = (await world.history())[-1]
    told = {"key": "rooms/r1/media.ogg", "version_id": "v1", "size": 1000, "sha256": "ab" * 32, "token": "t1", "proof": proof}
    assert line.data == {**told, "content_type": "audio/ogg", "metadata": {"x-amz-meta-x-amz-key": "k"}}


async def test_verified_says_when_and_leaves_no_error(world):
    await world.archived()
    (entry,) = await world.me.claim_stored(1, sources=[SOURCE])
    await world.me.save(
        [Outcome(entry=entry, event=Event.RETRY_SCHEDULED, reason="store unavailable", kind="StorageUnavailable")]
    )
    assert (await world.row()).error == "store unavailable"
    world.clock.advance(seconds=5)
    (entry,) = await world.me.claim_stored(1, sources=[SOURCE])
    await world.me.save([Outcome(entry=entry, event=Event.VERIFIED, data={"how": "read-back"})])
    row = await world.row()
    assert (row.state, row.verified_at, row.checked_at) == ("verified", world.clock.now, world.clock.now)
    assert (row.error, row.error_kind, row.attempts) == ("", "", 0)
    assert (await world.history())[-1].data["how"] == "read-back"


async def test_attempts_count_when_they_are_used_up_and_only_then(world):
    (entry,) = await world.claimed()
    await world.me.save([failed_once(entry)])
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    await world.me.save([failed_once(entry, counts=False)])
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    await world.me.save([Outcome(entry=entry, event=Event.RELEASED)])
    row = await world.row()
    assert (row.attempts, row.error, row.error_kind) == (1, "", "")


async def test_a_failure_says_what_happened_in_the_row_and_the_ledger_whatever_the_text(world):
    entries = await world.claimed("r1", "r2")
    text = "found \x00 and \ud800 and \u202e"
    batch = [failed_once(entries[0], reason=text, data={"sample": text}), stored(entries[1])]
    assert await world.me.save(batch) == []
    assert (await world.row("r1")).error == "found \\x00 and \\ud800 and \u202e"
    line = (await world.history("r1"))[-1]
    assert (line.reason, line.data) == ("found \\x00 and \\ud800 and \u202e", {"sample": text, "kind": "ProviderUnavailable"})
    assert await world.state("r2") is State.STORED


async def test_what_is_done_on_purpose_is_no_error(world):
    await world.verified()
    entry = replace(await world.entry(), state=State.VERIFIED)
    await world.me.save([Outcome(entry=entry, event=Event.EXPIRING, reason="400 days old, kept for 365")])
    row = await world.row()
    assert (row.state, row.error, row.attempts) == ("expiring", "", 0)
    assert (await world.history())[-1].reason == "400 days old, kept for 365"


async def test_gone_is_counted_in_a_row_and_forgotten_when_the_provider_knows_it_again(world):
    (entry,) = await world.claimed()
    await world.me.save([failed_once(entry, gone=True)])
    assert ((await world.recording()).gone_looks, (await world.recording()).gone_at) == (1, NOON)
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    assert entry.gone_looks == 1
    await world.me.save([failed_once(entry)])
    assert ((await world.recording()).gone_looks, (await world.recording()).gone_at) == (0, None)


async def test_lost_in_a_transfer_makes_the_provider_status_deleted(world):
    (entry,) = await world.claimed()
    await world.me.save([failed_once(entry, gone=True)])
    (entry,) = await world.me.claim(1, sources=[SOURCE])
    await world.me.save([Outcome(entry=entry, event=Event.LOST, reason="gone at two looks", gone=True)])
    assert (await world.recording()).status == ProviderStatus.DELETED
    row = await world.row()
    assert (row.state, row.error) == ("lost", "gone at two looks")


async def test_an_upload_is_noted_before_its_first_part_and_forgotten_with_the_outcome(world):
    (entry,) = await world.claimed()
    upload = {"key": "rooms/r1/media.ogg", "token": "t1"}
    entry = await world.me.note_upload(entry, facts={"upload_id": "u1", "upload": upload})
    row = await world.row()
    assert (row.upload_id, row.upload, row.revision, row.key) == ("u1", upload, entry.revision, "")
    world.clock.advance(seconds=A_LEASE + 1)
    (yours,) = await world.you.claim(1, sources=[SOURCE])
    assert (yours.upload_id, yours.upload) == ("u1", upload)
    await world.you.save([stored(yours)])
    assert ((await world.row()).upload_id, (await world.row()).upload) == ("", None)
