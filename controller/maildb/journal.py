"""What was done? The journal, newest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from controller.maildb.columns import database_time
from controller.maildb.keeping import Deed, read_evidence, read_key
from controller.maildb.own import own_tables
from controller.planning.facts import AccessId, DomainId, Evidence, UserId
from controller.resources.names import DomainName, ResourceKey


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One thing that was done: when, by whom, what, to which row, why."""

    id: int
    at: datetime
    """Database time."""
    owner: str
    holder: str
    """The process that wrote it."""
    what: Deed
    domain: DomainName
    domain_id: DomainId | None
    user: UserId | None
    access: AccessId | None
    sources: tuple[ResourceKey, ...]
    reason: str
    case: str | None
    evidence: tuple[Evidence, ...]
    image: Mapping[str, Any]
    """The whole row: before a removal, after anything else."""


def read_journal(
    connection: Connection, *, since: timedelta | None, domain: DomainName | None, limit: int | None
) -> tuple[JournalEntry, ...]:
    """The newest entries first, of every owner: those of the last `since`, of one domain, at most `limit`."""
    table = own_tables(connection.dialect.name).journal
    statement = select(table).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit)
    if since is not None:
        now = connection.execute(select(database_time())).scalar_one()
        statement = statement.where(table.c.at > now - since)
    if domain is not None:
        statement = statement.where(table.c.domain == domain)
    return tuple(
        JournalEntry(
            row.id,
            row.at,
            row.owner,
            row.holder,
            Deed(row.what),
            row.domain,
            row.domain_id,
            row.user_id,
            row.access_id,
            tuple(read_key(source) for source in row.sources),
            row.reason,
            row.case_id,
            read_evidence(row.evidence),
            row.image,
        )
        for row in connection.execute(statement)
    )
