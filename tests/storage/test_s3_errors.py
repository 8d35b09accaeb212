"""Every refusal of an S3 endpoint has its error, by code where there is one, else by status."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from archiver.domain.errors import (
    ChecksumRefused,
    ObjectExists,
    ObjectMissing,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    Transient,
)
from archiver.storage.s3_control import translated
from archiver.storage.s3_errors import Refusal, S3Refused, error, parse


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (412, "PreconditionFailed", ObjectExists),
        (412, "", ObjectExists),
        (409, "ConditionalRequestConflict", StorageUnavailable),
        (409, "OperationAborted", StorageUnavailable),
        (400, "BadDigest", ChecksumRefused),
        (400, "InvalidDigest", ChecksumRefused),
        (400, "XAmzContentSHA256Mismatch", ChecksumRefused),
        (400, "InvalidPart", ChecksumRefused),
        (404, "NoSuchKey", ObjectMissing),
        (404, "NoSuchVersion", ObjectMissing),
        (404, "NoSuchUpload", ObjectMissing),
        (404, "NoSuchBucket", StorageRefused),
        (404, "", StorageUnavailable),
        (403, "AccessDenied", StorageRefused),
        (403, "", StorageRefused),
        (403, "SignatureDoesNotMatch", StorageRefused),
        (400, "ExpiredToken", StorageRefused),
        (301, "PermanentRedirect", StorageRefused),
        (400, "KMS.DisabledException", StorageRefused),
        (400, "EntityTooSmall", StorageRefused),
        (501, "NotImplemented", StorageRefused),
        (400, "RequestTimeout", StorageUnavailable),
        (400, "IncompleteBody", StorageUnavailable),
        (429, "", StorageUnavailable),
        (500, "InternalError", StorageUnavailable),
        (503, "SlowDown", StorageUnavailable),
        (502, "", StorageUnavailable),
        (507, "", StorageFull),
        (403, "QuotaExceeded", StorageFull),
        (200, "InternalError", StorageUnavailable),
    ],
)
def test_each_refusal_has_its_error_by_either_way(status, code, expected):
    raised = error(Refusal(status=status, code=code), "put of s3://b/k")
    assert isinstance(raised, expected)
    assert str(raised).startswith(f"put of s3://b/k: {status}")
    answer = {"Error": {"Code": code or str(status), "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert type(translated(ClientError(answer, "PutObject"), "put of s3://b/k")) is type(raised)
    if isinstance(raised, S3Refused):
        assert raised.code == code


@pytest.mark.parametrize(
    ("failure", "expected", "transient"),
    [
        (EndpointConnectionError(endpoint_url="https://x"), StorageUnavailable, True),
        (ReadTimeoutError(endpoint_url="https://x"), StorageUnavailable, True),
        (ConnectionClosedError(endpoint_url="https://x"), StorageUnavailable, True),
        (NoCredentialsError(), StorageRefused, False),
        (ParamValidationError(report="secret"), StorageRefused, False),
    ],
)
def test_what_boto3_raises_by_itself_has_its_error_too(failure, expected, transient):
    raised = translated(failure, "list")
    assert isinstance(raised, expected)
    assert isinstance(raised, Transient) == transient
    assert "secret" not in str(raised)


def test_a_document_gives_its_code_message_and_region_and_nothing_else():
    body = b"<?xml version='1.0'?><Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'a' is wrong</Message><Region>eu-west-1</Region><HostId>h</HostId></Error>"
    refusal = parse(400, body)
    assert refusal == Refusal(
        status=400, code="AuthorizationHeaderMalformed", message="the region 'a' is wrong", region="eu-west-1"
    )
    assert "hint: the bucket lies in eu-west-1: set storage.region" in str(error(refusal, "put"))


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"<html><title>502</title>", b"<Error><Code>" + b"x" * 9000, b"<Error><Code>a b</Code>"]
)
def test_a_document_that_is_none_gives_no_code(body):
    assert parse(502, body).code == ""


def test_a_message_stays_on_one_line_and_short():
    refusal = Refusal(status=400, code="InvalidRequest", message="a\r\nb\x1b[31m\u2028" + "word " * 100)
    said = str(error(refusal, "put"))
    assert said.isprintable()
    assert len(said) < 300
