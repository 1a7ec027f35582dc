"""How are things? What the `status` command shows on its one screen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from controller.maildb.columns import dashed, database_time
from controller.maildb.freezing import read_freeze
from controller.maildb.keeping import Deed, read_key
from controller.maildb.own import Own, own_tables
from controller.planning.facts import OPEN_STATES, Freeze, Scope, UserId
from controller.resources.names import DomainName

RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class OpenHold:
    """One hold that waits for approval or for its approval to be carried out."""

    id: str
    scope: Scope
    limit: str
    since: datetime
    expires_at: datetime
    approved: bool
    count: int


@dataclass(frozen=True, slots=True)
class Lost:
    """One access that was revoked in the last hour."""

    user: UserId
    domain: DomainName
    at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """Who runs the loop."""

    epoch: int
    """0: this owner has never written."""
    holder: str | None
    expires_at: datetime | None
    """In the past: the holder is gone."""


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """Everything at one moment of the database's clock."""

    now: datetime
    lease: Lease
    holds: tuple[OpenHold, ...]
    """The oldest first."""
    open_cases: int
    oldest_case: datetime | None
    lost: tuple[Lost, ...]
    """The newest first."""
    freeze: Freeze | None = None
    pins: int = 0
    """Restored rows that are kept until they are released."""


def read_status(connection: Connection, owner: str) -> StatusFacts:
    """Read the facts, in the transaction of `connection`."""
    own = own_tables(connection.dialect.name)
    now = connection.execute(select(database_time())).scalar_one()
    case = own.case.c
    waiting = select(func.count(), func.min(case.opened_at, type_=case.opened_at.type)).where(
        case.owner == owner, case.state.in_(sorted(OPEN_STATES))
    )
    open_cases, oldest = connection.execute(waiting).one()
    return StatusFacts(
        now,
        _lease(connection, own, owner),
        _holds(connection, own, owner),
        open_cases,
        oldest,
        _lost(connection, own, now),
        read_freeze(connection, own),
        connection.execute(select(func.count()).where(own.pin.c.owner == owner)).scalar_one(),
    )


def read_owners(connection: Connection) -> Mapping[str, tuple[DomainName, ...]]:
    """Every owner that works on this database, and the domains that each has claimed."""
    own = own_tables(connection.dialect.name)
    claim = own.claim.c
    found: dict[str, list[DomainName]] = {}
    for owner in connection.execute(select(own.fence.c.owner)).scalars():
        found[owner] = []
    for owner, domain in connection.execute(select(claim.owner, claim.domain).order_by(claim.domain)):
        found.setdefault(owner, []).append(DomainName(domain))
    return {owner: tuple(domains) for owner, domains in sorted(found.items())}


def _lease(connection: Connection, own: Own, owner: str) -> Lease:
    table = own.fence.c
    found = connection.execute(select(table.epoch, table.holder, table.expires_at).where(table.owner == owner)).first()
    return Lease(*found) if found else Lease(0, None, None)


def _holds(connection: Connection, own: Own, owner: str) -> tuple[OpenHold, ...]:
    table, held = own.hold.c, own.hold_access.c
    count = (
        select(func.count()).where(held.owner == table.owner, held.hold_id == table.id).correlate(own.hold)
    ).scalar_subquery()
    statement = (
        select(own.hold, count.label("held"))
        .where(table.owner == owner, table.closed_at.is_(None))
        .order_by(table.since, table.id)
    )
    return tuple(
        OpenHold(
            row.id,
            Scope(row.scope_kind, read_key(row.scope)),
            row.limit,
            row.since,
            row.expires_at,
            row.approved_at is not None,
            row.held,
        )
        for row in connection.execute(statement)
    )


def _lost(connection: Connection, own: Own, now: datetime) -> tuple[Lost, ...]:
    table = own.journal.c
    statement = (
        select(dashed(table.user_id), table.domain, table.at)
        .where(table.what == Deed.REVOKED, table.at > now - RECENT)
        .order_by(table.at.desc(), table.id.desc())
    )
    return tuple(Lost(*row) for row in connection.execute(statement))
