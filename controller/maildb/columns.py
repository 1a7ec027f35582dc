"""How are ids, moments and JSON kept, and how are they read by the hundred thousand?"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Integer,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, UserDefinedType

Id = Uuid(as_uuid=False)
"""A uuid, dashed lower-case text in Python; `char(32)` without dashes on SQLite, as Django keeps it."""

Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""Lists and mappings."""

BigNumber = BigInteger().with_variant(Integer(), "sqlite")
"""A number without end. SQLite numbers rows by itself only in a column of type INTEGER."""


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite keeps it as naive text, as Django does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware to what the database keeps."""
        return value.astimezone(UTC).replace(tzinfo=None) if value and dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """What the database keeps to aware."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Since(TypeDecorator[datetime]):
    """A moment for reading by the hundred thousand: aware, in the time zone of the session, only to be compared."""

    impl = Moment
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """PostgreSQL's driver makes it aware already."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)


class _Dashed(UserDefinedType[Any]):
    """The text of an id. On SQLite the dashes are put in here, which is faster than its own string functions."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None] | None:  # noqa: ARG002
        """How a value of a result becomes what Python sees."""
        return _with_dashes if dialect.name == "sqlite" else None


def _with_dashes(key: str | None) -> str | None:
    return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}" if key else None


class dashed(FunctionElement[Any]):  # noqa: N801  # reads as the SQL function that it is
    """An id as dashed text, for reading by the hundred thousand: a UUID object for each value costs ten times more."""

    type = _Dashed()
    inherit_cache = True


@compiles(dashed)
def _dashed(element: dashed, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


class database_time(FunctionElement[datetime]):  # noqa: N801  # reads as the SQL function that it is
    """The database's clock at this statement, with microseconds."""

    type = Moment()
    inherit_cache = True


@compiles(database_time)
def _database_time(element: database_time, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001
    return "clock_timestamp()"


@compiles(database_time, "sqlite")
def _database_time_on_sqlite(element: database_time, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"


def among(values: ColumnElement[Any], wanted: Sequence[str], dialect: Dialect) -> ColumnElement[bool]:
    """Whether a column holds one of these ids or texts: one parameter, whatever their number."""
    if dialect.name == "postgresql":
        texts: ColumnElement[Any] = bindparam(None, list(wanted), ARRAY(Text()))
        if isinstance(values.type, Uuid):
            # Ids hold no comma, and one text is sent in a tenth of the time that a list of them takes.
            texts = func.string_to_array(",".join(wanted), ",")
        return values == any_(cast(texts, ARRAY(values.type)))
    stored = [value.replace("-", "") for value in wanted] if isinstance(values.type, Uuid) else list(wanted)
    items = func.json_each(bindparam(None, stored, JSON())).table_valued("value")
    return values.in_(select(cast(items.c.value, Text())))
