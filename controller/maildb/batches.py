"""How are many rows written with few statements? Each batch is one JSON parameter that the database takes apart."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    column,
    delete,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Delete, Insert

BATCH = 2_000
"""Rows in one statement. A connection keeps as much memory as its longest statement has needed."""

Row = Mapping[str, Any]


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Row], *, replacing: tuple[str, ...] = (), own: str = ""
) -> int:
    """Insert rows that all have the same columns; return how many were written.

    `replacing` names the key whose rows are replaced. `own` is a column that a replaced row must agree in: one that
    does not stays as it is, and is not counted.
    """
    if not rows:
        return 0
    dialect = connection.dialect.name
    # Over the wire less text is less time; SQLite reads its parameter where it stands.
    same = _same_in_all(rows) if dialect == "postgresql" else {}
    varying = tuple(name for name in rows[0] if name not in same)
    statement = _statement(dialect, table, varying, tuple(same), key=replacing, own=own)
    written = 0
    for start in range(0, len(rows), BATCH):
        batch = [{name: row[name] for name in varying} for row in rows[start : start + BATCH]]
        values = {"rows": json.dumps(batch, default=_spelling[dialect]), **same}
        # Without the option the number of inserted rows is not kept.
        result = connection.execute(statement, values, execution_options={"preserve_rowcount": True})
        written += result.rowcount
    return written


def delete_rows(connection: Connection, table: Table, keys: Sequence[Row]) -> None:
    """Delete the rows with these keys, all of the same columns."""
    for start in range(0, len(keys), BATCH):
        dialect = connection.dialect.name
        batch = json.dumps([dict(key) for key in keys[start : start + BATCH]], default=_spelling[dialect])
        connection.execute(_deletion(dialect, table, tuple(keys[0])), {"rows": batch})


@cache
def _deletion(dialect: str, table: Table, names: tuple[str, ...]) -> Delete:
    columns = tuple_(*(table.c[name] for name in names))
    return delete(table).where(columns.in_(_records[dialect](table, names)))


def _same_in_all(rows: Sequence[Row]) -> Row:
    """Columns that hold one value in all rows: sent once, not in each of ten thousand JSON objects."""
    first = rows[0]
    found = {name: value for name, value in first.items() if all(row[name] == value for row in rows)}
    # A row of JSON needs at least one column of its own.
    return found if len(found) < len(first) else dict(list(found.items())[1:])


@cache
def _statement(
    dialect: str, table: Table, varying: tuple[str, ...], same: tuple[str, ...], *, key: tuple[str, ...], own: str
) -> Insert:
    """INSERT ... SELECT from the parameter `rows`, replacing rows of the same key where there is one.

    Columns that are the `same` in all rows are parameters of their own.
    """
    build = postgresql.insert if dialect == "postgresql" else sqlite.insert
    names = (*varying, *same)
    constants = (cast(bindparam(name, type_=table.c[name].type), table.c[name].type) for name in same)
    records = _records[dialect](table, varying).add_columns(*constants)
    insert = build(table).from_select(names, records)
    if not key:
        return insert
    return insert.on_conflict_do_update(
        index_elements=key,
        set_={name: insert.excluded[name] for name in names if name not in key},
        where=table.c[own] == insert.excluded[own] if own else None,
    )


def _records_on_postgresql(table: Table, names: tuple[str, ...]) -> Select[Any]:
    columns = (column(name, table.c[name].type) for name in names)
    records = func.json_to_recordset(cast(bindparam("rows", type_=Text()), postgresql.JSON()))
    source = records.table_valued(*columns, name="r").render_derived(name="r", with_types=True)
    return select(*(source.c[name] for name in names))


def _records_on_sqlite(table: Table, names: tuple[str, ...]) -> Select[Any]:
    source = func.json_each(bindparam("rows", type_=Text())).table_valued("value")
    # SQLite needs a WHERE to tell ON CONFLICT from a join.
    return select(*(_extracted(source.c.value, table.c[name]) for name in names)).where(source.c.value.is_not(None))


def _extracted(record: ColumnElement[Any], wanted: Column[Any]) -> ColumnElement[Any]:
    value: ColumnElement[Any] = func.json_extract(record, f"$.{wanted.name}")
    return func.replace(value, "-", "") if isinstance(wanted.type, Uuid) else value


@lru_cache(maxsize=16)  # all rows of a write hold the same moments
def _aware(value: datetime) -> str:
    return value.isoformat()


@lru_cache(maxsize=16)
def _naive(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


_records = {"postgresql": _records_on_postgresql, "sqlite": _records_on_sqlite}
_spelling = {"postgresql": _aware, "sqlite": _naive}
