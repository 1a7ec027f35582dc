"""Is everything still as planned? Asked inside the writing transaction, before its first write."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from controller.errors import PlanOutdated
from controller.maildb.application import Application
from controller.maildb.columns import among, dashed
from controller.maildb.own import Own
from controller.planning.changes import Adoption, Changes, Grant, Revocation
from controller.planning.facts import Access, AccessId, DomainId
from controller.resources.names import DomainName

Images = Mapping[AccessId, Mapping[str, Any]]
"""Whole rows, by id, as the database holds them."""

Touched = Grant | Adoption | Revocation


def recheck(connection: Connection, application: Application, own: Own, owner: str, changes: Changes) -> Images:
    """Compare the rows that a plan touches with what it saw; return the images of those that stand.

    Raises `PlanOutdated` at the first difference. What changes after this is seen by the statements that write:
    a UNIQUE key, the number of deleted rows, a foreign key at COMMIT.
    """
    touched: tuple[Touched, ...] = (*changes.grants, *changes.adoptions, *changes.revocations)
    if touched:
        _domains_stand(connection, application, touched)
        _domains_are_ours(connection, own, owner, {change.name for change in touched})
    if changes.grants:
        _users_are_active(connection, application, changes.grants)
        _rows_are_absent(connection, application, changes.grants)
    standing: tuple[Adoption | Revocation, ...] = (*changes.adoptions, *changes.revocations)
    return _rows_stand(connection, application, [change.access for change in standing]) if standing else {}


def _domains_stand(connection: Connection, application: Application, touched: Iterable[Touched]) -> None:
    planned = {_domain(change): change.name for change in touched}
    table = application.domains.c
    statement = select(dashed(table.id).label("id"), table.name).where(
        among(table.id, list(planned), connection.dialect), table.alias_of_id.is_(None)
    )
    if {row.id: row.name for row in connection.execute(statement)} != planned:
        raise PlanOutdated("a domain of the plan is gone, renamed or an alias now; nothing was written")


def _domain(change: Touched) -> DomainId:
    return change.domain if isinstance(change, Grant) else change.access.domain


def _domains_are_ours(connection: Connection, own: Own, owner: str, names: Iterable[DomainName]) -> None:
    table = own.claim.c
    statement = select(table.domain).where(among(table.domain, list(names), connection.dialect), table.owner != owner)
    if connection.execute(statement.limit(1)).first() is not None:
        raise PlanOutdated("a domain of the plan belongs to another owner now; nothing was written")


def _users_are_active(connection: Connection, application: Application, grants: Iterable[Grant]) -> None:
    planned = {grant.user for grant in grants}
    table = application.users.c
    statement = select(dashed(table.id)).where(among(table.id, list(planned), connection.dialect), table.is_active)
    if set(connection.execute(statement).scalars()) != planned:
        raise PlanOutdated("a user of the plan is gone or inactive now; nothing was written")


def _rows_are_absent(connection: Connection, application: Application, grants: Iterable[Grant]) -> None:
    planned = {(grant.domain, grant.user) for grant in grants}
    domains, users = ({pair[place] for pair in planned} for place in (0, 1))
    table = application.accesses.c
    statement = select(dashed(table.maildomain_id), dashed(table.user_id)).where(
        among(table.maildomain_id, list(domains), connection.dialect),
        among(table.user_id, list(users), connection.dialect),
    )
    if not planned.isdisjoint(tuple(row) for row in connection.execute(statement)):
        raise PlanOutdated("an access of the plan is there already; nothing was written")


def _rows_stand(connection: Connection, application: Application, planned: Iterable[Access]) -> Images:
    rows = {access.id: access for access in planned}
    statement = select(application.accesses).where(among(application.accesses.c.id, list(rows), connection.dialect))
    images = {row["id"]: row for row in connection.execute(statement).mappings()}
    admin = application.shape.admin
    if images.keys() != rows.keys() or any(not _same(rows[key], row, admin) for key, row in images.items()):
        raise PlanOutdated("an access of the plan is gone or another one now; nothing was written")
    return {key: dict(row) for key, row in images.items()}


def _same(planned: Access, row: RowMapping, admin: int | str) -> bool:
    stands = (row["maildomain_id"], row["user_id"], row["role"])
    return stands == (planned.domain, planned.user, admin)
