"""What goes over the wire, and what is made of answers that no good server gives."""

import asyncio
import gc
import hashlib
import itertools
import os
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
from botocore.credentials import EnvProvider
from botocore.exceptions import PartialCredentialsError

from archiver.domain.errors import ChecksumRefused, ConfigurationError, ObjectMissing, StorageRefused, StorageUnavailable
from archiver.domain.ports import Lock, NewObject, Part
from archiver.storage import checksums
from archiver.storage.canaries import Dialect
from archiver.storage.s3 import S3
from archiver.storage.s3_control import Control, of_environment
from archiver.storage.s3_wire import Wire
from archiver.storage.settings import S3Settings
from archiver.storage.sigv4 import Credentials, encode_path
from tests.storage.conftest import MIB, now, token, until
from tests.storage.endpoint import Endpoint, answer, endpoint, error

BODY = b"some bytes of a recording"
NEW = NewObject(key="s/1/media.ogg", content_type="audio/ogg", metadata={"archiver-token": "t"})
OK = answer(headers={"etag": '"e"', "x-amz-version-id": "v1"})


def open_s3(here: Endpoint, **settings: object) -> S3:
    store = S3(S3Settings(**({"bucket": "bucket", "prefix": "p", "endpoint_url": here.url} | settings)), token, now)
    # As after the probe of a good endpoint: no HEAD before each creation.
    store._abilities = replace(store._abilities, conditional_put=True, conditional_complete=True)
    return store


async def put(store: S3, new: NewObject = NEW, body: bytes = BODY):
    try:
        return await store.put(new, body, sha256=hashlib.sha256(body).digest())
    finally:
        await store.aclose()


# Answers that never came, or should not be believed


async def test_a_put_whose_answer_is_lost_is_sent_once_and_may_have_happened():
    async with endpoint(lambda _seen: None) as here:
        with pytest.raises(StorageUnavailable, match="no answer"):
            await put(open_s3(here))
        assert here.requests == ["PUT /bucket/p/s/1/media.ogg"]


async def test_a_put_on_a_kept_connection_that_dies_is_not_sent_again():
    """aiohttp would: PUT is idempotent in general, but not where versions are kept (finding F9)."""
    async with endpoint(lambda _seen: OK if len(here.seen) == 1 else None) as here:
        store = open_s3(here)
        await store.put(NEW, BODY, sha256=hashlib.sha256(BODY).digest())
        with pytest.raises(StorageUnavailable):
            await put(store)
        assert len(here.seen) == 2


async def test_a_lost_part_is_sent_again_but_not_for_ever():
    async with endpoint(lambda _seen: None if len(here.seen) < 3 else OK) as here:
        store = open_s3(here)
        assert (await store.put_part(NEW.key, "u", 1, BODY)).etag == '"e"'
        here.seen.clear()
        here.script = lambda _seen: error(503, "SlowDown")
        with pytest.raises(StorageUnavailable, match="SlowDown"):
            await store.put_part(NEW.key, "u", 1, BODY)
        assert len(here.seen) == 3
        await store.aclose()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer(), StorageUnavailable),
        (answer(204, {"etag": '"e"'}), StorageUnavailable),
        (
            answer(headers={"etag": '"e"'}, body=b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"),
            StorageUnavailable,
        ),
        (answer(body=b"<html>Welcome to the hotel's network"), StorageUnavailable),
        (answer(headers={"etag": '"e"', "x-amz-checksum-sha256": "AAAA"}), ChecksumRefused),
        (answer(404, body=b"<html>no such page"), StorageUnavailable),
        (answer(302, {"location": "http://127.0.0.1:1/"}), StorageRefused),
    ],
)
async def test_a_success_is_believed_only_where_it_is_s3s_own(said, expected):
    async with endpoint(lambda _seen: said) as here:
        with pytest.raises(expected):
            await put(open_s3(here))
        assert len(here.seen) == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer(), "not XML"),
        (answer(body=b"<CompleteMultipartUploadResult/>"), "without saying"),
        (answer(body=b"   \n<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"), "InternalError"),
    ],
)
async def test_a_completion_answered_with_nothing_is_no_success(said, expected):
    """botocore returns the first as one, with ETag None (finding F10); the last begins with what kept the connection alive."""
    async with endpoint(lambda _seen: said) as here:
        store = open_s3(here)
        with pytest.raises(StorageUnavailable, match=expected):
            await store.complete(NEW, "u", [Part(number=1, size=1, etag="e")])
        await store.aclose()


async def test_an_upload_is_begun_and_completed_as_boto3_does_it():
    """Not only what is said, also where: a header under another name would be no condition and no checksum at all."""
    lock = Lock(mode="compliance", retain_until=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))
    new = replace(NEW, metadata={"archiver-token": "t", "note": "a b"}, lock=lock)
    parts = [Part(number=n, size=5, etag=f'"{n}<&"', checksum="AAAAAAAAAAA=") for n in (1, 2)]
    whole = checksums.whole(parts)
    said = {
        "POST uploads": answer(body=b"<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>"),
        "POST uploadId": answer(body=b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"),
    }

    def script(seen):
        return said[f"{seen.method} {'uploads' if 'uploads' in seen.query else 'uploadId'}"]

    async with endpoint(script) as here:
        store = open_s3(here, kms_key_id="k", sse="aws:kms", storage_class="STANDARD_IA", expected_bucket_owner="1" * 12)
        store._dialect = replace(store._dialect, part_checksum="CRC64NVME", if_none_match=True)
        upload_id = await store.begin(new)
        await store.complete(new, upload_id, parts)
        named = {"Key": f"p/{new.key}"}
        await store._control.call(
            "create_multipart_upload",
            "x",
            **named,
            ContentType=new.content_type,
            Metadata=dict(new.metadata),
            ChecksumAlgorithm="CRC64NVME",
            ChecksumType="FULL_OBJECT",
            StorageClass="STANDARD_IA",
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId="k",
            ObjectLockMode="COMPLIANCE",
            ObjectLockRetainUntilDate=lock.retain_until,
        )
        listed_parts = [{"PartNumber": part.number, "ETag": part.etag, "ChecksumCRC64NVME": part.checksum} for part in parts]
        await store._control.call(
            "complete_multipart_upload",
            "x",
            **named,
            UploadId=upload_id,
            MpuObjectSize=10,
            MultipartUpload={"Parts": listed_parts},
            ChecksumCRC64NVME=whole,
            ChecksumType="FULL_OBJECT",
            IfNoneMatch="*",
        )
        await store.aclose()
        ours, theirs = here.seen[:2], here.seen[2:]
    for mine, botos in zip(ours, theirs, strict=True):
        assert (mine.method, mine.path, mine.query) == (botos.method, botos.path, botos.query)
        assert _telling(mine.headers) == _telling(botos.headers)
        assert _elements(mine.body) == _elements(botos.body)


def _telling(headers: dict[str, str]) -> dict[str, str]:
    """What an object is made by: neither who asks nor how it is signed."""
    told = {name: value for name, value in headers.items() if name.startswith("x-amz-") or name == "if-none-match"}
    lock = told.get("x-amz-object-lock-retain-until-date")
    if lock:
        told["x-amz-object-lock-retain-until-date"] = datetime.fromisoformat(lock).isoformat()
    return {name: value for name, value in told.items() if name not in ("x-amz-date", "x-amz-content-sha256")}


def _elements(body: bytes) -> object:
    def tree(element: ET.Element) -> object:
        text = element.text if len(element) == 0 else None
        return element.tag, text, sorted(map(tree, element), key=str)

    return tree(ET.fromstring(body)) if body else None


@pytest.mark.parametrize("said", [answer(headers={"content-length": "100"}, body=b"short"), None])
async def test_an_object_that_ends_early_is_no_object(said):
    async with endpoint(lambda _seen: said) as here:
        here.hang_up = True
        store = open_s3(here)
        with pytest.raises(StorageUnavailable, match="no answer"):
            await _drain(store)
        await store.aclose()


async def _drain(store: S3) -> None:
    async for _chunk in store.read("k"):
        pass


async def test_a_page_of_a_proxy_does_not_mean_that_an_object_is_missing():
    async with endpoint(lambda _seen: answer(404, body=b"<html>")) as here:
        store = open_s3(here)
        with pytest.raises(StorageUnavailable):
            await _drain(store)
        here.script = lambda _seen: error(404, "NoSuchKey")
        with pytest.raises(ObjectMissing):
            await _drain(store)
        await store.aclose()


async def test_a_bucket_elsewhere_is_refused_with_its_region_and_nobody_follows():
    async with endpoint(
        lambda _seen: answer(301, {"x-amz-bucket-region": "eu-west-1", "location": "http://127.0.0.1:1/"})
    ) as here:
        with pytest.raises(StorageRefused, match=r"hint: the bucket lies in eu-west-1: set storage\.region"):
            await put(open_s3(here))
        assert len(here.seen) == 1


async def test_no_secret_and_no_document_gets_into_a_message(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "FwoGZXIvYXdzEXAMPLE" * 6)

    def script(seen):
        told = (
            f"<StringToSign>{seen.headers['authorization']}</StringToSign><Token>{seen.headers['x-amz-security-token']}</Token>"
        )
        message = f"AKIAIOSFODNN7EXAMPLE {seen.headers['x-amz-security-token']} {seen.headers['authorization'][-64:]}"
        return answer(403, body=f"<Error><Code>SignatureDoesNotMatch</Code><Message>{message}</Message>{told}</Error>".encode())

    async with endpoint(script) as here:
        with pytest.raises(StorageRefused) as caught:
            await put(open_s3(here))
        [seen] = here.seen
        for secret in ("FwoG", "AKIA", seen.headers["authorization"][-64:], "StringToSign", "AWS4-HMAC"):
            assert secret not in str(caught.value)
        assert "SignatureDoesNotMatch" in str(caught.value)


async def test_no_credentials_is_a_refusal_that_says_what_to_do(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    async with endpoint(lambda _seen: OK) as here:
        with pytest.raises(StorageRefused, match="hint: set AWS_ACCESS_KEY_ID"):
            await put(open_s3(here))
        assert here.seen == []


@pytest.mark.parametrize("reads", [True, False])
async def test_a_connection_on_which_nothing_moves_is_given_up(monkeypatch, reads):
    """Before the answer (it reads, and never says anything) and before the body is through (it does not even read)."""
    monkeypatch.setattr("archiver.storage.s3_lines.STALL", 0.2)
    over, ended = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reads:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(body))
        await over.wait()
        writer.transport.abort()
        ended.set()

    body = bytes(100) if reads else bytes(16 * MIB)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    store = open_s3(Endpoint(lambda _seen: OK, url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    with pytest.raises(StorageUnavailable, match="Timeout"):
        await put(store, body=body)
    over.set()
    await ended.wait()
    server.close()
    await server.wait_closed()


async def test_nobody_listening_is_unavailable():
    async with endpoint(lambda _seen: OK) as here:
        pass
    with pytest.raises(StorageUnavailable, match="no answer"):
        await put(open_s3(here))


# What is said


async def test_a_put_says_everything_that_protects_the_object():
    lock = Lock(mode="compliance", retain_until=datetime(2033, 2, 28, 12, 0, 0, 1, tzinfo=UTC))
    new = NewObject(key=NEW.key, content_type="audio/ogg", metadata=NEW.metadata, lock=lock)
    async with endpoint(lambda _seen: OK) as here:
        made = await put(
            open_s3(here, sse="aws:kms", kms_key_id="key-1", storage_class="GLACIER_IR", expected_bucket_owner="123456789012"),
            new,
        )
        [seen] = here.seen
    assert made.version_id == "v1"
    assert seen.body == BODY
    expected = {
        "if-none-match": "*",
        "content-type": "audio/ogg",
        "x-amz-meta-archiver-token": "t",
        "x-amz-content-sha256": hashlib.sha256(BODY).hexdigest(),
        "x-amz-object-lock-mode": "COMPLIANCE",
        "x-amz-object-lock-retain-until-date": "2033-02-28T12:00:01Z",  # rounded up: only ever longer (I10)
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
        "x-amz-storage-class": "GLACIER_IR",
        "x-amz-expected-bucket-owner": "123456789012",
    }
    assert {name: seen.headers.get(name) for name in expected} == expected
    signed = seen.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert set(signed) >= {*expected, "host", "x-amz-checksum-sha256", "x-amz-date"}
    assert "cookie" not in seen.headers


async def test_a_deletion_names_a_version_also_where_it_has_none_to_name():
    async with endpoint(lambda _seen: answer(204)) as here:
        store = open_s3(here)
        await store.delete(NEW.key, "v7")
        await store.delete(NEW.key, "")
        await store.aclose()
    assert [(seen.method, seen.query.get("versionId")) for seen in here.seen] == [("DELETE", "v7"), ("DELETE", "null")]


async def test_an_upload_is_aborted_until_the_part_that_was_under_way_is_gone_too():
    """Finding F8: a part may land behind the first abort, and would be paid for for ever."""
    late = b"<ListPartsResult><Part><PartNumber>1</PartNumber><Size>7</Size><ETag>e</ETag></Part></ListPartsResult>"

    def script(seen):
        if seen.method == "DELETE":
            return answer(204)
        return answer(body=late) if here.requests.count("DELETE /bucket/p/s/1/media.ogg") < 2 else error(404, "NoSuchUpload")

    async with endpoint(script) as here:
        store = open_s3(here)
        await store.abort(NEW.key, "u")
        await store.aclose()
    assert [seen.method for seen in here.seen] == ["DELETE", "GET", "DELETE", "GET"]


async def test_every_operation_names_the_owner_it_expects():
    async with endpoint(lambda _seen: error(400, "InvalidArgument")) as here:
        store = open_s3(here, expected_bucket_owner="123456789012")
        for attempt in (
            store.put(NEW, BODY, sha256=bytes(32)),
            store.begin(NEW),
            store.put_part(NEW.key, "u", 1, BODY),
            store.parts(NEW.key, "u"),
            store.complete(NEW, "u", [Part(number=1, size=1, etag="e")]),
            store.abort(NEW.key, "u"),
            store.head(NEW.key),
            _drain(store),
            store.delete(NEW.key, "v"),
            store.probe(),
            anext(store.uploads()),
            anext(store.keys("")),
        ):
            with pytest.raises(StorageRefused):
                await attempt
        await store.aclose()
    assert len(here.seen) >= 12
    assert {seen.headers.get("x-amz-expected-bucket-owner") for seen in here.seen} == {"123456789012"}
    assert not any("bypass" in name for seen in here.seen for name in seen.headers)


async def test_neither_plane_goes_where_the_environment_points(monkeypatch):
    async with endpoint(lambda _seen: error(500, "InternalError")) as elsewhere, endpoint(lambda _seen: OK) as here:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(name, elsewhere.url)
        store = open_s3(here)
        await store.delete(NEW.key, "v")
        await put(store)
        assert elsewhere.seen == []
        assert len(here.seen) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"region": "us-east-1"},
        {"region": "eu-central-1"},
        {"region": "cn-north-1"},
        {"region": "us-east-1", "bucket": "with.dots"},
        {"region": "eu-west-1", "addressing_style": "path"},
        {"endpoint_url": "https://minio.example:9000"},
        {"endpoint_url": "https://minio.example:9000", "addressing_style": "virtual"},
        {"endpoint_url": "https://[2001:db8::1]:9000"},
        {"endpoint_url": "http://127.0.0.1:80"},
    ],
)
async def test_both_planes_find_the_bucket_at_the_same_address(settings):
    given = S3Settings(**({"bucket": "bucket"} | settings))
    control = Control(given)
    wire = Wire(given, control, now)
    await wire._connect()
    url = urlsplit(control._client().generate_presigned_url("get_object", Params={"Bucket": given.bucket, "Key": "a/b-1.ogg"}))
    theirs = (url.scheme, url.netloc.removesuffix(":80"), url.path)
    await wire.aclose()
    await control.aclose()
    ours = urlsplit(wire._origin)
    assert (ours.scheme, wire._host, encode_path(f"{wire._root}/a/b-1.ogg")) == theirs
    assert wire._host == ours.netloc


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bucket": ""}, "bucket"),
        ({"bucket": "a/b"}, "bucket"),
        ({"prefix": "../up"}, "prefix"),
        ({"prefix": "a//b"}, "prefix"),
        ({"endpoint_url": "http://s3.example"}, "hint: use https"),
        ({"endpoint_url": "http://127.0.0.1.example"}, "hint: use https"),
        ({"endpoint_url": "https://key:secret@s3.example"}, "credentials"),
        ({"endpoint_url": "ftp://s3.example"}, "address"),
        ({"addressing_style": "vhost"}, "auto, path, virtual"),
        ({"object_lock": "on"}, "off, governance, compliance"),
        ({"part_size": 1024}, "part_size"),
    ],
)
def test_settings_that_cannot_work_or_would_leak_are_refused(wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        S3Settings(**({"bucket": "bucket"} | wrong))
    assert S3Settings(bucket="bucket", endpoint_url="http://localhost:9000").virtual is False


@pytest.mark.parametrize("place", ["environment", "file"])
async def test_expired_credentials_are_asked_for_again(monkeypatch, tmp_path, place):
    def set_credentials(key: str) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        if place == "file":
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
            (tmp_path / "credentials").write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")

    set_credentials("FIRST")
    async with endpoint(lambda _seen: error(400, "ExpiredToken")) as here:
        store = open_s3(here)
        with pytest.raises(StorageRefused, match="ExpiredToken"):
            await _drain(store)
        set_credentials("SECOND")
        store._control._session = None  # boto3 itself keeps what a file said
        with pytest.raises(StorageRefused):
            await _drain(store)
        assert [seen.headers["authorization"].partition("Credential=")[2].partition("/")[0] for seen in here.seen] == [
            "FIRST",
            "SECOND",
        ]
        await store.aclose()


def test_credentials_of_the_environment_are_those_that_boto3_would_find():
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
    for values in itertools.product((None, "", "a"), (None, "", "b"), (None, "", "c"), (None, "", "d")):
        environ = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        found = of_environment(environ)
        try:
            theirs = EnvProvider(environ).load()
        except PartialCredentialsError:
            theirs = None
        if theirs is None:
            assert found is None, environ
        else:
            assert found == Credentials(access_key=theirs.access_key, secret_key=theirs.secret_key, token=theirs.token or "")
    assert of_environment({**environ, "AWS_CREDENTIAL_EXPIRATION": "2026-01-01T00:00:00Z"}) is None


async def test_what_every_run_needs_goes_without_boto3():
    """It takes a third of a start: nothing here may bring it back unnoticed."""
    begun = answer(body=b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    made = answer(body=b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
    said = {"versions": listed("Versions"), "uploads": begun, "partNumber": OK, "uploadId": made}
    async with endpoint(lambda seen: next((said[name] for name in said if name in seen.query), OK)) as here:
        store = open_s3(here)
        assert [stored async for stored in store.keys("")] == []
        await store.put(NEW, BODY, sha256=hashlib.sha256(BODY).digest())
        upload_id = await store.begin(NEW)
        await store.complete(NEW, upload_id, [await store.put_part(NEW.key, upload_id, 1, BODY)])
        assert (store._control._session, store._control._s3) == (None, None)
        await store.aclose()


# Lists


def listed(kind: str, *entries: str, about: str = "") -> object:
    document = f"<List{kind}Result xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{about}{''.join(entries)}</List{kind}Result>"
    return answer(body=f"<?xml version='1.0'?>\n{document}".encode())


async def _objects(store: S3) -> list[str]:
    return [found.key async for found in store._requests.objects("")]


async def test_a_list_goes_on_where_its_page_says_and_keys_come_back_as_they_were_written():
    entry = "<Contents><Key>p/{}</Key><Size>1</Size></Contents>"
    encoded = "<EncodingType>url</EncodingType>"
    pages = [
        listed(
            "Bucket",
            entry.format("a%2Fb+c%0A"),
            about=f"{encoded}<IsTruncated>true</IsTruncated><NextContinuationToken>t+/=</NextContinuationToken>",
        ),
        listed("Bucket", entry.format("z%2Bz"), about=f"{encoded}<IsTruncated>false</IsTruncated>"),
    ]
    async with endpoint(lambda _seen: pages[len(here.seen) - 1]) as here:
        store = open_s3(here)
        assert await _objects(store) == ["a/b c\n", "z+z"]
        await store.aclose()
        asked = {"list-type": "2", "encoding-type": "url", "prefix": "p/"}
        assert [seen.query for seen in here.seen] == [asked, asked | {"continuation-token": "t+/="}]


async def test_keys_are_taken_literally_where_the_endpoint_does_not_encode_them():
    said = listed("Bucket", "<Contents><Key>p/100%25+1</Key><Size>1</Size></Contents>")
    async with endpoint(lambda _seen: said) as here:
        store = open_s3(here)
        assert await _objects(store) == ["100%25+1"]
        await store.aclose()


@pytest.mark.parametrize(
    "said",
    [
        answer(body=b"<html>Welcome to the hotel's network</html>"),
        answer(body=b"not even that"),
        answer(body=b""),
        answer(body=b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><ListBucketResult>&a;</ListBucketResult>"),
        answer(body=b"<ListBucketResult><Contents><Key>p/half"),
        listed("Bucket", "<Contents><Size>1</Size></Contents>"),
        listed("Bucket", "<Contents><Key>p/a</Key><Size>many</Size></Contents>"),
        listed("Bucket", about="<IsTruncated>true</IsTruncated>"),
    ],
)
async def test_what_is_no_list_is_never_an_empty_one(said):
    """An empty list of erasures, or of objects to audit, is an answer that others rely on."""
    async with endpoint(lambda _seen: said) as here:
        store = open_s3(here)
        with pytest.raises(StorageUnavailable):
            await _objects(store)
        await store.aclose()


async def test_a_list_that_says_there_is_more_behind_the_same_place_ends():
    said = listed("Bucket", about="<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>")
    async with endpoint(lambda _seen: said) as here:
        store = open_s3(here)
        with pytest.raises(StorageUnavailable, match="and not where"):
            await _objects(store)
        await store.aclose()


async def test_a_page_that_got_no_answer_is_asked_for_again_but_not_for_ever():
    async with endpoint(lambda _seen: error(503, "SlowDown") if len(here.seen) < 3 else listed("Bucket")) as here:
        store = open_s3(here)
        assert await _objects(store) == []
        here.seen.clear()
        here.script = lambda _seen: error(503, "SlowDown")
        with pytest.raises(StorageUnavailable, match="SlowDown"):
            await _objects(store)
        assert len(here.seen) == 3
        await store.aclose()


# Memory


async def test_a_part_is_sent_from_the_callers_buffer_and_never_held_twice():
    body = bytearray(os.urandom(MIB) * 48)
    async with endpoint(lambda _seen: OK, keep=False) as here:
        store = open_s3(here)
        await store.put_part(NEW.key, "u", 1, BODY)  # connections and clients are there
        tracemalloc.start()
        await store.put_part(NEW.key, "u", 1, memoryview(body))
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await store.aclose()
    assert peak < 3 * MIB


async def test_a_cancelled_put_lets_go_of_the_buffer_and_the_connection():
    async with endpoint(lambda _seen: OK, keep=False) as here:
        store, body = open_s3(here), bytearray(32 * MIB)
        running = asyncio.ensure_future(store.put_part(NEW.key, "u", 1, memoryview(body)))
        await until(lambda: here.received >= MIB)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        del running
        await store.aclose()
    gc.collect()  # the traceback's frames
    body.clear()  # BufferError while somebody still holds a view of it


# A dialect that is not AWS's


async def test_parts_travel_with_the_checksum_the_probe_settled_on():
    async with endpoint(lambda _seen: OK) as here:
        store = open_s3(here)
        for algorithm, header in (
            ("CRC64NVME", "x-amz-checksum-crc64nvme"),
            ("SHA256", "x-amz-checksum-sha256"),
            ("MD5", "content-md5"),
            ("", None),
        ):
            store._dialect = Dialect(part_checksum=algorithm)
            part = await store.put_part(NEW.key, f"u{algorithm}", 1, BODY)
            sent = [name for name in here.seen[-1].headers if "checksum" in name or "md5" in name]
            assert sent == ([header] if header else [])
            assert part.checksum == (here.seen[-1].headers[header] if algorithm in ("CRC64NVME", "SHA256") else "")
        await store.aclose()
