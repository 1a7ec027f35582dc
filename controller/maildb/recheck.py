"""Is everything still as planned? Asked inside the writing transaction, before its first write."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Table, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB

from controller.errors import PlanOutdated
from controller.maildb.application import Application
from controller.maildb.columns import among, dashed
from controller.maildb.own import Own
from controller.planning.changes import Adoption, Changes, Grant, Restoration, Revocation
from controller.planning.facts import Access, AccessId, DomainId, UserId
from controller.resources.names import DomainName

Images = Mapping[AccessId, Mapping[str, Any]]
"""Whole rows, by id, as the database itself writes them in JSON: nothing of a row is lost, whatever its columns."""

Touched = Grant | Adoption | Revocation | Restoration


def recheck(connection: Connection, application: Application, own: Own, owner: str, changes: Changes) -> Images:
    """Compare the rows that a plan touches with what it saw; return the images of those that stand.

    Raises `PlanOutdated` at the first difference. What changes after this is seen by the statements that write:
    a UNIQUE key, the number of deleted rows, a foreign key at COMMIT.
    """
    appearing: tuple[Grant | Restoration, ...] = (*changes.grants, *changes.restorations)
    touched: tuple[Touched, ...] = (*appearing, *changes.adoptions, *changes.revocations)
    if touched:
        _domains_stand(connection, application, touched)
        _domains_are_ours(connection, own, owner, {change.name for change in touched})
    if appearing:
        _users_are_active(connection, application, appearing)
        _rows_are_absent(connection, application, appearing)
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


def _user(change: Grant | Restoration) -> UserId:
    return change.user if isinstance(change, Grant) else change.access.user


def _users_are_active(
    connection: Connection, application: Application, appearing: Iterable[Grant | Restoration]
) -> None:
    planned = {_user(change) for change in appearing}
    table = application.users.c
    statement = select(dashed(table.id)).where(among(table.id, list(planned), connection.dialect), table.is_active)
    if set(connection.execute(statement).scalars()) != planned:
        raise PlanOutdated("a user of the plan is gone or inactive now; nothing was written")


def _rows_are_absent(
    connection: Connection, application: Application, appearing: Iterable[Grant | Restoration]
) -> None:
    planned = {(_domain(change), _user(change)) for change in appearing}
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
    table = application.accesses
    columns = (dashed(table.c.id), dashed(table.c.maildomain_id), dashed(table.c.user_id), table.c.role)
    statement = select(*columns, _image(connection, table)).where(among(table.c.id, list(rows), connection.dialect))
    admin = application.shape.admin
    images = {
        key: image
        for key, domain, user, role, image in connection.execute(statement)
        if (domain, user, role) == (rows[key].domain, rows[key].user, admin)
    }
    if images.keys() != rows.keys():
        raise PlanOutdated("an access of the plan is gone or another one now; nothing was written")
    return images


def _image(connection: Connection, table: Table) -> ColumnElement[Any]:
    if connection.dialect.name == "postgresql":
        return func.to_jsonb(table.table_valued(), type_=JSONB())
    # Without their types: as text, to the byte.
    pairs: Iterable[tuple[ColumnElement[Any], ColumnElement[Any]]] = (
        (literal(column.name), literal_column(f'"{column.name}"')) for column in table.c
    )
    return func.json_object(*chain.from_iterable(pairs), type_=JSON())
