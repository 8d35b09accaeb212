"""A small S3 endpoint of our own for what real servers do not do on request: lose answers, lie, know less, run late.

It claims no likeness to AWS beyond what the tests that use it say; LocalStack and rclone prove the rest.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

Headers = dict[str, str]


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: Headers
    headers: Headers
    body: bytes


Script = Callable[[Seen], bytes | None]


def answer(status: int = 200, headers: Headers | None = None, body: bytes = b"") -> bytes:
    given = {"content-length": str(len(body)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(status: int, code: str, rest: str = "") -> bytes:
    return answer(status, body=f"<Error><Code>{code}</Code><Message>{code}</Message>{rest}</Error>".encode())


@dataclass
class Endpoint:
    """Answers by its script; where that gives None, reads the request and hangs up without a word.

    `keep`: remember bodies. `hang_up`: after each answer.
    """

    script: Script
    url: str = ""
    keep: bool = True
    hang_up: bool = False
    received: int = 0
    seen: list[Seen] = field(default_factory=list)

    @property
    def requests(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while said := await self._one(reader):
                writer.write(said if self.seen[-1].method != "HEAD" else said.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
                await writer.drain()
                if self.hang_up:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader) -> bytes | None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _version = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        if headers.get("expect") == "100-continue":
            raise AssertionError("nobody should wait for that here")
        left, body = int(headers.get("content-length", 0)), []
        while left:
            chunk = await reader.read(min(left, 65536))
            if not chunk:
                return None
            left -= len(chunk)
            self.received += len(chunk)
            if self.keep:
                body.append(chunk)
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.seen.append(Seen(method, unquote(parts.path), query, headers, b"".join(body)))
        return self.script(self.seen[-1])


@contextlib.asynccontextmanager
async def endpoint(script: Script, *, keep: bool = True) -> AsyncIterator[Endpoint]:
    here = Endpoint(script, keep=keep)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(here.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    here.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield here
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@dataclass
class Poor:
    """Objects in memory. `unknown`: headers that are answered with 501. `spoil`: what it does to a body. `date`: its clock."""

    unknown: tuple[str, ...] = ()
    spoil: Callable[[bytes], bytes] = bytes
    date: str = ""
    objects: dict[str, tuple[Headers, bytes]] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def __call__(self, seen: Seen) -> bytes:
        if any(name in seen.headers for name in self.unknown):
            return error(501, "NotImplemented")
        return getattr(self, seen.method.lower())(seen)

    def put(self, seen: Seen) -> bytes:
        if "uploadId" in seen.query:
            self.uploads[seen.query["uploadId"]][int(seen.query["partNumber"])] = seen.body
        else:
            self.objects[seen.path] = (_metadata(seen), self.spoil(seen.body))
        return answer(headers={"etag": '"e"'})

    def post(self, seen: Seen) -> bytes:
        if "uploads" in seen.query:
            upload_id = f"u{len(self.uploads)}"
            self.uploads[upload_id] = {}
            self.objects[upload_id] = (_metadata(seen), b"")
            return answer(
                body=f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>".encode()
            )
        parts = self.uploads.pop(seen.query["uploadId"])
        metadata, _ = self.objects.pop(seen.query["uploadId"])
        self.objects[seen.path] = (metadata, self.spoil(b"".join(parts[number] for number in sorted(parts))))
        return answer(body=b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')

    def head(self, seen: Seen) -> bytes:
        metadata, body = self.objects.get(seen.path, (None, b""))
        return answer(404) if metadata is None else answer(headers={"etag": '"e"', **metadata}, body=body)

    def get(self, seen: Seen) -> bytes:
        if "list-type" in seen.query:
            return answer(headers={"date": self.date} if self.date else {}, body=b"<ListBucketResult/>")
        if seen.path in self.objects:
            return answer(body=self.objects[seen.path][1])
        return error(404, "NoSuchUpload") if "uploadId" in seen.query or "uploads" in seen.query else error(501, "NotImplemented")

    def delete(self, seen: Seen) -> bytes:
        self.uploads.pop(seen.query.get("uploadId", ""), None)
        if "uploadId" not in seen.query:
            self.objects.pop(seen.path, None)
        return answer(204)


def _metadata(seen: Seen) -> Headers:
    return {name: value for name, value in seen.headers.items() if re.match("x-amz-meta-", name)}
