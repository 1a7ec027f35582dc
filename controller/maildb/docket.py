"""What does one question hang on in the mail database now? The rows of those whom it names, and whose the domain is."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from controller.maildb.application import Application
from controller.maildb.census import person_columns, read_people
from controller.maildb.columns import among
from controller.maildb.keeping import read_key
from controller.maildb.own import own_tables
from controller.permissions.census import Census
from controller.planning.facts import Claim, DomainId
from controller.resources.names import DomainName


@dataclass(frozen=True, slots=True)
class Docket:
    """All of it at one moment."""

    claim: Claim | None
    census: Census
    """Of these people alone, with everything that they administer."""
    mark: tuple[str, str] | None
    """Another one as soon as the rows about services say something else; None without such rows, and where no row
    of a domain was asked about."""


def read_docket(
    connection: Connection,
    application: Application,
    owner: str,
    *,
    domain: DomainName,
    row: DomainId | None,
    people: Collection[str],
) -> Docket:
    """Read it by keys alone, in the transaction of `connection`. Who is there no more is missing."""
    own = own_tables(connection.dialect.name)
    claims, marks = own.claim.c, own.service_domain.c
    claim = connection.execute(
        select(claims.owner, claims.resource, claims.terms).where(claims.domain == domain)
    ).one_or_none()
    by_row = select(marks.digest, marks.updated_at).where(marks.maildomain_id == row, marks.owner == owner)
    mark = connection.execute(by_row).one_or_none() if row is not None else None
    return Docket(
        claim=None if claim is None else Claim(claim.owner, read_key(claim.resource), claim.terms),
        census=_census(connection, application, sorted(people)),
        mark=None if mark is None else (mark.digest, mark.updated_at.isoformat()),
    )


def _census(connection: Connection, application: Application, people: list[str]) -> Census:
    if not people:
        return Census.of((), {})
    users, accesses, domains = application.users, application.accesses, application.domains
    administers = (accesses.c.user_id == users.c.id) & (accesses.c.role == application.shape.admin)
    statement = (
        select(*person_columns(application), domains.c.name)
        .select_from(users)
        .outerjoin(accesses, administers)
        .outerjoin(domains, domains.c.id == accesses.c.maildomain_id)
        .where(among(users.c.id, people, connection.dialect))
    )
    found: list[Any] = []
    admins: dict[str, list[str]] = defaultdict(list)
    for *person, name in connection.execute(statement):
        found.append(person)
        if name is not None:
            admins[name].append(person[0])
    return Census.of(read_people(found), admins)
