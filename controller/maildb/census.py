"""Who is there, for the question who may open what? All users and all ADMIN rows, with a fixed number of statements."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, false, select

from controller.maildb.application import Application
from controller.maildb.columns import dashed
from controller.maildb.reading import read_domains
from controller.permissions.census import Census, Person
from controller.planning.facts import MailDomainRow
from controller.resources.names import Email


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody and every domain of the mail database, at one moment."""

    census: Census
    domains: tuple[MailDomainRow, ...]


def read_population(connection: Connection, application: Application) -> Population:
    """Read everybody, and the administrators of every domain, declared or not, by the name as it is stored.

    A database without `is_superuser` has no superusers.
    """
    people = read_people(connection.execute(select(*person_columns(application))))
    accesses, domains = application.accesses.c, application.domains.c
    statement = select(domains.name, dashed(accesses.user_id)).where(
        accesses.maildomain_id == domains.id, accesses.role == application.shape.admin
    )
    admins: dict[str, list[str]] = defaultdict(list)
    for name, user in connection.execute(statement):
        admins[name].append(user)
    return Population(Census.of(people, admins), read_domains(connection, application))


def person_columns(application: Application) -> tuple[ColumnElement[Any], ...]:
    """What `read_people` takes."""
    users = application.users.c
    superuser = users.is_superuser if application.shape.superusers else false()
    return dashed(users.id), users.email, users.is_active, superuser


def read_people(rows: Iterable[Any]) -> Iterator[Person]:
    """The people of rows of `person_columns`."""
    for key, email, active, superuser in rows:
        yield Person(key, Email(email) if email else None, active=bool(active), superuser=bool(superuser))
