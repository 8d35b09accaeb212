"""The servers of the testbed are what testbed.md says they are."""

import datetime as dt

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.testbed.postgres import url_of


def test_every_test_gets_an_empty_database_of_its_own(postgres, postgres_url):
    with postgres.database() as other, psycopg.connect(postgres_url) as one, psycopg.connect(other) as two:
        one.execute("CREATE TABLE t (a int)")
        one.commit()
        assert two.execute("SELECT to_regclass('t')").fetchone() == (None,)
        assert one.execute("SHOW server_encoding").fetchone() == ("UTF8",)
    one.close()
    two.close()


def test_localstack_keeps_what_is_locked(locked_bucket):
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    put = locked_bucket.client.put_object(
        Bucket=locked_bucket.name, Key="k", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        locked_bucket.client.delete_object(
            Bucket=locked_bucket.name, Key="k", VersionId=put["VersionId"], BypassGovernanceRetention=True
        )


def test_localstack_refuses_a_second_conditional_put(s3_bucket):
    s3_bucket.client.put_object(Bucket=s3_bucket.name, Key="k", Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3_bucket.client.put_object(Bucket=s3_bucket.name, Key="k", Body=b"y", IfNoneMatch="*")


def test_rclone_serves_bytes_and_knows_no_conditions(rclone_bucket):
    rclone_bucket.client.put_object(Bucket=rclone_bucket.name, Key="a/b", Body=b"x")
    rclone_bucket.client.put_object(Bucket=rclone_bucket.name, Key="a/b", Body=b"yy", IfNoneMatch="*")
    answer = rclone_bucket.client.get_object(Bucket=rclone_bucket.name, Key="a/b")
    assert answer["Body"].read() == b"yy"


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        ("postgresql://u:p%40s@h:1/x", "postgresql://u:p%40s@h:1/n"),
        ("host=h user=u dbname=x sslmode=require", "postgresql://u@h:5432/n?sslmode=require"),
        ("host=/run/pg user=u", "postgresql://u@:5432/n?host=%2Frun%2Fpg"),
    ],
)
def test_both_forms_of_a_dsn_become_a_url(dsn, url):
    assert url_of(dsn, "n") == url
