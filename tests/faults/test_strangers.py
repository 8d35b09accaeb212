"""Somebody else in our PostgreSQL, who holds a snapshot or rows and never ends: the archive goes on beside him."""

import psycopg

from archiver.domain.lifecycle import Event
from archiver.domain.work import Outcome
from tests.catalog.databases import catalog_on_postgres, pg, postgresql_catalogs  # noqa: F401 -- pytest finds fixtures by these names
from tests.catalog.world import SOURCE, a_listing


async def test_a_reader_who_never_ends_holds_up_nobody(pg):  # noqa: F811 -- the fixture above
    await pg.lists(a_listing("r0"))
    with psycopg.connect(pg.url) as stranger:
        stranger.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert stranger.execute("SELECT count(*) FROM renditions").fetchone() == (1,)
        await pg.lists(*(a_listing(f"r{number}") for number in range(1, 40)))
        await pg.verified()
        assert stranger.execute("SELECT count(*), min(state) FROM renditions").fetchone() == (1, "due")
    assert await pg.me.counts() == {SOURCE: {"verified": 40}}


async def test_rows_that_a_stranger_holds_are_passed_over_and_the_others_worked_on(pg):  # noqa: F811
    await pg.lists(a_listing("held"), a_listing("free"))
    with psycopg.connect(pg.url) as stranger:
        stranger.execute("SELECT id FROM renditions ORDER BY id LIMIT 1 FOR UPDATE")
        assert [entry.recording_id for entry in await pg.me.claim(9, sources=[SOURCE])] == ["free"]
    (entry,) = await pg.me.claim(9, sources=[SOURCE])
    assert entry.recording_id == "held"
    assert await pg.me.save([Outcome(entry=entry, event=Event.RELEASED)]) == []
