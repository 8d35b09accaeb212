"""An answer lost after the server did what it was asked: LocalStack behind the fault proxy. The caller looks who stands there."""

import hashlib
from urllib.parse import urlsplit

import pytest

from archiver.domain.errors import ObjectExists, ObjectMissing, StorageUnavailable
from archiver.domain.ports import NewObject
from archiver.storage.s3 import S3
from archiver.storage.settings import S3Settings
from tests.storage.conftest import now, token, until
from tests.testbed.faults import DropReply

BODY = b"RIFF and what follows"
KEY = "s/1/media.wav"


def new(by: str) -> NewObject:
    return NewObject(key=KEY, content_type="audio/wav", metadata={"archiver-token": by})


@pytest.fixture
async def behind_proxy(locked_bucket, tcp_proxy):
    """A storage whose way to LocalStack leads through the proxy, and the proxy."""
    server = urlsplit(locked_bucket.endpoint_url)
    proxy = await tcp_proxy(server.hostname, server.port)
    store = S3(S3Settings(bucket=locked_bucket.name, endpoint_url=proxy.url_for(locked_bucket.endpoint_url)), token, now)
    await store.probe()
    yield store, proxy
    await store.aclose()
    await until(lambda: not proxy.open)  # its ends of our connections follow ours


def versions(bucket) -> int:
    return len(bucket.client.list_object_versions(Bucket=bucket.name, Prefix="s/").get("Versions", ()))


async def test_a_put_whose_answer_is_lost_stands_there_once_under_its_token(behind_proxy, locked_bucket):
    store, proxy = behind_proxy
    rule = proxy.add(DropReply(request=rb"PUT /"), times=1)
    with pytest.raises(StorageUnavailable, match="no answer"):
        await store.put(new("ours"), BODY, sha256=hashlib.sha256(BODY).digest())
    assert rule.fired == 1
    seen = await store.head(KEY)
    assert (seen.metadata["archiver-token"], seen.size, seen.sha256) == ("ours", len(BODY), hashlib.sha256(BODY).hexdigest())
    with pytest.raises(ObjectExists):
        await store.put(new("the next attempt's"), BODY, sha256=hashlib.sha256(BODY).digest())
    assert versions(locked_bucket) == 1


async def test_a_completion_whose_answer_is_lost_is_found_by_its_token_too(behind_proxy, locked_bucket):
    """boto3 asks again and hears 404 (LocalStack) or success (AWS): both leave one version."""
    store, proxy = behind_proxy
    upload_id = await store.begin(new("ours"))
    part = await store.put_part(KEY, upload_id, 1, BODY)
    rule = proxy.add(DropReply(request=rb"POST /"), times=1)
    with pytest.raises((ObjectMissing, ObjectExists, StorageUnavailable)):
        await store.complete(new("ours"), upload_id, [part])
    assert rule.fired == 1
    assert (await store.head(KEY)).metadata["archiver-token"] == "ours"
    assert versions(locked_bucket) == 1


async def test_a_part_whose_answer_is_lost_is_sent_again_unnoticed(behind_proxy):
    store, proxy = behind_proxy
    upload_id = await store.begin(new("ours"))
    rule = proxy.add(DropReply(request=rb"PUT /"), times=2)
    part = await store.put_part(KEY, upload_id, 1, BODY)
    assert rule.fired == 2
    assert (await store.complete(new("ours"), upload_id, [part])).size == len(BODY)
