"""Multipart uploads in a folder: one data file beside its key, one manifest under `.uploads/` that survives the process.

Everything here blocks and runs in threads. Part n lies at (n - 1) x slot in the data file, the slot being the part size when
the upload began. The manifest has a line for the upload and one for each part, added once the part is durable; the last line
for a number counts, and one without a size says that the part is being replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ChecksumRefused, ObjectMissing, StorageRefused
from archiver.domain.ports import OpenUpload, Part
from archiver.storage import file_tree
from archiver.storage.checksums import crc64nvme, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from archiver.storage.file_tree import Stop

FOLDER = ".uploads"
_DATA = ".upload-"
_MANIFEST = ".jsonl"
_MAX_PARTS = 10_000  # S3's limit, kept so that an archive can move there
_COPY = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An upload as its manifest describes it; `slot` is in bytes."""

    key: str
    slot: int
    begun_at: datetime
    parts: Mapping[int, Part]

    @property
    def contiguous(self) -> bool:
        """Whether the parts lie in the data file as they have to lie in the object."""
        *whole, last = sorted(self.parts)
        return last == len(self.parts) and all(self.parts[number].size == self.slot for number in whole)


def begin(root: Path, key: str, upload_id: str, *, slot: int) -> None:
    """Begins an upload: manifest first, so that what is left of a killed one can be listed and dropped."""
    with file_tree.folder(root, [FOLDER], create=True) as folder:
        file_tree.sweep(folder)
        temporary = file_tree.TEMPORARY + upload_id
        handle = file_tree.create(folder, temporary)
        try:
            begun_at = os.fstat(handle).st_mtime  # the file system's clock: threads have no other
            _add(handle, {"key": key, "slot": slot, "begun_at": begun_at})
            os.rename(temporary, upload_id + _MANIFEST, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            file_tree.remove(folder, temporary)
            os.close(handle)
        os.fsync(folder)
    with _beside(root, key, create=True) as parent:
        os.close(file_tree.create(parent, _DATA + upload_id))
        os.fsync(parent)


def put_part(root: Path, key: str, upload_id: str, number: int, body: memoryview, stop: Stop) -> Part:
    """Writes one part and records it; raises ObjectMissing where the upload is unknown or an object already."""
    with _manifest(root, upload_id, os.O_RDWR | os.O_APPEND) as handle:
        manifest = _read(handle, key, upload_id)
        if not 1 <= number <= _MAX_PARTS or len(body) > manifest.slot:
            raise StorageRefused(
                f"{key}: part {number} of {len(body)} bytes (accepted: numbers 1 to {_MAX_PARTS}, at most {manifest.slot} bytes)"
            )
        etag = spelled(crc64nvme(body))
        part = Part(number=number, size=len(body), etag=etag, checksum=etag)
        with _beside(root, key) as parent, _open(parent, _DATA + upload_id, os.O_RDWR) as data:
            if os.fstat(data).st_nlink != 1:
                raise ObjectMissing(f"{key}: upload {upload_id} is an object already")
            if number in manifest.parts:
                _add(handle, {"number": number, "size": None})
            file_tree.fill(data, body, stop, offset=(number - 1) * manifest.slot)
            os.fsync(data)
        _add(handle, {"number": number, "size": part.size, "etag": part.etag})
        return part


def parts(root: Path, key: str, upload_id: str) -> list[Part]:
    """The parts recorded, in order."""
    with _manifest(root, upload_id) as handle:
        manifest = _read(handle, key, upload_id)
    return [manifest.parts[number] for number in sorted(manifest.parts)]


def assemble(root: Path, key: str, upload_id: str, wanted: Sequence[Part], token: str, stop: Stop) -> str:
    """Makes one durable file of the parts and returns its name beside the key; it lies there already where parts were even.

    Raises ChecksumRefused where what is recorded, or what lies in the file, is not what is wanted.
    """
    with _manifest(root, upload_id) as handle:
        manifest = _read(handle, key, upload_id)
    recorded = [manifest.parts[number] for number in sorted(manifest.parts)]
    if not recorded or [(p.number, p.size, p.etag) for p in wanted] != [(p.number, p.size, p.etag) for p in recorded]:
        raise ChecksumRefused(f"{key}: upload {upload_id} has {len(recorded)} parts, not the {len(wanted)} to be completed")
    with _beside(root, key) as parent, _open(parent, _DATA + upload_id, os.O_RDWR) as data:
        if manifest.contiguous:
            _compare(data, manifest, key, stop)
            os.ftruncate(data, sum(part.size for part in recorded))
            os.fsync(data)
            return _DATA + upload_id
        name = file_tree.TEMPORARY + token
        copy = file_tree.create(parent, name)
        try:
            _compare(data, manifest, key, stop, copy=copy)
            os.fsync(copy)
        except BaseException:
            file_tree.remove(parent, name)
            raise
        finally:
            os.close(copy)
        return name


def drop(root: Path, key: str, upload_id: str) -> None:
    """Removes an upload and its parts; one that is gone already, or belongs to another key, is none of ours."""
    with contextlib.suppress(FileNotFoundError, ObjectMissing), _manifest(root, upload_id) as handle:
        _read(handle, key, upload_id)
        with contextlib.suppress(FileNotFoundError), _beside(root, key) as parent:
            file_tree.remove(parent, _DATA + upload_id)
            os.fsync(parent)
        with file_tree.folder(root, [FOLDER]) as folder:
            file_tree.remove(folder, upload_id + _MANIFEST)
            os.fsync(folder)


def unfinished(root: Path) -> list[OpenUpload]:
    """Every upload that was begun and neither completed nor dropped."""
    found = []
    with contextlib.suppress(FileNotFoundError), file_tree.folder(root, [FOLDER]) as folder:
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - a handle, not a path
            upload_id = name.removesuffix(_MANIFEST)
            with contextlib.suppress(FileNotFoundError, ObjectMissing), _manifest(root, upload_id) as handle:
                manifest = _read(handle, None, upload_id)
                found.append(OpenUpload(key=manifest.key, upload_id=upload_id, begun_at=manifest.begun_at))
    return found


def _compare(data: int, manifest: Manifest, key: str, stop: Stop, *, copy: int | None = None) -> None:
    """Reads the parts once more before they become an object; copies them in order where they do not lie so already."""
    at = 0
    for number in sorted(manifest.parts):
        part = manifest.parts[number]
        crc, start = 0, (number - 1) * manifest.slot
        for offset in range(start, start + part.size, _COPY):
            stop.check()
            body = os.pread(data, min(_COPY, start + part.size - offset), offset)
            crc = crc64nvme(body, crc)
            if copy is not None:
                file_tree.fill(copy, memoryview(body), stop, offset=at)
            at += len(body)
        if spelled(crc) != part.etag:
            raise ChecksumRefused(f"{key}: part {number} is not what was written")


def _read(handle: int, key: str | None, upload_id: str) -> Manifest:
    """Parses a manifest; a line cut off by a crash was never acknowledged and does not count."""
    text = b""
    while chunk := os.pread(handle, _COPY, len(text)):
        text += chunk
    lines = []
    for line in text.split(b"\n"):
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
    if not lines or key not in (None, lines[0]["key"]):
        raise ObjectMissing(f"{key}: there is no upload {upload_id}")
    found: dict[int, Part] = {}
    for line in lines[1:]:
        found.pop(line["number"], None)
        if line["size"] is not None:
            found[line["number"]] = Part(number=line["number"], size=line["size"], etag=line["etag"], checksum=line["etag"])
    head = lines[0]
    return Manifest(key=head["key"], slot=head["slot"], begun_at=datetime.fromtimestamp(head["begun_at"], UTC), parts=found)


def _add(handle: int, line: dict[str, Any]) -> None:
    os.write(handle, b"\n" + json.dumps(line).encode() + b"\n")  # the first ends a line that a crash cut off
    os.fsync(handle)


@contextlib.contextmanager
def _manifest(root: Path, upload_id: str, flags: int = os.O_RDONLY) -> Iterator[int]:
    if not upload_id.isalnum():  # it becomes a file name
        raise ObjectMissing(f"there is no upload {upload_id[:80]!r}")
    with file_tree.folder(root, [FOLDER]) as folder, _open(folder, upload_id + _MANIFEST, flags) as handle:
        yield handle


@contextlib.contextmanager
def _open(parent: int, name: str, flags: int) -> Iterator[int]:
    handle = file_tree.open_regular(parent, name, flags)
    try:
        yield handle
    finally:
        os.close(handle)


def _beside(root: Path, key: str, *, create: bool = False) -> contextlib.AbstractContextManager[int]:
    return file_tree.folder(root, key.split("/")[:-1], create=create)
