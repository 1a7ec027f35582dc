"""Is this a mail database that we know? Looked up in its catalog before anything is read or written (invariant 12)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, text

from controller.errors import MigrationNeeded, SchemaUnknown
from controller.maildb.application import ACCESSES, DOMAINS, USERS, Shape
from controller.maildb.own import VERSIONS, own_tables


class Family(StrEnum):
    """What a column holds. The words are those of the difference that people read."""

    ID = "uuid"
    MOMENT = "timestamptz"
    FLAG = "boolean"
    TEXT = "varchar"
    DOCUMENT = "jsonb"
    ROLE = "smallint or varchar"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a column has to be."""

    family: Family
    nullable: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a column is."""

    type: str
    nullable: bool
    fills_itself: bool
    """Whether an INSERT may leave it out although it is NOT NULL."""


Columns = Mapping[str, Mapping[str, Found]]

KNOWN: Mapping[str, Mapping[str, Expected]] = {
    USERS: {
        "id": Expected(Family.ID),
        "updated_at": Expected(Family.MOMENT),
        "email": Expected(Family.TEXT, nullable=True),
        "is_active": Expected(Family.FLAG),
        "is_superuser": Expected(Family.FLAG, optional=True),
        "oidc_claims": Expected(Family.DOCUMENT, nullable=True, optional=True),
    },
    DOMAINS: {
        "id": Expected(Family.ID),
        "updated_at": Expected(Family.MOMENT),
        "name": Expected(Family.TEXT),
        "alias_of_id": Expected(Family.ID, nullable=True),
        "oidc_autojoin": Expected(Family.FLAG),
        "identity_sync": Expected(Family.FLAG),
        "custom_attributes": Expected(Family.DOCUMENT, nullable=True),
    },
    ACCESSES: {
        "id": Expected(Family.ID),
        "created_at": Expected(Family.MOMENT),
        "updated_at": Expected(Family.MOMENT),
        "maildomain_id": Expected(Family.ID),
        "user_id": Expected(Family.ID),
        "role": Expected(Family.ROLE),
    },
}

_NUMBERS = frozenset({"smallint", "integer"})
_TEXTS = frozenset({"character varying", "varchar", "text"})
_TYPES: Mapping[Family, frozenset[str]] = {
    Family.ID: frozenset({"uuid"}),
    Family.MOMENT: frozenset({"timestamp with time zone"}),
    Family.FLAG: frozenset({"boolean"}),
    Family.TEXT: _TEXTS,
    Family.DOCUMENT: frozenset({"jsonb", "json"}),
    Family.ROLE: _NUMBERS | _TEXTS,
}
_KEY = frozenset({"maildomain_id", "user_id"})


def examine(connection: Connection) -> Shape:
    """Look at the application's tables. Raises `SchemaUnknown` with one text for each difference.

    Further tables and columns do not matter, unless an access could not be inserted without them.
    """
    columns = _columns(connection)
    differences = tuple(_differences(columns, spelled=connection.dialect.name == "postgresql"))
    if not differences and _KEY not in _unique_keys(connection):
        differences = (f"{ACCESSES}: has no UNIQUE (maildomain_id, user_id), expected one",)
    if differences:
        raise SchemaUnknown(differences)
    role = columns[ACCESSES]["role"].type
    return Shape(
        admin="ADMIN" if _is_text(role) else 1,
        claims="oidc_claims" in columns[USERS],
        superusers="is_superuser" in columns[USERS],
        access_columns=tuple(columns[ACCESSES]),
    )


def own_version(connection: Connection) -> str | None:
    """The version of our own tables; None when they are not there, or not for this role to see."""
    own = own_tables(connection.dialect.name)
    found = connection.execute(text(_OWN_TABLES[connection.dialect.name]), {"name": own.version_table}).scalar()
    if not found:
        return None
    place = f"{own.schema}.{own.version_table}" if own.schema else own.version_table
    return connection.execute(text(f"SELECT version_num FROM {place}")).scalar()  # noqa: S608  # a constant


def is_migrated(connection: Connection) -> bool:
    """Whether our own tables are there. Raises `MigrationNeeded` when they are of another version."""
    version = own_version(connection)
    if version in (None, VERSIONS[-1]):
        return version is not None
    refuse_newer(version)
    raise MigrationNeeded(f"the controller's own tables are of version {version}: run `maildomain-controller migrate`")


def refuse_newer(version: str | None) -> None:
    """Raise `MigrationNeeded` when our own tables are of a version that this program does not know."""
    if version is not None and version not in VERSIONS:
        raise MigrationNeeded(
            f"the controller's own tables are of version {version}, which is newer than this program: update it"
        )


def require_version(connection: Connection) -> None:
    """Raise `MigrationNeeded` unless our own tables are there and of this program's version."""
    if not is_migrated(connection):
        raise MigrationNeeded("the controller's own tables are missing: run `maildomain-controller migrate`")


def _differences(columns: Columns, *, spelled: bool) -> Iterator[str]:
    for table, expected in KNOWN.items():
        found = columns.get(table)
        if not found:
            yield f"{table}: is missing, expected a table"
            continue
        for name, wanted in expected.items():
            if name in found:
                yield from _column_differences(f"{table}.{name}", found[name], wanted, spelled=spelled)
            elif not wanted.optional:
                yield f"{table}.{name}: is missing, expected {wanted.family}"
    for name, column in columns.get(ACCESSES, {}).items():
        if name not in KNOWN[ACCESSES] and not column.nullable and not column.fills_itself:
            yield f"{ACCESSES}.{name}: is NOT NULL without a default, expected a column that may be left out"


def _column_differences(where: str, found: Found, wanted: Expected, *, spelled: bool) -> Iterator[str]:
    """SQLite's types are only names, except that `role` has to be of a type that keeps numbers or texts."""
    if spelled and found.type not in _TYPES[wanted.family]:
        yield f"{where}: is {found.type}, expected {wanted.family}"
    elif wanted.family is Family.ROLE and not (_is_text(found.type) or "int" in found.type):
        yield f"{where}: is {found.type or 'untyped'}, expected {wanted.family}"
    if found.nullable and not wanted.nullable:
        yield f"{where}: is nullable, expected NOT NULL"


def _is_text(declared: str) -> bool:
    return "char" in declared or "text" in declared


def _columns(connection: Connection) -> Columns:
    found: dict[str, dict[str, Found]] = defaultdict(dict)
    rows = connection.execute(text(_COLUMNS[connection.dialect.name]))
    for table, name, declared, nullable, fills_itself in rows:
        found[table][name] = Found(declared.lower(), bool(nullable), bool(fills_itself))
    return found


def _unique_keys(connection: Connection) -> frozenset[frozenset[str]]:
    """The keys that are unique, by what they are: names hold a hash (A5)."""
    keys: dict[str, set[str]] = defaultdict(set)
    for index, column in connection.execute(text(_UNIQUE_KEYS[connection.dialect.name])):
        keys[index].add(column)
    return frozenset(frozenset(columns) for columns in keys.values())


# Found through the search path, as the statements find them: a role's own schema may come first in it.
_COLUMNS = {
    "postgresql": f"""
        SELECT w.name, a.attname, format_type(a.atttypid, NULL), NOT a.attnotnull,
               a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> ''
        FROM (VALUES ('{USERS}'), ('{DOMAINS}'), ('{ACCESSES}')) AS w(name)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(w.name) AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY w.name, a.attnum""",  # noqa: S608  # constants
    "sqlite": " UNION ALL ".join(
        f"SELECT '{table}', name, type, NOT \"notnull\" AND NOT pk, dflt_value IS NOT NULL"  # noqa: S608  # a constant
        f" FROM pragma_table_info('{table}')"
        for table in KNOWN
    ),
}

_UNIQUE_KEYS = {
    "postgresql": f"""
        SELECT CAST(i.indexrelid AS text), a.attname
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
        WHERE i.indrelid = to_regclass('{ACCESSES}') AND i.indisunique AND i.indisvalid
          AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = i.indnkeyatts""",  # noqa: S608  # a constant
    "sqlite": f"""
        SELECT i.name, c.name FROM pragma_index_list('{ACCESSES}') AS i, pragma_index_info(i.name) AS c
        WHERE i."unique" AND NOT i.partial""",  # noqa: S608  # a constant
}

_OWN_TABLES = {
    "postgresql": """
        SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'maildomain_controller' AND c.relname = :name
          AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')""",
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name",
}
