"""How are many rows written with few statements?"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql, sqlite

BATCH = 10_000
"""Rows in one statement."""

Row = Mapping[str, Any]


def insert_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    *,
    replacing: tuple[str, ...] = (),
    own: str | None = None,
) -> int:
    """Insert rows that all have the same columns; return how many were written.

    `replacing` names the key whose rows are replaced. `own` is a column that the replaced row must agree in: a row
    that does not stays as it is, and is not counted.
    """
    written = 0
    for start in range(0, len(rows), BATCH):
        written += _insert(connection, table, rows[start : start + BATCH], replacing, own)
    return written


def _insert(connection: Connection, table: Table, rows: Sequence[Row], key: tuple[str, ...], own: str | None) -> int:
    names = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        insert = postgresql.insert(table).from_select(names, _as_records(table, names, rows))
        if key:
            insert = insert.on_conflict_do_update(
                index_elements=key,
                set_={name: insert.excluded[name] for name in names if name not in key},
                where=table.c[own] == insert.excluded[own] if own else None,
            )
        return connection.execute(insert).rowcount
    plain = sqlite.insert(table)
    if key:
        plain = plain.on_conflict_do_update(
            index_elements=key,
            set_={name: plain.excluded[name] for name in names if name not in key},
            where=table.c[own] == plain.excluded[own] if own else None,
        )
    return connection.execute(plain, list(rows)).rowcount


def _as_records(table: Table, names: tuple[str, ...], rows: Sequence[Row]) -> Any:
    """All rows as one JSON parameter, which PostgreSQL turns back into records of the table's types."""
    columns = (column(name, table.c[name].type) for name in names)
    records = func.json_to_recordset(cast(bindparam(None, json.dumps(rows, default=_text), Text()), postgresql.JSON()))
    source = records.table_valued(*columns, name="r").render_derived(name="r", with_types=True)
    return select(*(source.c[name] for name in names))


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
