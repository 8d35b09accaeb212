"""Folders and files below an archive's root, reached only through open folders, so that no symbolic link leads out of it.

Everything here blocks and runs in threads. A new object is published in an order that survives being killed anywhere:

1. the data under `.tmp-<token>` in its own folder, written and fsynced
2. the metadata under `.tmp-<token>.meta.json`, written and fsynced
3. the metadata linked to `<key>.meta.json`: that is the claim to the key. Its file stays locked (flock) by whoever claims, so
   that a claim without data is either somebody at work, to be waited for, or somebody dead, to be cleared away
4. the data linked to `<key>`: only now is there an object; link, unlike rename, never replaces another
5. the temporary names removed
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import threading
from typing import TYPE_CHECKING

from archiver.domain.errors import ObjectExists, ObjectMissing, StorageError, StorageFull, StorageRefused, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

META = ".meta.json"
TEMPORARY = ".tmp-"
_SLICE = 4 * 1024 * 1024  # bytes written between two looks at whether to stop
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}
_REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.EEXIST,
}
_HINTS = {
    errno.ELOOP: "symbolic links below the archive folder are not followed",
    errno.ENOTDIR: "a file or a symbolic link stands where a folder has to be",
    errno.EPERM: "the file system has to support hard links",
    errno.EOPNOTSUPP: "the file system has to support hard links",
}


class Stopped(Exception):
    """The caller was cancelled; nothing has been published."""


class Stop:
    """Tells a thread that nobody waits for it any more."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Asks for an end at the next check."""
        self._event.set()

    def check(self) -> None:
        """Raises Stopped once `set` was called."""
        if self._event.is_set():
            raise Stopped


@contextlib.contextmanager
def translated(what: str, *, missing: type[StorageError] = ObjectMissing) -> Iterator[None]:
    """Turns what the operating system raises within the block into our errors; `missing` is for a name that is not there."""
    try:
        yield
    except FileNotFoundError as error:
        raise missing(f"{what}: not there") from error
    except OSError as error:
        raise _error(what, error) from error


def _error(what: str, error: OSError) -> StorageError:
    text = f"{what}: {error.strerror or type(error).__name__}"
    if error.errno in _FULL:
        return StorageFull(text, hint="nothing was stored; free space, or mount the folder writable")
    if error.errno in _REFUSED:
        return StorageRefused(text, hint=_HINTS.get(error.errno or 0))
    return StorageUnavailable(text)


@contextlib.contextmanager
def folder(root: Path, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """A handle of a folder below the root; with `create`, missing ones are made and made durable on the way."""
    if create:
        _make_root(root)
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o750, dir_fd=handle)
                    os.fsync(handle)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def _make_root(root: Path) -> None:
    missing = []
    while not root.is_dir():
        missing.append(root)
        root = root.parent
    for path in reversed(missing):
        path.mkdir(mode=0o750, exist_ok=True)
        sync_path(path.parent)


def sync_path(path: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_regular(parent: int, name: str, flags: int = os.O_RDONLY) -> int:
    """A handle of an existing regular file; FileNotFoundError where something else stands under the name."""
    handle = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise FileNotFoundError(errno.ENOENT, "not a regular file", name)


def create(parent: int, name: str) -> int:
    """A handle of a new file, locked while we live."""
    while True:
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640, dir_fd=parent)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            return handle  # a file system without locks: a dead writer's temporaries and claims then stay
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # swept in the moment before it was locked


def fill(handle: int, body: memoryview, stop: Stop, *, offset: int = 0) -> None:
    """Writes all of a body (of bytes) at an offset; raises Stopped in between when asked to."""
    at = 0
    while at < len(body):
        stop.check()
        at += os.pwrite(handle, body[at : at + _SLICE], offset + at)


def publish(parent: int, name: str, *, data: str, meta: str, claim: int, what: str) -> None:
    """Steps 3 to 5 for temporaries that are written already; `claim` is the handle of the metadata's.

    Raises ObjectExists, where something stands under the name.
    """
    while not _claimed(parent, name, meta, claim):
        if exists(parent, name):
            raise ObjectExists(f"{what}: something stands there already")
        _clear_dead_claim(parent, name)
    try:
        os.fsync(parent)  # the metadata must not come to the disk after the data
        os.link(data, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        os.unlink(name + META, dir_fd=parent)
        if isinstance(error, FileExistsError):
            raise ObjectExists(f"{what}: something stands there already") from error
        raise
    for temporary in (data, meta):
        os.unlink(temporary, dir_fd=parent)
    os.fsync(parent)


def _claimed(parent: int, name: str, meta: str, claim: int) -> bool:
    """Whether the key is ours now. An object that already stands there keeps its own claim, so that nobody gets it."""
    try:
        os.link(meta, name + META, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        return False
    return os.fstat(claim).st_nlink > 1


def _clear_dead_claim(parent: int, name: str) -> None:
    """Waits for the one who claimed, and removes the claim where he left no object: then he died before he could."""
    try:
        handle = open_regular(parent, name + META, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if _is(parent, name + META, handle) and not exists(parent, name):
                os.unlink(name + META, dir_fd=parent)
    finally:
        os.close(handle)


def _is(parent: int, name: str, handle: int) -> bool:
    """Whether a name still stands for the file that was opened by it; FileNotFoundError where it stands for none."""
    return os.path.samestat(os.fstat(handle), os.stat(name, dir_fd=parent, follow_symlinks=False))


def exists(parent: int, name: str) -> bool:
    """Whether anything stands under a name."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def unpublish(parent: int, name: str) -> None:
    """Takes an object away, the data first: what is left when killed in between is a claim of somebody dead."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            claim = open_regular(parent, name + META, os.O_RDWR)
            stack.callback(os.close, claim)
            fcntl.flock(claim, fcntl.LOCK_EX)  # a new writer waits until the claim is gone, and cannot lose his own to us
        remove(parent, name)
        os.fsync(parent)
        remove(parent, name + META)
        os.fsync(parent)


def remove(parent: int, *names: str) -> None:
    """Removes files that may be gone already."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)


def sweep(parent: int) -> None:
    """Removes the temporaries of puts whose writers are dead: theirs are not locked any more."""
    for name in os.listdir(parent):
        if name.startswith(TEMPORARY):
            with contextlib.suppress(OSError):
                handle = open_regular(parent, name, os.O_RDWR)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is(parent, name, handle):
                        os.unlink(name, dir_fd=parent)
                finally:
                    os.close(handle)
