"""Real servers and real faults on loopback: what the tests of every package stand on.

Fixtures, from tests/conftest.py: `postgres_url` (and `postgres`, for templates), `s3_bucket`, `locked_bucket` (LocalStack),
`rclone_bucket`, the servers `localstack` and `rclone_s3`, `tcp_proxy`, `browser_page`.

Which server proves what: LocalStack proves conditional writes, versioning, Object Lock, refused checksums and presigned URLs;
rclone proves that signatures and the clock are right, and shows an S3-compatible that enforces nothing else.
"""
