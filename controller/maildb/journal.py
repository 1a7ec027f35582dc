"""What was done? The journal, newest first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select

from controller.maildb.columns import among, database_time
from controller.maildb.keeping import Deed, read_evidence, read_key
from controller.maildb.own import Own, own_tables
from controller.planning.facts import AccessId, DomainId, Evidence, UserId
from controller.resources.names import DomainName, ResourceKey


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are meant: those that meet everything that is given."""

    since: timedelta | None = None
    """Within this time, by the clock of the database."""
    domain: DomainName | None = None
    users: frozenset[UserId] | None = None
    hold: str | None = None
    """The hold whose approval let it through."""
    what: frozenset[Deed] = frozenset()


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
    hold: str | None
    """The hold whose approval let it through."""
    evidence: tuple[Evidence, ...]
    image: Mapping[str, Any]
    """The whole row: before a removal, after anything else."""


def read_journal(connection: Connection, selection: Selection, *, limit: int | None) -> tuple[JournalEntry, ...]:
    """The newest entries first, of every owner: those that are selected, at most `limit`."""
    own = own_tables(connection.dialect.name)
    table = own.journal
    statement = select(table).order_by(table.c.at.desc(), table.c.id.desc()).limit(limit)
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
            row.hold,
            read_evidence(row.evidence),
            row.image,
        )
        for row in connection.execute(statement.where(*chosen(connection, own, selection)))
    )


def chosen(connection: Connection, own: Own, selection: Selection) -> Iterator[ColumnElement[bool]]:
    """What a selection asks of an entry."""
    table = own.journal.c
    if selection.since is not None:
        yield table.at > connection.execute(select(database_time())).scalar_one() - selection.since
    if selection.domain is not None:
        yield table.domain == selection.domain
    if selection.users is not None:
        yield among(table.user_id, sorted(selection.users), connection.dialect)
    if selection.hold is not None:
        yield table.hold == selection.hold
    if selection.what:
        yield table.what.in_(sorted(selection.what))


def read_newest(connection: Connection, own: Own, owner: str) -> int:
    """The number of an owner's newest entry about an access; 0 when there is none."""
    table = own.journal.c
    ours = (table.owner == owner) & table.access_id.is_not(None)
    # The first that fits, from the end: no other entry is looked at where we alone write.
    return connection.execute(select(table.id).where(ours).order_by(table.id.desc()).limit(1)).scalar() or 0


def prune(connection: Connection, own: Own, keep: timedelta) -> int:
    """Delete what is older than `keep`; how many entries. Everything younger stays whole, so that it can be undone.

    The newest entry about an access stays, of each owner: a journal that ends earlier than it did is a restored one.
    """
    table = own.journal.c
    now = connection.execute(select(database_time())).scalar_one()
    newest = select(func.max(table.id)).where(table.access_id.is_not(None)).group_by(table.owner)
    return connection.execute(delete(own.journal).where(table.at <= now - keep, table.id.not_in(newest))).rowcount
