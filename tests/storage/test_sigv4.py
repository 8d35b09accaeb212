"""Our signer and botocore's S3SigV4Auth make the same of the same request."""

import random
import string
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Theirs

from archiver.storage.sigv4 import EMPTY, UNSIGNED, Credentials, Signer, encode_path, encode_query

ODD = string.ascii_letters + string.digits + "-_.~!*'();:@&=+$,/?#[]%^{}|\\\"<>` äß€😀\t\u202e"


def text(chance: random.Random, low: int, high: int, letters: str = ODD) -> str:
    return "".join(chance.choice(letters) for _ in range(chance.randint(low, high)))


def botocores(
    request: dict, credentials: Credentials, region: str, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: at)
    url = f"https://{request['headers']['host']}{request['path']}" + (f"?{request['query']}" if request["query"] else "")
    signed = AWSRequest(method=request["method"], url=url, headers=dict(request["headers"]))

    class Auth(S3SigV4Auth):
        def payload(self, _request):  # otherwise it would hash a body
            return request["payload"]

    Auth(Theirs(credentials.access_key, credentials.secret_key, credentials.token or None), "s3", region).add_auth(signed)
    return {name.lower(): value for name, value in signed.headers.items()}


@pytest.mark.parametrize("seed", range(4))
def test_random_requests_are_signed_as_botocore_signs_them(seed, monkeypatch):
    chance = random.Random(seed)
    region = chance.choice(["us-east-1", "eu-central-1", "auto"])
    signer = Signer(region)
    at = datetime(2026, 2, 28, 23, 0, 0, tzinfo=UTC)
    for _ in range(750):
        at += timedelta(seconds=chance.randint(0, 7200))
        credentials = Credentials(
            access_key=text(chance, 16, 20, string.ascii_uppercase),
            secret_key=text(chance, 1, 60),
            token=chance.choice(["", text(chance, 20, 300, string.ascii_letters + "+/=")]),
        )
        headers = {"host": chance.choice(["127.0.0.1:9000", "bucket.s3.amazonaws.com", "[::1]:9000"])}
        for name in chance.sample(["content-type", "if-none-match", "x-amz-meta-a", "x-amz-checksum-sha256", "content-md5"], 3):
            headers[name] = text(chance, 0, 40, ODD.replace("\t", "")) + chance.choice(["", "  x  y "])
        request = {
            "method": chance.choice(["PUT", "GET", "HEAD"]),
            "path": encode_path("/" + text(chance, 0, 60)),
            "query": encode_query([(text(chance, 1, 9), text(chance, 0, 9)) for _ in range(chance.randint(0, 4))]),
            "headers": headers,
            "payload": chance.choice([EMPTY, UNSIGNED, "ab" * 32]),
        }
        ours = signer.sign(credentials, at, **request)
        theirs = botocores(request, credentials, region, at, monkeypatch)
        assert ours == theirs, request


def test_an_example_of_aws_is_signed_as_printed():
    """AWS, "Authenticating Requests: Using the Authorization Header", GET Object."""
    credentials = Credentials(access_key="AKIAIOSFODNN7EXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    signed = Signer("us-east-1").sign(
        credentials,
        datetime(2013, 5, 24, tzinfo=UTC),
        method="GET",
        path="/test.txt",
        query="",
        headers={"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9"},
        payload=EMPTY,
    )
    assert signed["authorization"].endswith("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


def test_a_new_day_and_a_new_secret_get_a_new_key():
    signer, at = Signer("r"), datetime(2026, 1, 1, tzinfo=UTC)
    request = {"method": "GET", "path": "/", "query": "", "headers": {"host": "h"}, "payload": EMPTY}
    for secret, day in (("a", at), ("b", at), ("b", at + timedelta(days=1)), ("a", at)):
        credentials = Credentials(access_key="k", secret_key=secret)
        assert signer.sign(credentials, day, **request) == Signer("r").sign(credentials, day, **request)


def test_secrets_stay_out_of_the_repr():
    shown = repr(Credentials(access_key="AKIA", secret_key="wJalr", token="FwoG"))
    assert "wJalr" not in shown
    assert "FwoG" not in shown
