"""What a probe found is taken up by the next run, for the same endpoint and program only."""

from dataclasses import replace

import pytest

from archiver.domain.errors import StorageRefused
from archiver.storage import remembered
from archiver.storage.canaries import Dialect
from archiver.storage.s3 import S3
from archiver.storage.settings import S3Settings
from archiver.storage.unprobed import UNPROBED
from tests.storage.conftest import now, token
from tests.storage.endpoint import answer, endpoint, error

GOOD = replace(UNPROBED, refuses_wrong_checksum=True, conditional_put=True, notes=("one", "two"))
POOR = Dialect(if_none_match=False, put_checksum="MD5")


def store_at(url, **settings):
    return S3(S3Settings(**({"bucket": "bucket", "endpoint_url": url} | settings)), token, now)


async def test_it_is_taken_up_as_it_was_found_for_one_request():
    async with endpoint(lambda _seen: answer(body=b"<ListBucketResult/>")) as here:
        first, second = store_at(here.url), store_at(here.url)
        first._abilities, first._dialect = GOOD, POOR
        assert await second.recall(first.memory())
        assert (second.abilities, second._dialect) == (GOOD, POOR)
        assert second.clock_offset is not None
        assert len(here.seen) == 1
        await second.aclose()
        await first.aclose()


async def test_canaries_that_one_run_left_behind_are_told_by_that_run_alone():
    async with endpoint(lambda _seen: answer(body=b"<ListBucketResult/>")) as here:
        first, second = store_at(here.url), store_at(here.url)
        behind = "2 canaries under _probe/ stay behind, locked for 60 s; a probe an hour from now or later removes them."
        first._abilities = replace(GOOD, notes=("one", behind))
        assert await second.recall(first.memory())
        assert second.abilities.notes == ("one",)
        await second.aclose()
        await first.aclose()


@pytest.mark.parametrize("other", [{"bucket": "b2"}, {"prefix": "p"}, {"object_lock": "governance"}, {"region": "eu-west-1"}])
async def test_what_was_found_with_other_settings_is_not(other):
    async with endpoint(lambda _seen: answer()) as here:
        first, second = store_at(here.url), store_at(here.url, **other)
        assert not await second.recall(first.memory())
        assert second.abilities is UNPROBED
        assert here.seen == []
        await second.aclose()
        await first.aclose()


async def test_credentials_that_are_refused_now_are_refused_now():
    async with endpoint(lambda _seen: error(403, "AccessDenied")) as here:
        store = store_at(here.url)
        with pytest.raises(StorageRefused):
            await store.recall(store.memory())
        assert store.abilities is UNPROBED
        await store.aclose()


@pytest.mark.parametrize("memory", [{}, {"abilities": {}}, {"fingerprint": "", "abilities": None, "dialect": None}])
def test_what_cannot_be_understood_is_not_taken_up(memory):
    settings = S3Settings(bucket="bucket")
    assert remembered.read(settings, memory) is None
    assert remembered.read(settings, memory | {"fingerprint": remembered.fingerprint(settings)}) is None
