"""What a killed process leaves lying about is cleared away by whoever comes next."""

from datetime import timedelta
from pathlib import Path

import pytest

from archiver.domain.ports import NewObject
from archiver.pipeline.sweep import sweep
from archiver.storage.filesystem import Filesystem
from tests.pipeline.clock import NOON
from tests.pipeline.conftest import sqlite_url, template  # noqa: F401 -- fixtures
from tests.pipeline.stage import staged

KEY = "rooms/2026/03/10/r1/media.ogg"


@pytest.fixture
async def stage(sqlite_url):  # noqa: F811
    async with staged(sqlite_url) as it:
        yield it


def unfinished(key):
    return NewObject(key=key, content_type="audio/ogg", metadata={})


async def test_the_upload_of_a_probe_that_was_killed_is_dropped_and_not_called_foreign(stage):
    await stage.store.begin(unfinished("_probe/0123456789abcdef/part-crc64nvme"))
    await stage.store.begin(unfinished("somebody/else"))
    stage.clock.advance(hours=25)
    swept = await sweep(storage=stage.store, catalog=stage.catalog, clock=stage.clock)
    assert (swept.aborted, swept.foreign) == (1, 1)
    assert [upload.new.key for upload in stage.store.begun.values()] == ["somebody/else"]


async def test_completing_an_upload_clears_the_temporaries_of_a_dead_writer_beside_it(tmp_path):
    store = Filesystem(tmp_path, 1000, lambda: "a" * 32)
    new = unfinished(KEY)
    upload = await store.begin(new)
    part = await store.put_part(KEY, upload, 1, b"OggS")
    folder = (tmp_path / KEY).parent
    left = folder / ".tmp-0123.meta.json"
    left.write_text("{}")
    await store.complete(new, upload, [part])
    assert sorted(path.name for path in folder.iterdir()) == ["media.ogg", "media.ogg.meta.json"]


async def test_an_upload_begun_in_the_instant_before_a_crash_is_known_by_its_key(stage):
    stage.provider.archivable("r1", ended_at=NOON - timedelta(hours=1))
    await stage.poll()
    await stage.store.begin(unfinished(KEY))
    stage.clock.advance(hours=25)
    assert (await sweep(storage=stage.store, catalog=stage.catalog, clock=stage.clock)).aborted == 1


def test_the_marks_of_temporaries_are_those_the_campaigns_look_for():
    from archiver.storage import file_tree, file_uploads

    assert (file_tree.TEMPORARY, file_uploads._DATA) == (".tmp-", ".upload-")
    assert Path(KEY).name == "media.ogg"
