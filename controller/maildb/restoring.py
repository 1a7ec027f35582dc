"""Which removals can be undone, and how do rows come back? From the image that the journal keeps of each."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, select, text

from controller.errors import PlanOutdated
from controller.maildb.application import ACCESSES, Application
from controller.maildb.batches import Row, insert_rows
from controller.maildb.columns import among, dashed
from controller.maildb.fence import Writer
from controller.maildb.journal import Selection, chosen
from controller.maildb.keeping import Deed
from controller.maildb.own import Own
from controller.planning.changes import Restoration
from controller.planning.facts import Access, Pin, Removal

PAIR = ("domain_id", "user_id")


def read_removals(
    connection: Connection, application: Application, own: Own, owner: str, selection: Selection
) -> tuple[Removal, ...]:
    """The newest removal of each access among those that are selected, of this owner."""
    table = own.journal.c
    meant = and_(table.owner == owner, table.what == Deed.REVOKED, *chosen(connection, own, selection))
    newest = select(func.max(table.id)).where(meant).group_by(table.domain_id, table.user_id)
    ids = (dashed(table.access_id), dashed(table.domain_id), dashed(table.user_id))
    statement = (
        select(table.id, table.at, *ids, table.domain, table.reason, table.hold, table.image)
        .where(table.id.in_(newest))
        .order_by(table.id)
    )
    columns, admin = set(application.shape.access_columns), application.shape.admin
    return tuple(
        Removal(
            entry,
            at,
            Access(access, domain, user, admin=True),
            name,
            reason,
            hold,
            fits=image.keys() == columns and image.get("role") == admin,
        )
        for entry, at, access, domain, user, name, reason, hold, image in connection.execute(statement)
    )


def restore(
    connection: Connection,
    application: Application,
    own: Own,
    writer: Writer,
    restorations: Sequence[Restoration],
    *,
    now: datetime,
) -> Mapping[int, Any]:
    """Insert the rows as they were, with their ledger entries, and pin them; the images, by journal entry.

    The rows go from the journal to the table inside the database, so that not a byte of them changes.
    """
    if not restorations:
        return {}
    entries = [item.removal.entry for item in restorations]
    journal = own.journal.c
    kept = connection.execute(
        select(journal.id, journal.ledger, journal.image).where(
            among(journal.id, [str(entry) for entry in entries], connection.dialect)
        )
    ).all()
    if len(kept) != len(entries):
        raise PlanOutdated("an entry of the journal is gone; nothing was written")
    insert, given = _insert(connection.dialect.name, own, application.shape.access_columns, entries)
    connection.execute(text(insert), {"entries": given})
    insert_rows(connection, own.ledger, [_ledger_row(row.ledger, writer) for row in kept if row.ledger], replacing=PAIR)
    insert_rows(connection, own.pin, [_pin_row(item, writer, now) for item in restorations], replacing=PAIR)
    return {row.id: row.image for row in kept}


def release(connection: Connection, own: Own, writer: Writer, pins: Sequence[Pin]) -> None:
    """Take pins away: their rows are judged again like all others."""
    if pins:
        table = own.pin
        named = among(table.c.access_id, [pin.access for pin in pins], connection.dialect)
        connection.execute(delete(table).where(named, table.c.owner == writer.owner))


def _insert(dialect: str, own: Own, names: Sequence[str], entries: Sequence[int]) -> tuple[str, str]:
    """The statement and its parameter. Names of columns are the database's own, found by the preflight."""
    columns = ", ".join(f'"{name}"' for name in names)
    if dialect == "postgresql":
        values = ", ".join(f'r."{name}"' for name in names)
        source = f"{own.journal} AS j, jsonb_populate_record(CAST(NULL AS {ACCESSES}), j.image) AS r"
        meant = "j.id IN (SELECT CAST(value AS bigint) FROM json_array_elements_text(CAST(:entries AS json)))"
    else:
        values = ", ".join(f"""json_extract(j.image, '$."{name}"')""" for name in names)
        source = f"{own.journal} AS j"
        meant = "j.id IN (SELECT value FROM json_each(:entries))"
    return f"INSERT INTO {ACCESSES} ({columns}) SELECT {values} FROM {source} WHERE {meant}", json.dumps(entries)  # noqa: S608


def _ledger_row(kept: Row, writer: Writer) -> Row:
    return {"identity": None, **kept, "since": datetime.fromisoformat(kept["since"]), "owner": writer.owner}


def _pin_row(item: Restoration, writer: Writer, now: datetime) -> Row:
    return {
        "domain_id": item.access.domain,
        "user_id": item.access.user,
        "access_id": item.access.id,
        "owner": writer.owner,
        "domain": item.name,
        "hold": item.removal.hold,
        "since": now,
    }
