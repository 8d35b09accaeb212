"""The faults that the product must survive can be made in front of the real servers."""

import asyncio
import urllib.parse

import psycopg
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from tests.testbed.faults import BlackHole, Cut, Direction, DropReply


@pytest.fixture
async def s3_proxy(tcp_proxy, s3_bucket):
    return await tcp_proxy("127.0.0.1", urllib.parse.urlsplit(s3_bucket.endpoint_url).port)


@pytest.fixture
def through(s3_proxy, s3_bucket):
    client = s3_bucket.server.new_client(endpoint_url=s3_proxy.url_for(s3_bucket.endpoint_url))
    yield client
    client.close()


async def test_a_put_whose_reply_is_dropped_is_in_the_bucket(s3_proxy, s3_bucket, through):
    rule = s3_proxy.add(DropReply(request=rb"PUT /"), times=1)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        await asyncio.to_thread(through.put_object, Bucket=s3_bucket.name, Key="k", Body=b"once")
    assert rule.fired == 1
    answer = await asyncio.to_thread(s3_bucket.client.get_object, Bucket=s3_bucket.name, Key="k")
    assert answer["Body"].read() == b"once"


async def test_a_complete_whose_reply_is_dropped_has_completed(s3_proxy, s3_bucket, through):
    names = {"Bucket": s3_bucket.name, "Key": "k"}
    s3_proxy.add(DropReply(request=rb"POST [^ ]*uploadId="), times=1)
    upload = await asyncio.to_thread(through.create_multipart_upload, **names)
    names["UploadId"] = upload["UploadId"]
    part = await asyncio.to_thread(through.upload_part, **names, PartNumber=1, Body=b"part")
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        await asyncio.to_thread(
            through.complete_multipart_upload, **names, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        )
    head = await asyncio.to_thread(s3_bucket.client.head_object, Bucket=s3_bucket.name, Key="k")
    assert head["ContentLength"] == 4


async def test_a_put_cut_half_way_leaves_nothing(s3_proxy, s3_bucket, through):
    s3_proxy.add(Cut(after=100_000, direction=Direction.TO_SERVER))
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        await asyncio.to_thread(through.put_object, Bucket=s3_bucket.name, Key="k", Body=bytes(200_000))
    with pytest.raises(ClientError, match="404"):
        await asyncio.to_thread(s3_bucket.client.head_object, Bucket=s3_bucket.name, Key="k")


async def test_a_commit_whose_reply_is_dropped_is_committed(tcp_proxy, postgres_url):
    p = await tcp_proxy("127.0.0.1", urllib.parse.urlsplit(postgres_url).port)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as direct:
        await direct.execute("CREATE TABLE t (a int)")
        rule = p.add(DropReply(request=rb"COMMIT"))
        with pytest.raises(psycopg.OperationalError):
            async with await psycopg.AsyncConnection.connect(p.url_for(postgres_url)) as connection:
                await connection.execute("INSERT INTO t VALUES (1)")
        assert rule.fired == 1
        cursor = await direct.execute("SELECT count(*) FROM t")
        assert await cursor.fetchone() == (1,)


async def test_a_black_hole_before_the_commit_leaves_nothing(tcp_proxy, postgres_url):
    p = await tcp_proxy("127.0.0.1", urllib.parse.urlsplit(postgres_url).port)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as direct:
        await direct.execute("CREATE TABLE t (a int)")
        connection = await psycopg.AsyncConnection.connect(p.url_for(postgres_url))
        await connection.execute("INSERT INTO t VALUES (1)")
        hole = p.add(BlackHole())
        commit = asyncio.create_task(connection.commit())
        await hole.has_fired()
        p.cut_all()
        with pytest.raises(psycopg.OperationalError):
            await commit
        await connection.close()
        cursor = await direct.execute("SELECT count(*) FROM t")
        assert await cursor.fetchone() == (0,)
