"""From stored to verified: only what the store proves, or what was read back, counts (I7)."""

import contextlib
from dataclasses import replace

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import ledger
from archiver.domain.errors import CredentialsRefused, StorageUnavailable
from archiver.domain.recording import State
from tests.pipeline.fake_provider import media_bytes, recording
from tests.pipeline.memory_store import POOR, STRICT, MemoryStore
from tests.pipeline.stage import staged

SMALL, LARGE = 300, 3500


@pytest.fixture(params=[SMALL, LARGE], ids=["one put", "several parts"])
def size(request):
    return request.param


@pytest.fixture
async def open_stage(sqlite_url):
    """A stage over a store of given abilities, with one recording stored and not yet verified."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(size, *, abilities=STRICT):
            stage = await stack.enter_async_context(staged(sqlite_url))
            stage.store = MemoryStore(clock=stage.clock, abilities=abilities)
            stage.provider.put(recording("r1"))
            stage.provider.has("r1", media_bytes(size))
            (entry,) = await stage.claimed("r1")
            await stage.catalog.save([await stage.transfer().archive(entry)])
            stage.store.counts.clear()
            return stage

        yield opened


async def verified(stage, mode="auto"):
    await stage.work(stage.pump(verifier=stage.verifier(mode)))
    return await stage.state()


def kept(stage):
    (found,) = stage.store.objects.values()
    return found


async def how(stage):
    (line,) = await stage.rows(sa.select(ledger.c.data).where(ledger.c.event == "verified"))
    return line.data["how"]


async def test_where_wrong_checksums_are_refused_the_stores_own_word_is_enough(open_stage, size):
    stage = await open_stage(size)
    assert await verified(stage) is State.VERIFIED
    assert stage.store.counts["read"] == 0
    assert await how(stage) == "checksum"
    assert (await stage.row()).verified_at is not None


async def test_where_they_are_not_every_byte_is_read_back(open_stage, size):
    stage = await open_stage(size, abilities=POOR)
    assert await verified(stage) is State.VERIFIED
    assert stage.store.counts["read"] == 1
    assert await how(stage) == "read-back"


async def test_a_whole_checksum_that_is_not_proved_counts_for_nothing(open_stage):
    stage = await open_stage(LARGE, abilities=replace(STRICT, proves_whole=False))
    assert await verified(stage) is State.VERIFIED
    assert await how(stage) == "read-back"


async def test_read_back_reads_whatever_the_store_is_able_to(open_stage, size):
    stage = await open_stage(size)
    assert await verified(stage, "read-back") is State.VERIFIED
    assert stage.store.counts["read"] == 1


async def test_a_digest_from_a_store_that_takes_wrong_ones_proves_nothing(open_stage):
    stage = await open_stage(SMALL)
    stage.store.abilities = replace(STRICT, refuses_wrong_checksum=False)
    assert kept(stage).stored.sha256
    kept(stage).body[100] ^= 1
    assert await verified(stage) is State.DAMAGED
    assert stage.store.counts["read"] > 0


async def test_checksum_alone_is_taken_where_the_operator_says_so_and_the_store_reports_one(open_stage):
    stage = await open_stage(SMALL, abilities=replace(STRICT, refuses_wrong_checksum=True))
    stage.store.abilities = replace(STRICT, refuses_wrong_checksum=False)
    assert await verified(stage, "checksum") is State.VERIFIED
    assert stage.store.counts["read"] == 0


@pytest.mark.parametrize("mode", ["auto", "read-back"])
async def test_a_flipped_bit_at_rest_is_damage_wherever_bytes_are_read(open_stage, size, mode):
    stage = await open_stage(size, abilities=POOR)
    kept(stage).body[size // 2] ^= 1
    assert await verified(stage, mode) is State.DAMAGED
    row = await stage.row()
    assert "read back" in row.error
    assert row.sha256 in row.error
    assert stage.observed.fixity == ["mismatched"]


async def test_one_flip_on_the_way_back_is_read_again_and_condemns_nothing(open_stage, size):
    stage = await open_stage(size, abilities=POOR)
    stage.store.flips = [size // 2]
    assert await verified(stage) is State.VERIFIED
    assert stage.store.counts["read"] == 2
    assert stage.observed.fixity == ["ok"]


async def test_a_missing_object_is_damage_and_says_so(open_stage, size):
    stage = await open_stage(size)
    stage.store.objects.clear()
    assert await verified(stage) is State.DAMAGED
    assert (await stage.row()).error.startswith("missing: ")
    assert stage.observed.fixity == ["missing"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": 299}, "299 bytes stored, 300 in the catalog"),
        ({"sha256": "ab" * 32}, f"SHA-256 {'ab' * 32} stored"),
        ({"metadata": {"archiver-token": "another"}}, "written by upload another"),
    ],
)
async def test_an_object_that_differs_in_size_digest_or_token_is_damage(open_stage, change, says):
    stage = await open_stage(SMALL)
    kept(stage).stored = replace(kept(stage).stored, **change)
    assert await verified(stage) is State.DAMAGED
    assert says in (await stage.row()).error


async def test_a_whole_checksum_that_changed_is_not_taken_for_proof(open_stage):
    stage = await open_stage(LARGE)
    found = kept(stage)
    found.body[100] ^= 1
    found.stored = replace(found.stored, checksums={"CRC64NVME": "AAAAAAAAAAA="})
    assert await verified(stage) is State.DAMAGED


async def test_a_store_that_cannot_be_asked_says_nothing_about_what_it_holds(open_stage, size):
    stage = await open_stage(size)
    stage.store.before["head"] = [StorageUnavailable("reset")] * 3
    assert await verified(stage) is State.VERIFIED
    events = await stage.events()
    assert events.count("retry_scheduled") == 3
    assert "damaged" not in events


async def test_verification_goes_on_while_the_source_is_paused(open_stage):
    stage = await open_stage(SMALL)
    stage.health.failed("rooms", CredentialsRefused("401"))
    assert await verified(stage) is State.VERIFIED
    assert stage.clock.seconds < 10
    assert stage.health.down("rooms")
