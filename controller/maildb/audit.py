"""Who was let in as somebody else? One line in the journal for each such answer; nothing else is written."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from controller.maildb.batches import insert_rows
from controller.maildb.columns import database_time
from controller.maildb.fence import Writer
from controller.maildb.keeping import Deed
from controller.maildb.own import own_tables
from controller.resources.names import DomainName


def note_acting_as(
    connection: Connection, writer: Writer, *, domain: DomainName, actor: str, subject: str, services: Collection[str]
) -> None:
    """Append the answer to the journal, in the transaction of `connection`. It needs no lease: no right is changed."""
    line = {
        "at": connection.execute(select(database_time())).scalar_one(),
        "owner": writer.owner,
        "holder": writer.holder,
        "what": Deed.ACTED_AS.value,
        "domain": domain,
        "user_id": actor,
        "sources": [],
        "reason": "Impersonation",
        "evidence": [],
        "image": {"subject": subject, "services": sorted(services)},
    }
    insert_rows(connection, own_tables(connection.dialect.name).journal, [line])
