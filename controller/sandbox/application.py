"""What does the mail application hold? Its tables in an SQLite file, filled with the communes, and read row by row."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from controller.sandbox.towns import Commune, Person

ADMIN = 1
_LONG_AGO = "2024-03-11 09:30:00.000000"


class Seat(NamedTuple):
    """One administrator: who, and of which domain."""

    email: str
    domain: str


def create(path: Path, communes: Iterable[Commune]) -> None:
    """Create the application's tables and fill them. The file must not be there."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript((resources.files("controller.sandbox") / "messages.sql").read_text())
        for commune in communes:
            _add(connection, commune)


def seats(path: Path) -> frozenset[Seat]:
    """Who administers what now."""
    query = """SELECT u.email, d.name FROM messages_maildomainaccess a
               JOIN messages_user u ON u.id = a.user_id
               JOIN messages_maildomain d ON d.id = a.maildomain_id WHERE a.role = ?"""
    return frozenset(Seat(*row) for row in _rows(path, query, ADMIN))


def rows(path: Path) -> tuple[tuple[Any, ...], ...]:
    """Every row of the accesses, byte for byte: equal when nothing was written."""
    return tuple(_rows(path, "SELECT * FROM messages_maildomainaccess ORDER BY id"))


def user_id(email: str) -> str:
    """The id of a user, the same in every sandbox."""
    return str(uuid5(NAMESPACE_URL, f"mailto:{email}"))


def _rows(path: Path, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.execute(query, values).fetchall()


def _add(connection: sqlite3.Connection, commune: Commune) -> None:
    domain = uuid5(NAMESPACE_URL, commune.domain).hex
    if commune.there:
        _insert(
            connection,
            "messages_maildomain",
            id=domain,
            name=commune.domain,
            alias_of_id=None,
            oidc_autojoin=True,
            identity_sync=False,
            custom_settings="{}",
            custom_attributes=f'{{"siret": "{commune.siret}"}}',
        )
    for person in commune.people:
        _add_user(connection, person, person.email)
        if person.twin:
            _add_user(connection, person, person.email.capitalize())
        if person.by_hand:
            _insert(
                connection,
                "messages_maildomainaccess",
                id=uuid5(NAMESPACE_URL, f"{commune.domain}/{person.email}").hex,
                role=ADMIN,
                maildomain_id=domain,
                user_id=user_id(person.email).replace("-", ""),
            )


def _add_user(connection: sqlite3.Connection, person: Person, email: str) -> None:
    _insert(
        connection,
        "messages_user",
        id=user_id(email).replace("-", ""),
        password="!",  # noqa: S106  # Django's mark for an account without a password
        last_login=None,
        is_superuser=False,
        is_staff=False,
        is_active=person.active,
        sub=user_id(f"sub:{email}") if person.signed_in else None,
        full_name=person.name,
        email=email,
        admin_email=None,
        language="fr-fr",
        timezone="Europe/Paris",
        custom_attributes="{}",
        oidc_claims="{}",
    )


def _insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    row = {**values, "created_at": _LONG_AGO, "updated_at": _LONG_AGO}
    names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", row)  # noqa: S608  # names are ours
