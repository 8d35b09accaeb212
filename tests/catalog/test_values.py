"""Text, instants and rows that cannot be catalogued come back as they went in, the same on both databases."""

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import quarantine
from archiver.domain.errors import CatalogError
from archiver.domain.recording import Rejected
from tests.catalog.world import NOON, SOURCE, a_listing


async def test_a_row_that_cannot_be_catalogued_is_quarantined_once(world):
    bad = Rejected(reason="id is null", raw='{"id":null}')
    for _ in range(3):
        added = await world.lists(a_listing(), rejected=[bad, bad])
        assert "r1" in added.ids
    (row,) = await world.rows(sa.select(quarantine))
    assert (row.source, row.reason, row.raw, row.first_seen_at) == (SOURCE, "id is null", '{"id":null}', NOON)
    await world.lists(source="calls", rejected=[bad])
    assert await world.count(quarantine) == 2


async def test_quarantine_takes_whatever_the_provider_sent(world):
    await world.lists(rejected=[Rejected(reason="id '\x00\ud800'", raw='{"id":"\x00 \ud800 \u202e"}')])
    (row,) = await world.rows(sa.select(quarantine))
    assert row.raw == '{"id":"\\x00 \\ud800 \u202e"}'


@pytest.mark.parametrize(
    "text",
    [
        "\\u0000 und \\ud800",
        "\u202eevil",
        "naïve 録音 🎙",
        "../../etc/passwd",
        "=cmd|x",
        "a\r\nb\tc\x1b[31m",
        "%s {x} ? :y",
        "x" * 10_000,
    ],
)
async def test_text_comes_back_as_it_went_in(world, text):
    raw = {"name": text, "nested": [{"ключ": text}], "number": 2**70, "none": None}
    listed = a_listing(room_name=text, participant_name=text, status_raw=text, raw=raw, flags=(text,))
    await world.lists(listed)
    row = await world.recording()
    assert (row.room_name, row.participant_name, row.status_raw, row.raw, row.flags) == (text, text, text, raw, [text])
    assert (await world.lists(listed)).changed == 0


async def test_a_surrogate_that_the_parser_should_have_escaped_is_refused_with_our_own_error(world):
    with pytest.raises(CatalogError, match="should have escaped") as refused:
        await world.lists(a_listing(room_name="\ud800"))
    assert str(refused.value).isprintable()
    assert (await world.lists(a_listing())).new == 1


async def test_a_nul_that_the_parser_should_have_escaped_is_kept_or_refused_with_our_own_error(world):
    with contextlib.suppress(CatalogError):
        await world.lists(a_listing(room_name="a\x00b"))
        assert (await world.recording()).room_name == "a\x00b"
    assert (await world.lists(a_listing("r2"))).new == 1


@pytest.mark.parametrize(
    "moment",
    [datetime(1, 1, 1, tzinfo=UTC), datetime(999, 6, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)],
)
async def test_an_instant_of_any_year_comes_back(world, moment):
    await world.lists(a_listing(started_at=moment, ended_at=moment))
    row = await world.recording()
    assert (row.started_at, row.ended_at) == (moment, moment)


async def test_instants_are_compared_by_time_and_not_by_how_their_zone_writes_them(world):
    berlin = NOON.astimezone(ZoneInfo("Europe/Berlin"))
    await world.lists(a_listing(ended_at=berlin))
    assert (await world.recording()).ended_at == NOON
    found = await world.me.ended_between(SOURCE, NOON, NOON + timedelta(microseconds=1))
    assert [known.ref.recording_id for known in found] == ["r1"]
    assert await world.me.ended_between(SOURCE, NOON - timedelta(hours=1), NOON) == []


async def test_a_naive_instant_is_refused(world):
    with pytest.raises(CatalogError, match="needs a zone"):
        await world.lists(a_listing(ended_at=datetime(2026, 1, 1)))
