"""What happens to objects in a folder, step by step; everything here blocks and runs in threads."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from typing import TYPE_CHECKING

from archiver.domain.errors import ObjectExists
from archiver.domain.ports import StoredObject
from archiver.storage import file_tree, file_uploads
from archiver.storage.file_tree import META

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from archiver.domain.ports import NewObject, Part
    from archiver.storage.file_tree import Stop

_TYPE = "content-type"  # stands among the metadata, whose own names S3 would prefix


def put(root: Path, new: NewObject, body: memoryview, *, token: str, stop: Stop) -> None:
    """Creates an object from bytes; see `file_tree` for the order. Raises ObjectExists."""
    data = file_tree.TEMPORARY + token
    with _place(root, new.key, create=True) as (parent, name):
        file_tree.sweep(parent)
        if file_tree.exists(parent, name):
            raise ObjectExists(f"{new.key}: something stands there already")
        handle = file_tree.create(parent, data)
        try:
            file_tree.fill(handle, body, stop)
            os.fsync(handle)
            _publish(parent, name, new, data=data, token=token, stop=stop)
        finally:
            file_tree.remove(parent, data)
            os.close(handle)


def complete(root: Path, new: NewObject, upload_id: str, parts: Sequence[Part], *, token: str, stop: Stop) -> None:
    """Makes an upload's parts an object; the upload is forgotten last. Raises ObjectExists, ChecksumRefused."""
    with _place(root, new.key) as (parent, _name):
        file_tree.sweep(parent)  # first: what is assembled is not locked, and would be swept with the rest
    data = file_uploads.assemble(root, new.key, upload_id, parts, token, stop)
    with _place(root, new.key) as (parent, name):
        try:
            _publish(parent, name, new, data=data, token=token, stop=stop)
        finally:
            file_tree.remove(parent, file_tree.TEMPORARY + token)
    file_uploads.drop(root, new.key, upload_id)


def head(root: Path, key: str) -> StoredObject:
    """An object as it stands there; what others put there has no metadata."""
    with _place(root, key) as (parent, name):
        handle = file_tree.open_regular(parent, name)
        try:
            return StoredObject(key=key, version_id="", size=os.fstat(handle).st_size, metadata=_metadata(parent, name))
        finally:
            os.close(handle)


def open_object(root: Path, key: str) -> int:
    """A handle to read an object by."""
    with _place(root, key) as (parent, name):
        return file_tree.open_regular(parent, name)


def entries(root: Path, parents: Sequence[str], start: str) -> list[tuple[str, int | None]]:
    """Objects (with their sizes) and folders (None) whose names begin with `start`, in the order of their keys."""
    found: list[tuple[str, int | None]] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), file_tree.folder(root, parents) as parent:
        for entry in os.scandir(parent):
            if not entry.name.startswith(start) or entry.name.startswith(".") or entry.name.endswith(META):
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    found.append((entry.name, None))
                elif stat.S_ISREG(status.st_mode):
                    found.append((entry.name, status.st_size))
    # A folder stands for keys that go on with "/", and "a-b" comes before "a/b".
    return sorted(found, key=lambda item: item[0] + ("/" if item[1] is None else ""))


def delete(root: Path, key: str) -> None:
    """Removes an object and the folders that are empty without it; one that is gone already is no error."""
    *parents, _name = key.split("/")
    with contextlib.suppress(FileNotFoundError):
        with _place(root, key) as (parent, name):
            file_tree.unpublish(parent, name)
            file_tree.sweep(parent)
        while parents:
            last = parents.pop()
            with file_tree.folder(root, parents) as above:
                try:
                    os.rmdir(last, dir_fd=above)
                except OSError:
                    return  # not empty, or somebody is about to write there: he comes again when it was taken from under him


def _publish(parent: int, name: str, new: NewObject, *, data: str, token: str, stop: Stop) -> None:
    meta = f"{file_tree.TEMPORARY}{token}{META}"
    claim = file_tree.create(parent, meta)
    try:
        said = json.dumps({**new.metadata, _TYPE: new.content_type}, indent=2, sort_keys=True) + "\n"
        file_tree.fill(claim, memoryview(said.encode()), stop)
        os.fsync(claim)
        stop.check()
        file_tree.publish(parent, name, data=data, meta=meta, claim=claim, what=new.key)
    finally:
        file_tree.remove(parent, meta)
        os.close(claim)


def _metadata(parent: int, name: str) -> dict[str, str]:
    try:
        handle = file_tree.open_regular(parent, name + META)
    except FileNotFoundError:
        return {}
    try:
        said = json.loads(os.read(handle, 1 << 20))
    except ValueError:
        return {}  # edited by hand: as good as none, and the bytes decide
    finally:
        os.close(handle)
    return {str(name): str(value) for name, value in said.items() if name != _TYPE} if isinstance(said, dict) else {}


@contextlib.contextmanager
def _place(root: Path, key: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """The open folder of a key and the name in it."""
    *parents, name = key.split("/")
    with file_tree.folder(root, parents, create=create) as parent:
        yield parent, name
