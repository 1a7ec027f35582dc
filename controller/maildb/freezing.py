"""Is everything stopped? Any row of one table stops every write: the command sets it, and plain SQL does as well."""

from sqlalchemy import Connection, delete, insert, select

from controller.errors import Frozen
from controller.maildb.own import Own
from controller.planning.facts import Freeze


def read_freeze(connection: Connection, own: Own) -> Freeze | None:
    """The freeze that has lasted longest; None when nothing is frozen."""
    table = own.frozen.c
    row = connection.execute(select(table.since, table.reason).order_by(table.since, table.id).limit(1)).first()
    return Freeze(row.since, row.reason) if row is not None else None


def refuse_when_frozen(connection: Connection, own: Own) -> None:
    """Asked inside each writing transaction. Raises `Frozen`."""
    if read_freeze(connection, own) is not None:
        raise Frozen("the mail database is frozen; nothing was written")


def freeze(connection: Connection, own: Own, reason: str | None) -> None:
    """Stop every write of every owner, from the next transaction on."""
    connection.execute(insert(own.frozen).values(reason=reason))


def lift(connection: Connection, own: Own) -> bool:
    """Let everybody go on, whoever has stopped them; False when nothing was frozen."""
    return connection.execute(delete(own.frozen)).rowcount > 0


def await_writes(connection: Connection, own: Own) -> None:
    """Return when no write is under way any more: each holds the row of its owner until it ends."""
    connection.execute(select(own.fence.c.owner).with_for_update())
