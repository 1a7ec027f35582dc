"""How is a hold kept? With everything that it covers, until it is closed; its id stays, so that it serves once."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select

from controller.maildb.batches import insert_rows
from controller.maildb.columns import among, dashed
from controller.maildb.fence import Writer
from controller.maildb.keeping import read_key
from controller.maildb.own import Own
from controller.planning.facts import Hold, Holding, Scope


def read_open_holds(connection: Connection, own: Own, owner: str) -> tuple[Hold, ...]:
    """Those that are not closed, expired ones included."""
    table, held = own.hold.c, own.hold_access.c
    accesses: dict[str, set[Holding]] = defaultdict(set)
    statement = (
        select(held.hold_id, dashed(held.domain_id), dashed(held.user_id))
        .join_from(own.hold_access, own.hold, (table.owner == held.owner) & (table.id == held.hold_id))
        .where(table.owner == owner, table.closed_at.is_(None))
    )
    for hold, domain, user in connection.execute(statement):
        accesses[hold].add(Holding(domain, user))
    columns = (table.id, table.scope_kind, table.scope, table.limit, table.since, table.expires_at, table.approved_at)
    rows = connection.execute(select(*columns).where(table.owner == owner, table.closed_at.is_(None)))
    return tuple(
        Hold(
            key,
            Scope(kind, read_key(scope)),
            limit,
            frozenset(accesses[key]),
            since,
            expires,
            approved=approved is not None,
        )
        for key, kind, scope, limit, since, expires, approved in rows
    )


def read_spent_holds(connection: Connection, own: Own, owner: str) -> frozenset[str]:
    """The ids that approve nothing any more."""
    table = own.hold.c
    statement = select(table.id).where(table.owner == owner, table.closed_at.is_not(None))
    return frozenset(connection.execute(statement).scalars())


def write_holds(connection: Connection, own: Own, writer: Writer, holds: Sequence[Hold], *, now: datetime) -> None:
    """Holds in their new state. A hold shrinks, so its accesses are written anew; a closed one needs none."""
    if not holds:
        return
    rows = [
        {
            "owner": writer.owner,
            "id": hold.id,
            "scope_kind": hold.scope.kind,
            "scope": str(hold.scope.key),
            "limit": hold.limit,
            "since": hold.since,
            "expires_at": hold.expires_at,
            "approved_at": now if hold.approved else None,
            "closed_at": now if hold.closed else None,
        }
        for hold in holds
    ]
    insert_rows(connection, own.hold, rows, replacing=("owner", "id"))
    table = own.hold_access
    named = among(table.c.hold_id, [hold.id for hold in holds], connection.dialect)
    connection.execute(delete(table).where(named, table.c.owner == writer.owner))
    accesses = [
        {"owner": writer.owner, "hold_id": hold.id, "domain_id": domain, "user_id": user}
        for hold in holds
        if not hold.closed
        for domain, user in sorted(hold.accesses)
    ]
    insert_rows(connection, table, accesses)
