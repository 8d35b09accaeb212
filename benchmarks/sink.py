"""The S3 sink of a benchmark, a process of its own: keeps what it is told of objects and the digest of their bytes, not the bytes.

It refuses wrong checksums and honours If-None-Match, on puts and on completions, so that the product's probe finds a decent
endpoint and its whole verification runs; signatures are not checked. Prints one JSON line, then serves until its standard input
ends. `GET /_objects` tells what is there, `POST /_reset` forgets it.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import re
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from awscrt import checksums

from benchmarks.bodies import CRC, SHA, Blob, Refused, proofs, received
from benchmarks.http_threads import Server

if TYPE_CHECKING:
    from benchmarks.http_threads import Request

_NUMBER = re.compile(r"<PartNumber>(\d+)</PartNumber>")


@dataclass(slots=True)
class Upload:
    """A multipart upload under way."""

    key: str
    headers: dict[str, str]
    begun: str
    parts: dict[int, Blob] = field(default_factory=dict)


@dataclass(slots=True)
class Stored:
    """An object; more than one part where it came as such."""

    parts: list[Blob]
    headers: dict[str, str]
    at: str

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def etag(self) -> str:
        return f'"{self.parts[0].sha256.hex()[:32]}{f"-{len(self.parts)}" if len(self.parts) > 1 else ""}"'


class Sink:
    """One endpoint with any number of buckets; threads share it under one lock, held for dictionary work only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.sent: set[str] = set()  # how clients proved their bytes
        self.requests = 0

    def handle(self, request: Request) -> None:
        """Answers one request."""
        self.requests += 1
        path, _, text = request.target.partition("?")
        query = dict(parse_qsl(text, keep_blank_values=True))
        stamp = {"Date": formatdate(usegmt=True), "x-amz-request-id": "BENCHMARK", "Server": "sink"}
        try:
            status, headers, body, length = self._answer(request, unquote(path).lstrip("/"), query)
        except Refused as refused:
            xml = f"<Error><Code>{refused.code}</Code><Message>{refused.code}</Message></Error>".encode()
            status, headers, body, length = refused.status, {"Content-Type": "application/xml"}, xml, None
            if request.method == "HEAD":
                body, length = b"", 0
        request.connection.answer(status, stamp | headers, body, length=length)

    def _answer(self, request: Request, path: str, query: dict[str, str]) -> tuple[str, dict[str, str], bytes, int | None]:
        bucket, _, key = path.partition("/")
        body = received(request) if request.method in ("PUT", "POST") else None
        if bucket.startswith("_"):
            return self._control(request.method, bucket)
        if not key:
            return self._of_bucket(request.method, query)
        if request.method == "PUT":
            return self._put(path, request, query, body) if body else ("400 Bad Request", {}, b"", None)
        if request.method == "POST":
            return self._post(path, request, query)
        if request.method == "DELETE":
            with self._lock:
                (self.uploads if "uploadId" in query else self.objects).pop(query.get("uploadId", path), None)
            return "204 No Content", {}, b"", None
        if "uploadId" in query:
            return self._parts(query["uploadId"])
        return self._get(path, request)

    def _control(self, method: str, name: str) -> tuple[str, dict[str, str], bytes, int | None]:
        with self._lock:
            if method == "POST" and name == "_reset":
                self.objects.clear()
                self.uploads.clear()
                self.sent.clear()
            found = [
                {
                    "key": key,
                    "metadata": {name: value for name, value in item.headers.items() if name.startswith("x-amz-meta-")},
                    "parts": [[part.size, part.sha256.hex()] for part in item.parts],
                }
                for key, item in self.objects.items()
            ]
        answer = {"objects": found, "requests": self.requests, "uploads": len(self.uploads), "sent": sorted(self.sent)}
        return "200 OK", {"Content-Type": "application/json"}, json.dumps(answer).encode(), None

    def _of_bucket(self, method: str, query: dict[str, str]) -> tuple[str, dict[str, str], bytes, int | None]:
        if method in ("PUT", "HEAD"):
            return "200 OK", {}, b"", None
        if "object-lock" in query:
            raise Refused("404 Not Found", "ObjectLockConfigurationNotFoundError")
        if "versions" in query:
            return _xml("<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>")
        if "uploads" in query:
            return _xml("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
        if "versioning" in query or "location" in query:
            return _xml("<VersioningConfiguration/>" if "versioning" in query else "<LocationConstraint/>")
        return _xml("<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>")

    def _put(
        self, path: str, request: Request, query: dict[str, str], body: Blob
    ) -> tuple[str, dict[str, str], bytes, int | None]:
        if not body.kept:
            self.sent |= proofs(request.headers)
        if "uploadId" in query:
            with self._lock:
                upload = self.uploads.get(query["uploadId"])
                if upload is None:
                    raise Refused("404 Not Found", "NoSuchUpload")
                upload.parts[int(query["partNumber"])] = body
            return "200 OK", {"ETag": f'"{body.sha256.hex()[:32]}"', **_crc(body)}, b"", None
        stored = Stored([body], request.headers, _now())
        self._create(path, stored, request)
        return "200 OK", {"ETag": stored.etag, **_sent(stored)}, b"", None

    def _create(self, path: str, stored: Stored, request: Request) -> None:
        with self._lock:
            if request.headers.get("if-none-match") == "*" and path in self.objects:
                raise Refused("412 Precondition Failed", "PreconditionFailed")
            self.objects[path] = stored

    def _post(self, path: str, request: Request, query: dict[str, str]) -> tuple[str, dict[str, str], bytes, int | None]:
        if "uploads" in query:
            upload_id = f"upload-{next(self._numbers)}"
            with self._lock:
                self.uploads[upload_id] = Upload(path, request.headers, _now())
            return _xml(f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>")
        with self._lock:
            upload = self.uploads.get(query["uploadId"])
        if upload is None:
            raise Refused("404 Not Found", "NoSuchUpload")
        named = [int(number) for number in _NUMBER.findall(request.connection.text)]
        parts = [upload.parts[number] for number in named]
        stored = Stored(parts, upload.headers, _now())
        whole = _whole(parts)
        if request.headers.get(CRC, whole) != whole:
            raise Refused("400 Bad Request", "BadDigest")
        if int(request.headers.get("x-amz-mp-object-size", stored.size)) != stored.size:
            raise Refused("400 Bad Request", "InvalidRequest")
        self._create(path, stored, request)
        with self._lock:
            self.uploads.pop(query["uploadId"], None)
        checksum = f"<ChecksumCRC64NVME>{whole}</ChecksumCRC64NVME>" if whole else ""
        tag = stored.etag.replace('"', "&quot;")
        return _xml(f"<CompleteMultipartUploadResult><ETag>{tag}</ETag>{checksum}</CompleteMultipartUploadResult>")

    def _parts(self, upload_id: str) -> tuple[str, dict[str, str], bytes, int | None]:
        with self._lock:
            upload = self.uploads.get(upload_id)
            if upload is None:
                raise Refused("404 Not Found", "NoSuchUpload")
            rows = [
                f"<Part><PartNumber>{number}</PartNumber><Size>{part.size}</Size><ETag>&quot;{part.sha256.hex()[:32]}&quot;</ETag>"
                + "".join(f"<ChecksumCRC64NVME>{value}</ChecksumCRC64NVME>" for value in _crc(part).values())
                + "</Part>"
                for number, part in sorted(upload.parts.items())
            ]
        return _xml(f"<ListPartsResult><IsTruncated>false</IsTruncated>{''.join(rows)}</ListPartsResult>")

    def _get(self, path: str, request: Request) -> tuple[str, dict[str, str], bytes, int | None]:
        with self._lock:
            stored = self.objects.get(path)
        if stored is None:
            raise Refused("404 Not Found", "NoSuchKey")
        headers = {
            "ETag": stored.etag,
            "Last-Modified": stored.at,
            "Content-Type": stored.headers.get("content-type", "binary/octet-stream"),
            **{name: value for name, value in stored.headers.items() if name.startswith("x-amz-meta-")},
            **_sent(stored),
        }
        if request.method == "HEAD":
            return "200 OK", headers, b"", stored.size
        if len(stored.parts) > 1 or len(stored.parts[0].kept) != stored.size:
            raise Refused("500 Internal Server Error", "NotKept")
        return "200 OK", headers, stored.parts[0].kept, None


def _whole(parts: list[Blob]) -> str:
    total = 0
    for part in parts:
        if part.crc is None:
            return ""
        total = checksums.combine_crc64nvme(total, part.crc, part.size)
    return base64.b64encode(total.to_bytes(8, "big")).decode()


def _crc(blob: Blob) -> dict[str, str]:
    return {} if blob.crc is None else {CRC: base64.b64encode(blob.crc.to_bytes(8, "big")).decode()}


def _sent(stored: Stored) -> dict[str, str]:
    """The checksums that an object came with."""
    if len(stored.parts) > 1 or CRC in stored.headers or stored.headers.get("x-amz-checksum-algorithm") == "CRC64NVME":
        whole = _whole(stored.parts)
        return {CRC: whole, "x-amz-checksum-type": "FULL_OBJECT"} if whole else {}
    return {SHA: base64.b64encode(stored.parts[0].sha256).decode()} if SHA in stored.headers else {}


def _now() -> str:
    return datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def _xml(text: str) -> tuple[str, dict[str, str], bytes, int | None]:
    return "200 OK", {"Content-Type": "application/xml"}, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), None


def main(words: list[str] | None = None) -> None:
    """Serves until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink", description=__doc__)
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    options = parser.parse_args(words)
    server = Server(Sink().handle, tls=tuple(options.tls) if options.tls else None)
    server.start()
    sys.stdout.write(json.dumps({"endpoint": server.url}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
