"""An S3 server of the testbed and its buckets, whichever program serves them."""

import dataclasses
import functools
import itertools
import uuid
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# One pair for every server. LocalStack reads an account out of the key and accepts presigned URLs with this secret only.
ACCESS_KEY = "test"
SECRET_KEY = "test"
REGION = "us-east-1"

_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class S3Server:
    """Where an S3 server listens and who may come in."""

    endpoint_url: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 finds these credentials; the endpoint is configuration, not environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    @functools.cached_property
    def client(self) -> "S3Client":
        """A boto3 client with path addressing and no retries; `close()` only empties its pool, so that it can be used again."""
        return self.new_client()

    def new_client(self, *, endpoint_url: str | None = None) -> "S3Client":
        """Return a client of its own, for instance through a fault proxy in front of the server. The caller closes it."""
        return _session().client(
            "s3",
            endpoint_url=endpoint_url or self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
        )

    def new_bucket(self, *, locked: bool = False) -> "Bucket":
        """Make a bucket that no other test has; `locked`: with versioning and Object Lock, and no default retention."""
        name = f"test-{next(_numbers)}-{uuid.uuid4().hex[:12]}"
        if locked:
            self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        else:
            self.client.create_bucket(Bucket=name)
        return Bucket(name=name, server=self, locked=locked)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One test's own bucket."""

    name: str
    server: S3Server
    locked: bool

    @property
    def url(self) -> str:
        """What goes into `storage.url`."""
        return f"s3://{self.name}"

    @property
    def endpoint_url(self) -> str:
        """What goes into `storage.endpoint_url`."""
        return self.server.endpoint_url

    @property
    def client(self) -> "S3Client":
        """The server's shared client; its sockets are closed when the bucket's fixture ends."""
        return self.server.client


@functools.cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()  # loading the service model costs 100 ms: once
