"""What waits for the approval of one object? Its open holds, with the people and domains that they are about."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from controller.maildb.application import Application
from controller.maildb.columns import dashed, database_time
from controller.maildb.keeping import read_evidence
from controller.maildb.own import own_tables
from controller.planning.facts import OPEN_STATES, CaseState, Evidence, Scope, UserId
from controller.resources.names import Email


@dataclass(frozen=True, slots=True)
class Waiting:
    """One access that a hold covers."""

    domain: str
    """The domain's name as the application stores it; its id when it is gone."""
    user: UserId
    email: Email | None
    state: CaseState | None
    """Of the case about it; None when it is not a removal that waits."""
    since: datetime | None
    """When the case was opened."""
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class HeldAccesses:
    """One hold with everything that it covers, by domain and user."""

    id: str
    scope: Scope
    limit: str
    since: datetime
    expires_at: datetime
    approved: bool
    """Approved before and not carried out yet."""
    waiting: tuple[Waiting, ...]


def read_holds(connection: Connection, application: Application, owner: str, scope: Scope) -> tuple[HeldAccesses, ...]:
    """The open, unexpired holds of one object, the oldest first, in the transaction of `connection`."""
    own = own_tables(connection.dialect.name)
    hold, held, case = own.hold.c, own.hold_access.c, own.case.c
    users, domains = application.users.c, application.domains.c
    about = (case.owner == held.owner) & (case.domain_id == held.domain_id) & (case.user_id == held.user_id)
    statement = (
        select(
            hold.id,
            hold.limit,
            hold.since,
            hold.expires_at,
            hold.approved_at,
            dashed(held.domain_id),
            dashed(held.user_id),
            domains.name,
            users.email,
            case.state,
            case.opened_at,
            case.evidence,
        )
        .join_from(own.hold, own.hold_access, (held.owner == hold.owner) & (held.hold_id == hold.id))
        .outerjoin(application.domains, domains.id == held.domain_id)
        .outerjoin(application.users, users.id == held.user_id)
        .outerjoin(own.case, about & case.state.in_(sorted(OPEN_STATES)))
        .where(
            hold.owner == owner,
            hold.scope_kind == scope.kind,
            hold.scope == str(scope.key),
            hold.closed_at.is_(None),
            hold.expires_at > database_time(),
        )
        .order_by(hold.since, hold.id, domains.name, held.user_id)
    )
    heads: dict[str, tuple[str, datetime, datetime, bool]] = {}
    waiting: dict[str, list[Waiting]] = defaultdict(list)
    for key, limit, since, expires, approved, domain, user, name, email, state, opened, evidence in connection.execute(
        statement
    ):
        heads[key] = (limit, since, expires, approved is not None)
        waiting[key].append(
            Waiting(
                name or domain,
                user,
                Email(email) if email else None,
                CaseState(state) if state else None,
                opened,
                read_evidence(evidence or ()),
            )
        )
    return tuple(HeldAccesses(key, scope, *head, tuple(waiting[key])) for key, head in heads.items())
