"""What may our role do in the mail database? Which privileges it lacks, and which it has beyond those of the script."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, text

from controller.maildb.application import ACCESSES, DOMAINS, USERS
from controller.maildb.own import SCHEMA
from controller.maildb.preflight import KNOWN

_READ = frozenset({"SELECT"})
_APPEND = _READ | {"INSERT"}
_REPLACE = _APPEND | {"DELETE"}
_KEEP = _APPEND | {"UPDATE"}

APPLICATION: Mapping[str, frozenset[str]] = {DOMAINS: _READ, ACCESSES: _REPLACE}
"""What the script grants on the application's tables; of users it is the columns that are looked at."""
OWN: Mapping[str, frozenset[str]] = {
    "alembic_version": _READ,
    "seal": _READ,
    "frozen": _REPLACE,
    "journal": _APPEND,
    "known": _KEEP,
    "fence": _KEEP,
    "claim": _KEEP,
    "hold": _KEEP,
    "revocation_case": _KEEP,
    "hold_access": _REPLACE,
    "access_ledger": _KEEP | _REPLACE,
    "hint": _KEEP | _REPLACE,
    "pin": _KEEP | _REPLACE,
    "service_access": _KEEP | _REPLACE,
    "service_domain": _KEEP | _REPLACE,
    "impersonation": _KEEP | _REPLACE,
}
"""What the script grants on the controller's own tables."""
PRUNING = ("journal", "DELETE")
"""What it grants where the journal is to be pruned."""


@dataclass(frozen=True, slots=True)
class Grants:
    """How a role's privileges differ from those of the script, in the words of GRANT."""

    missing: tuple[str, ...] = ()
    excess: tuple[str, ...] = ()


class _Privilege(NamedTuple):
    """One privilege on a table, or on one column of it."""

    table: str
    column: str
    """Empty: on the whole table."""
    name: str

    def __str__(self) -> str:
        return f"{self.name} on {self.table}" + (f".{self.column}" if self.column else "")


def read_grants(connection: Connection) -> Grants:
    """Compare what our role may do with the script. SQLite has no roles, and nothing to compare."""
    if connection.dialect.name != "postgresql":
        return Grants()
    schemas = connection.execute(text(_SCHEMAS)).all()
    tables = connection.execute(text(_TABLES)).all()
    held = {_Privilege(*row) for row in connection.execute(text(_HELD))}
    needed = set(_needed({table.shown: table.columns for table in tables}))
    pruning = _Privilege(f"{SCHEMA}.{PRUNING[0]}", "", PRUNING[1])
    missing = (
        *(f"USAGE on the schema {schema.name}" for schema in schemas if not schema.usable),
        *(str(one) for one in sorted(needed - held) if one._replace(column="") not in held),
    )
    if connection.execute(text(_SUPERUSER)).scalar():
        return Grants(missing, ("the role is a superuser",))
    owned = {table.shown for table in tables if table.owned}
    excess = (
        *(f"CREATE on the schema {schema.name}" for schema in schemas if schema.usable and schema.creates),
        *(f"the role owns {name}, or is a member of the role that does" for name in sorted(owned)),
        *_excess(held - needed - {pruning}, known={one.table for one in needed}, owned=owned),
    )
    return Grants(missing, excess)


def _needed(columns: Mapping[str, Iterable[str]]) -> Iterator[_Privilege]:
    """What the script grants on those tables that are there."""
    script = {**APPLICATION, **{f"{SCHEMA}.{name}": privileges for name, privileges in OWN.items()}}
    for table in columns:
        for name in script.get(table, ()):
            yield _Privilege(table, "", name)
    for column in columns.get(USERS, ()):
        if column in KNOWN[USERS]:
            yield _Privilege(USERS, column, "SELECT")


def _excess(held: set[_Privilege], *, known: set[str], owned: set[str]) -> Iterator[str]:
    """Name what is too much on the tables that we know; of the others one is enough."""
    elsewhere = sorted({one.table for one in held} - known)
    yield from (str(one) for one in sorted(held) if one.table in known - owned)
    if elsewhere:
        yield f"something on tables that are no concern of ours, {len(elsewhere)} of them, such as {elsewhere[0]}"


_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"

# The application is where the statements find it, and wherever else it is when the role may not look there.
_PLACES = f"""
    WITH place AS (
        SELECT oid, nspname, nspname = '{SCHEMA}' AS ours FROM pg_catalog.pg_namespace
        WHERE nspname = '{SCHEMA}' OR oid = (
            SELECT relnamespace FROM pg_catalog.pg_class WHERE relname = '{USERS}' AND relkind IN ('r', 'p', 'v')
            ORDER BY oid = to_regclass('{USERS}') DESC NULLS LAST LIMIT 1)),
    found AS (
        SELECT c.oid, c.relname, c.relowner, place.ours,
               CASE WHEN place.ours THEN '{SCHEMA}.' || c.relname ELSE CAST(c.relname AS text) END AS shown
        FROM pg_catalog.pg_class c JOIN place ON place.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v'))"""  # noqa: S608  # constants

_SCHEMAS = f"""{_PLACES}
    SELECT nspname AS name, has_schema_privilege(oid, 'USAGE') AS usable, has_schema_privilege(oid, 'CREATE') AS creates
    FROM place ORDER BY nspname"""  # noqa: S608  # constants

_TABLES = f"""{_PLACES}
    SELECT shown, pg_has_role(relowner, 'USAGE') AS owned,
           ARRAY(SELECT CAST(attname AS text) FROM pg_catalog.pg_attribute
                 WHERE attrelid = found.oid AND attnum > 0 AND NOT attisdropped) AS columns
    FROM found WHERE ours OR relname IN ('{USERS}', '{DOMAINS}', '{ACCESSES}')"""  # noqa: S608  # constants

_HELD = f"""{_PLACES}
    SELECT shown, '', privilege FROM found,
           unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
    WHERE has_table_privilege(found.oid, privilege)
    UNION ALL
    SELECT shown, CAST(attname AS text), privilege
    FROM found JOIN pg_catalog.pg_attribute ON attrelid = found.oid AND attnum > 0 AND NOT attisdropped,
         unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS privilege
    WHERE has_column_privilege(found.oid, attnum, privilege) AND NOT has_table_privilege(found.oid, privilege)"""  # noqa: S608  # constants
