"""Rows written as one batch are what SQLAlchemy would have written of them, value by value, and refused where it would refuse them."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from archiver.catalog import batches
from archiver.catalog.batches import among
from archiver.catalog.tables import ledger, renditions
from archiver.domain.errors import CatalogError
from tests.catalog.world import NOON, a_listing

TEXTS = [
    "",
    "NULL",
    "null",
    "naïve 録音 🎙",
    '"\\u0000" \\ud800 \\',
    "a\r\nb\tc\x1b[31m\x7f",
    "{1,2}",
    "'; --",
    "%s {x} ? :y",
    "x" * 9_000,
]
INSTANTS = [
    NOON,
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(999, 6, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, 0, 123456, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    datetime(1890, 1, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28))),
]
JSONS = [None, {}, [], {"b": 1, "a": [2**70, 0.1, None, True, {"ключ": "\x00\ud800 🎙"}]}, "text", 0]
SETS = [
    *({"key": text, "error": text, "upload_id": text} for text in TEXTS),
    *({"due_at": moment, "lease_until": moment, "archived_at": None} for moment in INSTANTS),
    *({"proof": value, "metadata": value, "upload": None} for value in JSONS),
    *({"size": size, "store_hold": hold, "attempts": 2**31 - 1} for size, hold in ((None, True), (0, False), (2**63 - 1, True))),
    {"error": "\x00 \ud800 from outside"},
]


def as_text(table):
    """Every column as the database holds it, whatever its type says."""
    return sa.select(*(sa.cast(column, sa.Text) for column in table.c if column.name != "id")).order_by(table.c.id)


async def written(world, unit, query):
    await world.me.database.write(unit)
    return await world.rows(query)


@pytest.mark.parametrize("values", SETS, ids=range(len(SETS)))
async def test_an_update_in_a_batch_writes_what_one_by_one_would(world, values):
    await world.lists(*map(a_listing, "abc"))
    one, *others = [row.id for row in await world.rows(sa.select(renditions.c.id).order_by(renditions.c.id))]
    await world.me.database.write(lambda tx: tx.execute(sa.update(renditions).where(renditions.c.id == one).values(**values)))
    await world.me.database.write(lambda tx: batches.update(tx.conn, renditions, [{"id": pk, **values} for pk in others]))
    columns = [sa.cast(renditions.c[name], sa.Text) for name in values]
    expected, *found = await world.rows(sa.select(*columns).order_by(renditions.c.id))
    assert found == [expected, expected]


LINES = [
    {"event": str(n), "recording_id": text, "reason": text, "data": JSONS[n % len(JSONS)]}
    for n, text in enumerate([*TEXTS, "\ud800"])
]
LINES[-1]["recording_id"] = "r"


async def test_an_insert_in_a_batch_writes_what_one_by_one_would_and_in_that_order(world):
    for moment in INSTANTS:
        same = {"at": moment, "actor": "me %s 録"}
        await world.me.database.write(lambda tx: tx.execute(sa.delete(ledger)))
        expected = await written(
            world, lambda tx, same=same: tx.execute(sa.insert(ledger), [line | same for line in LINES]), as_text(ledger)
        )
        await world.me.database.write(lambda tx: tx.execute(sa.delete(ledger)))
        found = await written(world, lambda tx, same=same: batches.insert(tx.conn, ledger, LINES, **same), as_text(ledger))
        assert found == expected


@pytest.mark.parametrize(
    "values", [{"due_at": datetime(2026, 1, 1)}, {"key": "\ud800"}, {"proof": {"a": object()}}, {"worker": object()}]
)
async def test_what_no_column_takes_is_refused_with_our_own_error(world, values):
    await world.lists(a_listing("a"))
    before = await world.rows(as_text(renditions))
    (row,) = await world.rows(sa.select(renditions.c.id))
    with pytest.raises(CatalogError) as refused:
        await world.me.database.write(lambda tx: batches.update(tx.conn, renditions, [{"id": row.id, **values}]))
    assert str(refused.value).isprintable()
    assert await world.rows(as_text(renditions)) == before


async def test_a_nul_is_kept_or_refused_with_our_own_error_and_never_cut_short(world):
    await world.lists(a_listing("a"))
    (row,) = await world.rows(sa.select(renditions.c.id))
    change = [{"id": row.id, "key": "a\x00b", "worker": "w"}]
    with contextlib.suppress(CatalogError):
        await world.me.database.write(lambda tx: batches.update(tx.conn, renditions, change))
    assert (await world.row("a")).key in ("", "a\x00b")


async def test_nothing_at_all_is_a_batch_too(world):
    await world.lists(a_listing("a"))
    before = await world.rows(as_text(renditions))
    await world.me.database.write(lambda tx: batches.insert(tx.conn, ledger, [], at=NOON, actor="me"))
    await world.me.database.write(lambda tx: batches.update(tx.conn, renditions, []))
    assert await world.rows(as_text(renditions)) == before


async def test_numbers_are_looked_for_as_one_parameter_and_left_out_as_one(world):
    await world.lists(*map(a_listing, "abc"))
    ids = sorted(row.id for row in await world.rows(sa.select(renditions.c.id)))

    async def asked(condition, given):
        query = sa.select(renditions.c.id).where(condition).order_by(renditions.c.id)
        return await world.me.database.ask(lambda conn: _scalars(conn, query, given))

    for given in ([], ids[:1], {ids[2], ids[0], 2**62}, ids):
        assert await asked(among(renditions.c.id, "ids"), given) == [pk for pk in ids if pk in given]
        assert await asked(~among(renditions.c.id, "ids"), given) == [pk for pk in ids if pk not in given]


async def _scalars(conn, query, given):
    return list((await conn.execute(query, {"ids": given})).scalars())
