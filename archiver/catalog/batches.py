"""Many rows in one statement, or many ids in one parameter: what a batch costs is mostly the parameters it is cut into.

PostgreSQL is given the rows as one JSON text, which it takes apart itself; a driver that dumps every value of every row takes
three times as long. SQLite is given tuples, past SQLAlchemy, which would make a dictionary of each row first.
"""

from __future__ import annotations

import functools
import importlib
import json
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection


def sql(dialect: str) -> Any:
    """SQLAlchemy's package for one database; not imported above: the other one would take 20 ms of every start."""
    return importlib.import_module(f"sqlalchemy.dialects.{dialect}")


class Numbers(sa.types.TypeDecorator[Any]):
    """Whole numbers as one text, as each database reads a list of them."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Collection[int] | None, dialect: Dialect) -> str:
        text = ",".join(map(str, value or ()))
        return f"{{{text}}}" if dialect.name == "postgresql" else f"[{text}]"


class _Among(FunctionElement[Any]):
    type = sa.types.NullType()  # a Boolean would be compared with 1 on SQLite, which no index answers
    inherit_cache = True


@compiles(_Among, "postgresql")
def _among_postgresql(element: _Among, compiler: Any, **words: Any) -> str:
    column, numbers = element.clauses
    found: str = compiler.process(column == sa.func.any(sa.cast(numbers, sa.ARRAY(sa.BigInteger))), **words)
    return f"({found})"


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: Any, **words: Any) -> str:
    column, numbers = element.clauses
    listed: sa.Select[Any] = sa.select(sa.column("value")).select_from(sa.func.json_each(numbers))
    found: str = compiler.process(column.in_(listed), **words)
    return f"({found})"


def among(column: sa.Column[int], name: str) -> sa.ColumnElement[bool]:
    """Whether a column is one of the numbers given as the parameter `name`; one statement, however many they are."""
    return _Among(column, sa.bindparam(name, type_=Numbers()))


async def insert(conn: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]], **of_all: Any) -> None:
    """Inserts rows in their order; all have the same columns, and `of_all` beside them."""
    if rows:
        await _run(conn, "insert", table, rows, of_all)


async def update(conn: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Sets columns, the same in all of `rows`, of the rows with their `id`."""
    if rows:
        await _run(conn, "update", table, rows, {})


async def _run(
    conn: AsyncConnection, verb: str, table: sa.Table, rows: Sequence[Mapping[str, Any]], of_all: Mapping[str, Any]
) -> None:
    names, same = tuple(rows[0]), tuple(of_all)
    kinds = _kinds(conn.dialect.name, table, names)
    try:
        plain = [_plain(row, kinds) for row in rows]
        shared = _plain(of_all, _kinds(conn.dialect.name, table, same))
        text = as_text(plain) if conn.dialect.name == "postgresql" else ""
    except (TypeError, ValueError) as error:  # what SQLAlchemy makes of a value that a column's type refuses
        raise sa.exc.StatementError(str(error), None, None, error) from error
    if text:
        statement = _inserting(table, names, same) if verb == "insert" else _updating(table, names)
        await conn.execute(statement, {"rows": text} | {f"all_{name}": value for name, value in of_all.items()})
        return
    words, ordered = _positional(verb, table, names + same)
    await conn.exec_driver_sql(words, [ordered(row | shared) for row in plain])


def _plain(row: Mapping[str, Any], kinds: Sequence[tuple[str, Callable[[Any], Any]]]) -> dict[str, Any]:
    """A row as the driver is given it."""
    found = dict(row)
    for name, kind in kinds:
        found[name] = kind(found[name])
    return found


def _instant(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no value of a column")


# Not escaped to ASCII: a lone surrogate has to be refused as in any other parameter, and not become an escape in the text.
as_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_instant).encode


@functools.cache
def _kinds(dialect: str, table: sa.Table, names: Sequence[str]) -> Sequence[tuple[str, Callable[[Any], Any]]]:
    """What makes of the values of some columns what the driver is given for them."""
    known = sql(dialect).dialect()
    found = [(name, table.c[name].type.dialect_impl(known).bind_processor(known)) for name in names]
    return [(name, kind) for name, kind in found if kind is not None]


def recordset(table: sa.Table, names: Sequence[str]) -> Any:
    """On PostgreSQL the rows of the parameter `rows`, as `as_text` writes them, in their order."""
    columns = [sa.column(name, table.c[name].type) for name in names]
    text = sa.cast(sa.bindparam("rows", type_=sa.Text), sa.JSON)
    return sa.func.json_to_recordset(text).table_valued(*columns).render_derived(name="given", with_types=True)


@functools.cache
def _inserting(table: sa.Table, names: Sequence[str], same: Sequence[str]) -> sa.Insert:
    given = recordset(table, names)
    shared = [sa.bindparam(f"all_{name}", type_=table.c[name].type) for name in same]
    return sa.insert(table).from_select([*names, *same], sa.select(*(given.c[name] for name in names), *shared))


@functools.cache
def _updating(table: sa.Table, names: Sequence[str]) -> sa.Update:
    given = recordset(table, names)
    values = {name: given.c[name] for name in names if name != "id"}
    return sa.update(table).where(table.c.id == given.c.id).values(values)


@functools.cache
def _positional(verb: str, table: sa.Table, names: Sequence[str]) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """SQLite's statement for one row, with question marks in it, and what puts the row's values in their order."""
    known = sql("sqlite").dialect()
    values: dict[str, Any] = {name: sa.bindparam(f"v_{name}") for name in names}
    if verb == "insert":
        compiled = sa.insert(table).values(values).compile(dialect=known)
    else:
        mine = table.c.id == values.pop("id")
        compiled = sa.update(table).where(mine).values(values).compile(dialect=known)
    return str(compiled), itemgetter(*(name.removeprefix("v_") for name in compiled.positiontup or ()))
