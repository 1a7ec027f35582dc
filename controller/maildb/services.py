"""Who may open which service, as it stands in our own tables, and how that is brought up to date.

Rows are compared with what is decided only where the digest of a domain differs: a pass in which nothing has changed
reads one row a domain.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from controller.errors import PlanOutdated
from controller.maildb import fence
from controller.maildb.application import Application
from controller.maildb.batches import Row, delete_rows, insert_rows
from controller.maildb.census import Population, read_population
from controller.maildb.columns import among, dashed, database_time
from controller.maildb.fence import Writer
from controller.maildb.freezing import refuse_when_frozen
from controller.maildb.holding import read_open_holds, read_spent_holds, write_holds
from controller.maildb.keeping import Deed
from controller.maildb.own import Own, own_tables
from controller.permissions.reasons import AccessReason
from controller.permissions.rows import Acting, Opening, RowChanges, Said, StandingRows
from controller.planning.facts import DomainId, Hold
from controller.planning.guard import RESTRICTIONS, kind_of
from controller.resources.names import DomainName


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """Everything that deciding about services needs of the database, at one moment."""

    population: Population
    epoch: int
    taken_at: datetime
    digests: Mapping[DomainId, str] = field(default_factory=dict)
    """Of every domain that has rows of this owner."""
    holds: tuple[Hold, ...] = ()
    """Open ones, of those who wait to be let in."""
    spent_holds: frozenset[str] = frozenset()


ServiceRows = Mapping[DomainId, StandingRows]
"""What stands for some domains."""


@dataclass(frozen=True, slots=True)
class DomainRows:
    """What is written for one domain."""

    domain: DomainId
    name: DomainName
    digest: str
    changes: RowChanges


@dataclass(frozen=True, slots=True)
class ServiceChanges:
    """What one transaction writes about services. Empty means in sync: no statement at all."""

    domains: tuple[DomainRows, ...] = ()
    cleared: tuple[tuple[DomainId, DomainName], ...] = ()
    """Domains that decide on no services any more: all of their rows go."""
    holds: tuple[Hold, ...] = ()
    """Holds that are new, smaller, approved or closed."""

    def __bool__(self) -> bool:
        return bool(self.domains or self.cleared or self.holds)


def read_service_facts(connection: Connection, application: Application, owner: str, *, migrated: bool) -> ServiceFacts:
    """Read what is decided on and compared first, in the transaction of `connection`.

    Before the first `migrate` there are people alone.
    """
    now = connection.execute(select(database_time())).scalar_one()
    population = read_population(connection, application)
    if not migrated:
        return ServiceFacts(population, epoch=0, taken_at=now)
    own = own_tables(connection.dialect.name)
    marks = own.service_domain.c
    digests = select(dashed(marks.maildomain_id).label("domain"), marks.digest).where(marks.owner == owner)
    return ServiceFacts(
        population=population,
        epoch=fence.read_epoch(connection, own, owner),
        taken_at=now,
        digests={row.domain: row.digest for row in connection.execute(digests)},
        holds=tuple(hold for hold in read_open_holds(connection, own, owner) if kind_of(hold) == RESTRICTIONS),
        spent_holds=read_spent_holds(connection, own, owner),
    )


def any_service_rows(connection: Connection, owner: str) -> bool:
    """Whether any domain has rows of this owner, in the transaction of `connection`."""
    own = own_tables(connection.dialect.name)
    found = select(own.service_domain.c.maildomain_id).where(own.service_domain.c.owner == owner).limit(1)
    return connection.execute(found).first() is not None


def read_purchases(connection: Connection, owner: str, domain: DomainId) -> Mapping[str, bool]:
    """Which services the rows of one domain show as bought or not. What is stale, or has no such row, is not known."""
    rows = own_tables(connection.dialect.name).service_access.c
    missing = rows.reason == AccessReason.NOT_SUBSCRIBED.value
    statement = (
        select(rows.service_id, missing)
        .where(rows.owner == owner, rows.maildomain_id == domain, ~rows.stale, rows.allowed | missing)
        .distinct()
    )
    return {service: not is_missing for service, is_missing in connection.execute(statement)}


def read_service_rows(connection: Connection, owner: str, domains: Collection[DomainId]) -> ServiceRows:
    """Read the rows of these domains, in the transaction of `connection`."""
    own = own_tables(connection.dialect.name)
    rows, acts = own.service_access.c, own.impersonation.c
    said: dict[DomainId, dict[Opening, Said]] = {domain: {} for domain in domains}
    statement = select(
        dashed(rows.maildomain_id),
        dashed(rows.user_id),
        rows.service_id,
        rows.allowed,
        rows.reason,
        rows.advisory,
        rows.stale,
    ).where(rows.owner == owner, among(rows.maildomain_id, list(domains), connection.dialect))
    for domain, person, service, *what in connection.execute(statement):
        said[domain][Opening(person, service)] = Said(*what)
    acting: dict[DomainId, set[Acting]] = {domain: set() for domain in domains}
    rights = select(dashed(acts.maildomain_id), dashed(acts.actor_id), dashed(acts.subject_id)).where(
        acts.owner == owner, among(acts.maildomain_id, list(domains), connection.dialect)
    )
    for domain, actor, subject in connection.execute(rights):
        acting[domain].add(Acting(actor, subject))
    return {domain: StandingRows(said[domain], frozenset(acting[domain])) for domain in domains}


def write_services(connection: Connection, writer: Writer, changes: ServiceChanges, *, epoch: int) -> None:
    """Carry changes out in the transaction of `connection`. Raises `Frozen` and `PlanOutdated`."""
    own = own_tables(connection.dialect.name)
    entered = fence.enter(connection, own, writer, epoch)
    refuse_when_frozen(connection, own)
    _Transaction(connection, own, writer, changes, entered.now).carry_out()
    fence.leave(connection, own, writer, entered)


@dataclass(frozen=True, slots=True)
class _Transaction:
    connection: Connection
    own: Own
    writer: Writer
    changes: ServiceChanges
    now: datetime

    @property
    def ours(self) -> Row:
        """What every row says beside its own."""
        return {"owner": self.writer.owner, "updated_at": self.now}

    def carry_out(self) -> None:
        own, connection = self.own, self.connection
        self._require_claims()
        self._clear()
        delete_rows(connection, own.service_access, list(self._gone()))
        insert_rows(connection, own.service_access, list(self._said()), replacing=_ACCESS_KEY)
        delete_rows(connection, own.impersonation, list(self._acting(gone=True)))
        rights = [{**right, **self.ours} for right in self._acting(gone=False)]
        insert_rows(connection, own.impersonation, rights, replacing=_ACTING_KEY)
        marks = [{"maildomain_id": item.domain, "digest": item.digest, **self.ours} for item in self.changes.domains]
        insert_rows(connection, own.service_domain, marks, replacing=("maildomain_id",))
        write_holds(connection, own, self.writer, self.changes.holds, now=self.now)
        insert_rows(connection, own.journal, list(self._entries()))

    def _require_claims(self) -> None:
        """A domain that another owner has taken over meanwhile is theirs, and so are its rows."""
        claim = self.own.claim.c
        names = {item.name for item in self.changes.domains} | {name for _, name in self.changes.cleared}
        statement = select(claim.domain).where(
            among(claim.domain, list(names), self.connection.dialect), claim.owner == self.writer.owner
        )
        if names and set(self.connection.execute(statement).scalars()) != names:
            raise PlanOutdated("a domain of the plan is not claimed by this owner now; nothing was written")

    def _clear(self) -> None:
        ids = [domain for domain, _ in self.changes.cleared]
        for table in (self.own.service_access, self.own.impersonation, self.own.service_domain):
            if ids:
                within = among(table.c.maildomain_id, ids, self.connection.dialect)
                self.connection.execute(delete(table).where(within, table.c.owner == self.writer.owner))

    def _gone(self) -> Iterator[Row]:
        for item in self.changes.domains:
            for key in item.changes.gone:
                yield {"maildomain_id": item.domain, "user_id": key.person, "service_id": key.service}

    def _said(self) -> Iterator[Row]:
        ours = self.ours
        for item in self.changes.domains:
            for key, said in item.changes.said.items():
                yield {
                    "maildomain_id": item.domain,
                    "user_id": key.person,
                    "service_id": key.service,
                    "allowed": said.allowed,
                    "reason": said.reason,
                    "advisory": said.advisory,
                    "stale": said.stale,
                    **ours,
                }

    def _acting(self, *, gone: bool) -> Iterator[Row]:
        for item in self.changes.domains:
            for actor, subject in item.changes.acting_gone if gone else item.changes.acting:
                yield {"maildomain_id": item.domain, "actor_id": actor, "subject_id": subject}

    def _entries(self) -> Iterator[Row]:
        """One line a domain with counts. Who it is about stands in the rows."""
        for item in self.changes.domains:
            if item.changes:
                yield self._entry(item.domain, item.name, "Decided", item.changes.counts)
        for domain, name in self.changes.cleared:
            yield self._entry(domain, name, "NotDeclared", {})

    def _entry(self, domain: DomainId, name: DomainName, reason: str, image: Mapping[str, Any]) -> Row:
        return {
            "at": self.now,
            "owner": self.writer.owner,
            "holder": self.writer.holder,
            "what": Deed.SERVICES.value,
            "domain": name,
            "domain_id": domain,
            "sources": [],
            "reason": reason,
            "evidence": [],
            "image": image,
        }


_ACCESS_KEY = ("maildomain_id", "user_id", "service_id")
_ACTING_KEY = ("maildomain_id", "actor_id", "subject_id")
