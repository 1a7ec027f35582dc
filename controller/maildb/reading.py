"""What is there? One snapshot of the mail database, with a number of statements that does not grow with it."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, Select, Text, cast, func, select, type_coerce

from controller.maildb.application import Application
from controller.maildb.columns import Since, among, dashed, database_time
from controller.maildb.fence import read_epoch
from controller.maildb.freezing import read_freeze
from controller.maildb.holding import read_open_holds, read_spent_holds
from controller.maildb.journal import read_newest
from controller.maildb.keeping import Deed, read_evidence, read_key
from controller.maildb.own import Own, own_tables
from controller.maildb.pulse import Beat, read_users_beat
from controller.planning.changes import Denied, Withdrawn
from controller.planning.facts import (
    OPEN_STATES,
    Access,
    AccessId,
    Activity,
    Case,
    CaseState,
    Claim,
    Contest,
    DomainId,
    Granted,
    Holding,
    Known,
    MailDomainRow,
    Origin,
    Owned,
    Pin,
    Scope,
    Seal,
    Snapshot,
    User,
    UserId,
)
from controller.planning.guard import RESTRICTIONS, kind_of
from controller.resources.names import DomainName, Email, ResourceKey, canonical_domain

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
PART = 5_000
"""Rows of a long result that are held at once."""
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class People:
    """All users, as they were at one beat."""

    application: Application
    beat: Beat
    users: Mapping[UserId, User]


def read_snapshot(
    connection: Connection,
    application: Application,
    owner: str,
    users: Mapping[UserId, User],
    *,
    names: Collection[DomainName],
    windows: Collection[timedelta],
    migrated: bool,
) -> Snapshot:
    """Read everything that planning needs, in the transaction of `connection`, in which `users` were read.

    `names` are the domains whose rows are read; `windows` those over which activity is counted.
    """
    now = connection.execute(select(database_time())).scalar_one()
    own = own_tables(connection.dialect.name) if migrated else None
    domains = read_domains(connection, application)
    wanted = [row.id for row in domains if canonical_domain(row.name) in names]
    holds = read_open_holds(connection, own, owner) if own else ()
    nothing: Mapping[timedelta, Mapping[Any, Any]] = {window: {} for window in windows}
    # One text for each id, however many rows of whichever table name it.
    same: dict[Any, Any] = {domain: domain for domain in wanted}
    return Snapshot(
        taken_at=now,
        epoch=read_epoch(connection, own, owner) if own else 0,
        migrated=migrated,
        users=users,
        domains=domains,
        accesses=_accesses(connection, application, wanted, users, same),
        ledger=_ledger(connection, own, owner, same) if own else {},
        cases=_cases(connection, own, owner) if own else (),
        holds=tuple(hold for hold in holds if kind_of(hold) != RESTRICTIONS),
        spent_holds=read_spent_holds(connection, own, owner) if own else frozenset(),
        activity=_activity(connection, own, now, windows) if own else nothing,
        claims=read_claims(connection, own) if own else {},
        freeze=read_freeze(connection, own) if own else None,
        granted=_granted(connection, own, owner, now) if own else {},
        known=_known(connection, own, owner) if own else {},
        removed=_removed(connection, own, owner, now, windows) if own else nothing,
        pins=read_pins(connection, own, owner) if own else {},
        contests=_contests(connection, own, owner, now) if own else {},
        seal=read_seal(connection, own) if own else None,
        journal=read_newest(connection, own, owner) if own else 0,
    )


def read_people(connection: Connection, application: Application, known: People | None) -> People:
    """All users. While their beat is that of `known` they are not read again: they are most of a snapshot."""
    beat = read_users_beat(connection, application)
    if known is not None and known.application is application and known.beat == beat:
        return known
    return People(application, beat, _users(connection, application))


def _users(connection: Connection, application: Application) -> Mapping[UserId, User]:
    table = application.users.c
    claims = cast(table.oidc_claims, Text) if application.shape.claims else cast(None, Text)
    statement = select(dashed(table.id), table.email, table.is_active, claims)
    return {
        key: User(key, Email(email) if email else None, active, texts(stored) if stored else NOTHING)
        for key, email, active, stored in _by_parts(connection, statement)
    }


def read_domains(connection: Connection, application: Application) -> tuple[MailDomainRow, ...]:
    """All domains, twins and aliases included."""
    table = application.domains.c
    alias = table.alias_of_id.is_not(None)
    attributes = cast(table.custom_attributes, Text)
    rows = connection.execute(
        select(dashed(table.id), table.name, alias, attributes, table.oidc_autojoin, table.identity_sync)
    )
    return tuple(
        MailDomainRow(
            key,
            name,
            bool(is_alias),
            texts(stored).get("siret") if stored else None,
            autojoin,
            sync,
            stored or "{}",
        )
        for key, name, is_alias, stored, autojoin, sync in rows
    )


@lru_cache(maxsize=8_192)
def texts(stored: str) -> Mapping[str, str]:
    """The texts of a JSON mapping. Whatever else a column holds says nothing."""
    try:
        document = json.loads(stored)
    except ValueError:
        return NOTHING
    found = (
        {key: value for key, value in document.items() if isinstance(value, str)} if isinstance(document, dict) else {}
    )
    return MappingProxyType(found) if found else NOTHING


def _accesses(
    connection: Connection,
    application: Application,
    domains: Collection[DomainId],
    users: Mapping[UserId, User],
    same: dict[Any, Any],
) -> Mapping[DomainId, tuple[Access, ...]]:
    table = application.accesses.c
    statement = select(
        dashed(table.id), dashed(table.maildomain_id), dashed(table.user_id), table.role == application.shape.admin
    ).where(among(table.maildomain_id, list(domains), connection.dialect))
    found: dict[DomainId, list[Access]] = {domain: [] for domain in domains}
    for key, domain, user, admin in _by_parts(connection, statement):
        known = users.get(user)
        holder = same.setdefault(user, known.id if known else user)
        found[domain].append(Access(same.setdefault(key, key), same[domain], holder, bool(admin)))
    return {domain: tuple(rows) for domain, rows in found.items() if rows}


def _ledger(connection: Connection, own: Own, owner: str, same: dict[Any, Any]) -> Mapping[AccessId, Owned]:
    table = own.ledger.c
    statement = select(
        dashed(table.access_id),
        dashed(table.domain_id),
        dashed(table.user_id),
        table.origin,
        type_coerce(table.since, Since()),
        table.identity,
    ).where(table.owner == owner)
    origins, text = {origin.value: origin for origin in Origin}, same.setdefault
    return {
        access: Owned(text(access, access), text(domain, domain), text(user, user), origins[origin], since, identity)
        for access, domain, user, origin, since, identity in _by_parts(connection, statement)
    }


def _by_parts(connection: Connection, statement: Select[*tuple[Any, ...]]) -> Iterator[Row[*tuple[Any, ...]]]:
    """The rows of a long result, which are gone as soon as they are read."""
    for part in connection.execute(statement, execution_options={"yield_per": PART}).partitions():
        yield from part


def _cases(connection: Connection, own: Own, owner: str) -> tuple[Case, ...]:
    table = own.case.c
    statement = select(
        table.id,
        dashed(table.access_id),
        dashed(table.domain_id),
        dashed(table.user_id),
        table.state,
        table.opened_at,
        table.hold,
        table.evidence,
    ).where(table.owner == owner, table.state.in_(sorted(OPEN_STATES)))
    return tuple(
        Case(key, access, domain, user, CaseState(state), opened, hold, read_evidence(evidence))
        for key, access, domain, user, state, opened, hold, evidence in connection.execute(statement)
    )


def read_pins(connection: Connection, own: Own, owner: str) -> Mapping[AccessId, Pin]:
    """The rows that a person has restored on behalf of this owner."""
    table = own.pin.c
    ids = (dashed(table.access_id), dashed(table.domain_id), dashed(table.user_id))
    statement = select(*ids, table.domain, table.since, table.hold).where(table.owner == owner)
    return {row[0]: Pin(*row) for row in connection.execute(statement)}


CONTEST = timedelta(hours=24)
"""How far back a second writer is looked for."""
VANISHED = 3
"""So many times in that time a row must have been written before its absence says that somebody removes it."""


def _contests(connection: Connection, own: Own, owner: str, now: datetime) -> Mapping[Holding, Contest]:
    """Find accesses that something else may write as well: the counts of our own deeds, where they are conspicuous."""
    table = own.journal.c
    wrote = table.what.in_((Deed.GRANTED, Deed.RESTORED))
    written = func.count().filter(wrote)
    removed = func.count().filter(table.what == Deed.REVOKED)
    last_removed = func.max(table.id).filter(table.what == Deed.REVOKED, table.reason != Denied.__name__)
    vanished = written - removed >= VANISHED
    gone = func.coalesce(last_removed, 0) > func.coalesce(func.max(table.id).filter(wrote), 0)
    statement = (
        select(dashed(table.domain_id), dashed(table.user_id), vanished, gone)
        .where(table.at > now - CONTEST, table.owner == owner, table.user_id.is_not(None))
        .group_by(table.domain_id, table.user_id)
        .having(vanished | gone)
    )
    return {
        Holding(domain, user): Contest(bool(vanishes), bool(goes))
        for domain, user, vanishes, goes in connection.execute(statement)
    }


def read_seal(connection: Connection, own: Own) -> Seal | None:
    """How this database recognises e-mails."""
    key = connection.execute(select(own.seal.c.key)).scalar()
    return Seal(key) if key else None


_COUNTED = (Deed.GRANTED, Deed.RESTORED, Deed.REVOKED)
_UNLIMITED = (Denied.__name__, Withdrawn.__name__)
"""Removals that neither wait for a limit nor use it up."""


def _activity(
    connection: Connection, own: Own, now: datetime, windows: Collection[timedelta]
) -> Mapping[timedelta, Mapping[DomainName, Activity]]:
    """Count what the journal says was granted and revoked, for every window in one statement."""
    if not windows:
        return {}
    table, ordered = own.journal.c, sorted(windows)
    counts = [func.count().filter(table.at > now - window) for window in ordered]
    statement = (
        select(table.domain, table.what, *counts)
        .where(
            table.at > now - ordered[-1],
            table.what.in_(_COUNTED),
            table.reason.not_in(_UNLIMITED),
        )
        .group_by(table.domain, table.what)
    )
    found: dict[timedelta, dict[DomainName, dict[str, int]]] = {window: defaultdict(dict) for window in ordered}
    for domain, what, *numbers in connection.execute(statement):
        for window, number in zip(ordered, numbers, strict=True):
            if number:
                found[window][domain][what] = number
    return {
        window: {
            domain: Activity(done.get(Deed.GRANTED, 0) + done.get(Deed.RESTORED, 0), done.get(Deed.REVOKED, 0))
            for domain, done in domains.items()
        }
        for window, domains in found.items()
    }


def _removed(
    connection: Connection, own: Own, owner: str, now: datetime, windows: Collection[timedelta]
) -> Mapping[timedelta, Mapping[ResourceKey, Mapping[DomainName, int]]]:
    """Count what was revoked at the word of each source, for every window in one statement."""
    if not windows:
        return {}
    table, ordered = own.journal.c, sorted(windows)
    counts = [func.count().filter(table.at > now - window) for window in ordered]
    sources = cast(table.sources, Text)
    statement = (
        select(sources, table.domain, *counts)
        .where(
            table.at > now - ordered[-1],
            table.what == Deed.REVOKED,
            table.reason.not_in(_UNLIMITED),
            table.owner == owner,
        )
        .group_by(sources, table.domain)
    )
    found: dict[timedelta, dict[ResourceKey, dict[DomainName, int]]] = {window: {} for window in ordered}
    for stored, domain, *numbers in connection.execute(statement):
        for window, number in zip(ordered, numbers, strict=True):
            for source in json.loads(stored) if number else ():
                of = found[window].setdefault(read_key(source), {})
                of[domain] = of.get(domain, 0) + number
    return found


def _granted(connection: Connection, own: Own, owner: str, now: datetime) -> Mapping[ResourceKey, Granted]:
    """Count what became ours in the last eight days, by the sources that said so."""
    table = own.journal.c
    sources = cast(table.sources, Text)
    today = table.at > now - DAY
    statement = (
        select(sources, func.count().filter(today), func.count().filter(~today))
        .where(table.at > now - WEEK - DAY, table.what.in_([Deed.GRANTED, Deed.ADOPTED]), table.owner == owner)
        .group_by(sources)
    )
    found: dict[ResourceKey, Granted] = {}
    for stored, last_day, before in connection.execute(statement):
        for source in json.loads(stored):
            known = found.get(read_key(source), Granted())
            found[read_key(source)] = Granted(known.today + last_day, known.week + before)
    return found


def _known(connection: Connection, own: Own, owner: str) -> Mapping[Scope, Known]:
    table = own.known.c
    rows = connection.execute(select(table.kind, table.object, table.since, table.terms).where(table.owner == owner))
    known = (Known(Scope(kind, read_key(name)), since, terms) for kind, name, since, terms in rows)
    return {item.scope: item for item in known}


def read_claims(connection: Connection, own: Own) -> Mapping[DomainName, Claim]:
    """Who has won which domain, of every owner."""
    table = own.claim.c
    rows = connection.execute(select(table.domain, table.owner, table.resource, table.terms))
    return {domain: Claim(owner, read_key(resource), terms) for domain, owner, resource, terms in rows}
