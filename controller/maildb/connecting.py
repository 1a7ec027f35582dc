"""How is the mail database reached? URL, pool and transactions, the same for PostgreSQL and SQLite."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from zlib import crc32

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError

from controller.errors import InvalidInput, Problem
from controller.maildb.failures import converted

REMEDY = "give postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:///PATH"
LOCK_SECONDS = 5
"""How long a statement waits for somebody else's lock."""
IDLE_SECONDS = 15
"""After how long PostgreSQL ends a writing transaction whose process has stopped in the middle: as long as a lease."""

_POSTGRESQL = "postgresql+psycopg"
_POSTGRESQL_SETTINGS: dict[str, Any] = {
    "application_name": "maildomain-controller",
    "connect_timeout": 10,
    # A dead network is noticed within a minute instead of after hours.
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # Nor is a request that nothing acknowledges left to the kernel's quarter of an hour.
    "tcp_user_timeout": 60_000,
    # Prepared statements do not pass a transaction pooler.
    "prepare_threshold": None,
}
_WRITES = "maildomain_writes"


def read_url(given: str) -> URL:
    """Parse a database URL. Raises `InvalidInput`, which never shows the URL: it may hold a password."""
    try:
        url = make_url(given.strip())
    except (ArgumentError, ValueError):
        raise _invalid("is no database URL") from None
    match url.drivername:
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return url.set(drivername=_POSTGRESQL)
        case "sqlite" | "sqlite+pysqlite":
            if not url.database or url.database == ":memory:":
                raise _invalid("is an SQLite URL without a path")
            return url
        case _:
            raise _invalid("is the URL of another kind of database")


def _invalid(found: str) -> InvalidInput:
    return InvalidInput(Problem("database URL", "", found, REMEDY))


class Gate:
    """The way to one database. The URL is asked for again at each new connection, so that passwords rotate."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The pool, made at first use. Raises `InvalidInput` for a bad URL."""
        with self._lock:
            if self._engine is None:
                self._engine = _engine(self._url)
            return self._engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that sees one moment and can't write."""
        with self._transaction({"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that is committed when the body ends, and rolled back when it raises."""
        with self._transaction({"isolation_level": "READ COMMITTED"}, {_WRITES: True}) as connection:
            _limit_waiting(connection)
            yield connection

    @contextmanager
    def _transaction(self, postgresql: dict[str, Any], options: dict[str, Any] | None = None) -> Iterator[Connection]:
        with converted(), self.engine.connect() as connection:
            # Options of a connection go with it when it returns to the pool.
            connection.execution_options(**(options or {}))
            if connection.dialect.name == "postgresql":
                connection.execution_options(**postgresql)
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close every connection. The next use opens new ones."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()


def _limit_waiting(connection: Connection) -> None:
    """Set for this transaction alone, so that it works through a transaction pooler."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "SELECT set_config('lock_timeout', :lock, true),"
                " set_config('idle_in_transaction_session_timeout', :idle, true)"
            ),
            {"lock": f"{LOCK_SECONDS}s", "idle": f"{IDLE_SECONDS}s"},
        )


def _engine(url: Callable[[], str]) -> Engine:
    first = read_url(url())
    engine = create_engine(first, hide_parameters=True, pool_pre_ping=True, pool_size=3, max_overflow=5)

    def connect(dialect: Dialect, _record: object, _arguments: object, _parameters: object) -> DBAPIConnection:
        now = read_url(url())
        if now.drivername != first.drivername:
            raise _invalid("has become the URL of another kind of database")
        arguments, parameters = _how_to_connect(dialect, now)
        return dialect.connect(*arguments, **parameters)

    event.listen(engine, "do_connect", connect)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _how_to_connect(dialect: Dialect, url: URL) -> tuple[list[Any], dict[str, Any]]:
    if dialect.name == "sqlite":
        # mode=rw: a file that is not there is an error, and never made by looking for it.
        path = f"file:{quote(url.database or '')}?mode=rw"
        return [path], {"uri": True, "timeout": LOCK_SECONDS, "isolation_level": None, "check_same_thread": False}
    arguments, parameters = dialect.create_connect_args(url)
    return list(arguments), _POSTGRESQL_SETTINGS | dict(parameters)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
    connection.create_function("mdc_checksum", -1, _checksum, deterministic=True)


def _checksum(*values: str | None) -> int:
    return crc32(repr(values).encode())


def _begin_sqlite(connection: Connection) -> None:
    """Begin by hand: the driver would begin only before a write, and read outside of the transaction."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
