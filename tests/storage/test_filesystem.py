"""What only a folder can get wrong: kills, full disks, links that lead out, two writers, names of its own."""

import asyncio
import errno
import functools
import hashlib
import json
import os
import resource
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from archiver.domain.errors import (
    ChecksumRefused,
    ObjectExists,
    ObjectMissing,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
)
from archiver.domain.ports import Lock, NewObject
from archiver.storage import file_tree
from archiver.storage.filesystem import Filesystem
from tests.storage.conftest import MIB, now, token, until
from tests.testbed.scratch import scratch

KEY = "s/2026/02/28/rec-1/media.ogg"
BODY = b"OggS" + bytes(range(256))


@pytest.fixture
def store(tmp_path: Path) -> Filesystem:
    return Filesystem(tmp_path / "deep" / "archive", 5 * MIB, token)


def new(key: str = KEY, **metadata: str) -> NewObject:
    return NewObject(key=key, content_type="audio/ogg", metadata={name.replace("_", "-"): v for name, v in metadata.items()})


async def put(store: Filesystem, key: str = KEY, body: bytes | memoryview = BODY, **metadata: str):
    return await store.put(new(key, **metadata), body, sha256=hashlib.sha256(body).digest())


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


# The disk


class Disk:
    """What a folder has written and not yet brought to the disk, by inode; and whether that was so when names were made."""

    def __init__(self, monkeypatch):
        self.unsafe: set[int] = set()
        self.named_too_early: list[str] = []
        self._real = {name: getattr(os, name) for name in ("pwrite", "write", "fsync", "ftruncate", "link", "rename")}
        for name in ("pwrite", "write", "ftruncate"):
            monkeypatch.setattr(os, name, functools.partial(self._written, name))
        for name in ("link", "rename"):
            monkeypatch.setattr(os, name, functools.partial(self._named, name))
        monkeypatch.setattr(os, "fsync", self._synced)

    def _written(self, name, handle, *rest):
        self.unsafe.add(os.fstat(handle).st_ino)
        return self._real[name](handle, *rest)

    def _synced(self, handle):
        self._real["fsync"](handle)
        self.unsafe.discard(os.fstat(handle).st_ino)

    def _named(self, name, source, target, **where):
        if os.stat(source, dir_fd=where.get("src_dir_fd")).st_ino in self.unsafe:
            self.named_too_early.append(target)
        self.unsafe.add(os.fstat(where["dst_dir_fd"]).st_ino)  # a name is as safe as its folder
        return self._real[name](source, target, **where)


async def test_nothing_is_named_or_acknowledged_before_it_is_on_the_disk(store: Filesystem, monkeypatch):
    disk = Disk(monkeypatch)
    await put(store)
    assert disk.unsafe == set()
    large = new("s/2026/02/28/rec-2/media.ogg")
    upload = await store.begin(large)
    assert disk.unsafe == set()
    parts = []
    for number, size in ((1, 5 * MIB), (2, 100)):
        parts.append(await store.put_part(large.key, upload, number, bytes(size)))
        assert disk.unsafe == set()
    await store.complete(large, upload, parts)
    assert disk.unsafe == set()
    assert disk.named_too_early == []


# Kills


def test_killed_at_any_step_it_holds_the_whole_object_or_none_and_heals():
    with scratch("kills", in_memory=True) as folder:
        command = [sys.executable, "-m", "tests.storage.kill_sweep", str(folder / "archive")]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    for flow, ends in json.loads(ran.stdout).items():
        assert set(ends) == {"absent, healed", "whole, healed"}, (flow, ends)
        assert sum(ends.values()) > 20, flow


# Disks


async def test_a_full_disk_is_told_and_nothing_is_left_behind(store, tmp_path):
    await put(store, "s/before")
    before = files(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    upload_id = await store.begin(new())
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(StorageFull, match="nothing was stored"):
            await put(store, body=bytes(2 * MIB))
        with pytest.raises(StorageFull):
            await store.put_part(KEY, upload_id, 1, bytes(2 * MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await store.parts(KEY, upload_id) == []
    await store.abort(KEY, upload_id)
    assert files(tmp_path) == before
    await put(store, body=bytes(2 * MIB))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageFull),
        (errno.EIO, StorageFull),
        (errno.EACCES, StorageRefused),
        (errno.ELOOP, StorageRefused),
        (errno.EMFILE, StorageUnavailable),
        (errno.ESTALE, StorageUnavailable),
        (errno.ENOENT, ObjectMissing),
    ],
)
def test_each_word_of_the_operating_system_has_its_error(number, expected):
    with pytest.raises(expected, match=r"^put of /archive/k: "), file_tree.translated("put of /archive/k"):
        raise OSError(number, os.strerror(number))


async def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageRefused):
            await put(Filesystem(root, 5 * MIB, token))


# Links


async def test_no_symbolic_link_leads_out_of_the_archive(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    await put(store, "s/a")
    root = tmp_path / "deep" / "archive"
    (root / "s" / "link").symlink_to(outside)
    (root / "s" / "file").symlink_to(outside / "secret")
    for attempt in (
        put(store, "s/link/b"),
        store.begin(new("s/link/b")),
        store.head("s/link/secret"),
        store.head("s/file"),
        anext(store.read("s/file")),
        store.delete("s/link/secret", ""),
    ):
        with pytest.raises(StorageRefused):
            await attempt
    with pytest.raises(ObjectExists):
        await put(store, "s/file")
    assert [stored.key async for stored in store.keys("")] == ["s/a"]
    assert files(outside) == ["secret"]


async def test_the_root_itself_may_be_a_symbolic_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "archive").symlink_to(tmp_path / "disk")
    await put(Filesystem(tmp_path / "archive", 5 * MIB, token))
    assert files(tmp_path / "disk") == [KEY, f"{KEY}.meta.json"]


# Writers


async def test_of_many_writers_at_once_one_wins_and_its_metadata_with_it(store, tmp_path):
    bodies = [f"writer {n}".encode() * 1000 for n in range(16)]
    ends = await asyncio.gather(
        *(put(store, body=body, archiver_token=str(n)) for n, body in enumerate(bodies)), return_exceptions=True
    )
    winners = [n for n, end in enumerate(ends) if not isinstance(end, BaseException)]
    assert len(winners) == 1
    assert {type(end) for end in ends} <= {ObjectExists, type(ends[winners[0]])}
    assert (await store.head(KEY)).metadata == {"archiver-token": str(winners[0])}
    assert (tmp_path / "deep" / "archive" / KEY).read_bytes() == bodies[winners[0]]
    assert files(tmp_path / "deep" / "archive") == [KEY, f"{KEY}.meta.json"]


async def test_writers_and_deleters_at_once_never_leave_data_without_its_own_metadata(store, tmp_path):
    async def come_and_go(n: int) -> None:
        for turn in range(15):
            try:
                await put(store, body=f"{n}.{turn}".encode(), archiver_token=f"{n}.{turn}")
            except (ObjectExists, StorageUnavailable):
                await store.delete(KEY, "")

    await asyncio.gather(*(come_and_go(n) for n in range(6)))
    with_object = files(tmp_path)
    if with_object:
        stored = await store.head(KEY)
        assert (tmp_path / "deep" / "archive" / KEY).read_text() == stored.metadata["archiver-token"]
        await store.delete(KEY, "")
    assert files(tmp_path) == []


async def test_a_cancelled_put_ends_only_when_its_thread_has_cleaned_up(store, tmp_path):
    """Otherwise the caller would fill his buffer anew while the thread still reads it (finding F8)."""
    running = asyncio.ensure_future(store.put(new(), bytes(64 * MIB), sha256=b""))
    await until(lambda: files(tmp_path))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert files(tmp_path) in ([], [f"deep/archive/{KEY}", f"deep/archive/{KEY}.meta.json"])


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_an_abandoned_read_closes_its_file(store):
    await put(store, body=bytes(3 * MIB))
    before = handles()
    reading = store.read(KEY)
    await anext(reading)
    await reading.aclose()
    assert handles() == before


# Names


async def test_metadata_stands_beside_the_object_for_people_to_read(store, tmp_path):
    await put(store, archiver_recording="rec-1", archiver_sha256="ab")
    text = (tmp_path / "deep" / "archive" / f"{KEY}.meta.json").read_text()
    assert json.loads(text) == {"archiver-recording": "rec-1", "archiver-sha256": "ab", "content-type": "audio/ogg"}


@pytest.mark.parametrize("key", ["s/a.meta.json", ".tmp-1", "s/.upload-1", ".uploads/x.jsonl", "s/.hidden/a"])
async def test_names_that_the_folder_needs_for_itself_are_refused(store, key):
    with pytest.raises(StorageRefused, match="are taken"):
        await put(store, key)


async def test_a_key_below_an_object_is_refused_and_the_object_stays(store):
    await put(store, "s/a")
    with pytest.raises(StorageRefused, match="where a folder has to be"):
        await put(store, "s/a/b")
    with pytest.raises(ObjectExists):
        await put(store, "s")
    assert b"".join([chunk async for chunk in store.read("s/a")]) == BODY


async def test_what_others_put_there_is_seen_without_metadata_and_never_replaced(store, tmp_path):
    await put(store, "s/a")
    foreign = tmp_path / "deep" / "archive" / "s" / "foreign"
    foreign.write_bytes(b"foreign")
    assert (await store.head("s/foreign")).metadata == {}
    with pytest.raises(ObjectExists):
        await put(store, "s/foreign")
    assert foreign.read_bytes() == b"foreign"
    assert "s/foreign.meta.json" not in files(tmp_path / "deep" / "archive")


async def test_deleting_takes_the_empty_folders_along(store, tmp_path):
    await put(store)
    await put(store, "s/2026/03/01/rec-2/media.ogg")
    await store.delete(KEY, "")
    assert not (tmp_path / "deep" / "archive" / "s" / "2026" / "02").exists()
    await store.delete("s/2026/03/01/rec-2/media.ogg", "")
    assert list((tmp_path / "deep" / "archive").iterdir()) == []


async def test_a_lock_is_refused_because_a_folder_cannot_hold_it(store, tmp_path):
    locked = NewObject(key=KEY, content_type="x/y", metadata={}, lock=Lock(mode="governance", retain_until=now()))
    for attempt in (store.put(locked, BODY, sha256=bytes(32)), store.begin(locked)):
        with pytest.raises(StorageRefused, match=r"hint: set storage\.object_lock"):
            await attempt
    assert files(tmp_path) == []


# Uploads


async def test_an_upload_knows_when_it_began(store):
    await store.begin(new())
    [upload] = [upload async for upload in store.uploads()]
    assert abs(upload.begun_at - now()) < timedelta(seconds=5)


async def test_parts_of_any_size_up_to_the_part_size_fit_together(store):
    upload_id = await store.begin(new())
    bodies = {2: b"b" * 300, 1: b"a" * (5 * MIB - 1), 3: b"c"}
    parts = [await store.put_part(KEY, upload_id, number, body) for number, body in bodies.items()]
    await store.complete(new(), upload_id, sorted(parts, key=lambda part: part.number))
    assert b"".join([chunk async for chunk in store.read(KEY)]) == bodies[1] + bodies[2] + bodies[3]
    assert [upload async for upload in store.uploads()] == []


@pytest.mark.parametrize(("number", "size"), [(0, 1), (10_001, 1), (1, 5 * MIB + 1)])
async def test_a_part_that_s3_would_not_take_or_the_slot_not_hold_is_refused(store, number, size):
    upload_id = await store.begin(new())
    with pytest.raises(StorageRefused, match="accepted: numbers 1 to 10000"):
        await store.put_part(KEY, upload_id, number, bytes(size))


async def test_a_part_that_changed_on_the_disk_is_not_made_an_object(store, tmp_path):
    upload_id = await store.begin(new())
    part = await store.put_part(KEY, upload_id, 1, BODY)
    [data] = tmp_path.rglob(f".upload-{upload_id}")
    data.write_bytes(BODY[:-1] + b"\x00")
    with pytest.raises(ChecksumRefused):
        await store.complete(new(), upload_id, [part])
    assert [stored.key async for stored in store.keys("")] == []


async def test_parts_other_than_those_recorded_are_not_made_an_object(store):
    upload_id = await store.begin(new())
    one = await store.put_part(KEY, upload_id, 1, BODY)
    two = await store.put_part(KEY, upload_id, 2, BODY)
    for wanted in ([one], [two], [two, one], [one, one]):
        with pytest.raises(ChecksumRefused):
            await store.complete(new(), upload_id, wanted)
    await store.complete(new(), upload_id, [one, two])


async def test_an_upload_is_known_only_under_its_own_key(store):
    upload_id = await store.begin(new())
    with pytest.raises(ObjectMissing):
        await store.put_part("another/key", upload_id, 1, BODY)
    await store.abort("another/key", upload_id)
    assert len([upload async for upload in store.uploads()]) == 1
    for wild in ("../x", "a/b", "", "\x00"):
        with pytest.raises(ObjectMissing):
            await store.parts(KEY, wild)
