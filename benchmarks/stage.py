"""A source and a sink that run, how clients reach them, and whether what arrived is what the source has."""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import certificates
from benchmarks.children import ROOT, cpu_of, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotWhole(Exception):
    """A client ended well and did not store what the source has: its figures are worth nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A source and a sink, and what the source's recordings should become."""

    folder: Path
    api: str
    media: str
    key: str
    endpoint: str
    expected: list[dict[str, Any]]
    certificates: certificates.Certificates
    tls: bool
    pids: tuple[int, int]

    @property
    def size(self) -> int:
        """Bytes of all recordings."""
        return sum(item["size"] for item in self.expected)

    @property
    def environment(self) -> dict[str, str]:
        """What every client is given."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
        files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "RCLONE_CONFIG": "/dev/null"}
        return kept | keys | files | {"PYTHONPATH": str(ROOT), **self.certificates.environment}

    def servers_cpu(self) -> float:
        """Seconds of CPU that source and sink took so far."""
        return sum(cpu_of(pid) for pid in self.pids)

    def sink(self, path: str, *, method: str = "GET") -> dict[str, Any]:
        """Asks the sink itself."""
        return self._ask(f"{self.endpoint}/{path}", method)

    def source(self, path: str, *, method: str = "GET") -> dict[str, Any]:
        """Asks the media server itself."""
        return self._ask(f"{self.media}/{path}", method)

    def _ask(self, url: str, method: str) -> dict[str, Any]:
        context = ssl.create_default_context(cafile=str(self.certificates.authority)) if self.tls else None
        with urllib.request.urlopen(urllib.request.Request(url, method=method), context=context) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def forget(self) -> None:
        """Empties the sink and the source's memory of requests."""
        self.sink("_reset", method="POST")
        self.source("_reset", method="POST")

    def check(self) -> list[str]:
        """Compares what the sink hashed with what the source has, part by part; which checksums the client sent with it.

        Raises NotWhole.
        """
        found = self.sink("_objects")
        arrived: dict[str, list[tuple[str, list[Any]]]] = {}
        for item in found["objects"]:
            if (match := _ID.search(item["key"])) is not None:
                arrived.setdefault(match[0], []).append((item["key"], item["parts"]))
        for wanted in self.expected:
            parts = [part for _, listed in sorted(arrived.get(wanted["id"], [])) for part in listed]
            self._compare(wanted, parts)
        if found["uploads"]:
            raise NotWhole(f"{found['uploads']} multipart uploads were left open")
        return list(found["sent"])

    def _compare(self, wanted: dict[str, Any], parts: Sequence[list[Any]]) -> None:
        sizes = [size for size, _ in parts]
        if sum(sizes) != wanted["size"]:
            raise NotWhole(f"{wanted['id']}: {sum(sizes)} bytes arrived, the source has {wanted['size']}")
        digests = [wanted["sha256"]]
        if len(parts) > 1:
            digests = self.source(f"_digests/{wanted['id']}/{','.join(map(str, sizes))}")["sha256"]
        if [digest for _, digest in parts] != digests:
            raise NotWhole(f"{wanted['id']}: the bytes that arrived are not the source's")


@contextlib.contextmanager
def stage(folder: Path, *source: str, tls: bool) -> Iterator[Stage]:
    """A source started with the words given, and a sink."""
    folder.mkdir(parents=True, exist_ok=True)
    certs = certificates.make(folder)
    secure = ["--tls", str(certs.certificate), str(certs.key)] if tls else []
    manifest = folder / "manifest.json"
    with (
        serving("benchmarks.source", "--manifest", str(manifest), *source, *secure) as places,
        serving("benchmarks.sink", *secure) as sink,
    ):
        yield Stage(
            folder=folder,
            api=places["api"],
            media=places["media"],
            key=places["key"],
            endpoint=sink["endpoint"],
            expected=json.loads(manifest.read_text()),
            certificates=certs,
            tls=tls,
            pids=(places["pid"], sink["pid"]),
        )
