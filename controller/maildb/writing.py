"""What does one transaction write? Rows, ledger, cases, holds, claims and journal: all of it, or nothing.

Grants come before revocations, and COMMIT is the statement that can fail, because the application's foreign keys are
deferred (invariant 3).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, delete, select, update

from controller.errors import PlanOutdated
from controller.maildb import fence
from controller.maildb.application import Application
from controller.maildb.batches import Row, insert_rows
from controller.maildb.columns import among
from controller.maildb.fence import Writer
from controller.maildb.freezing import refuse_when_frozen
from controller.maildb.holding import write_holds
from controller.maildb.keeping import Deed, write_evidence
from controller.maildb.own import Own, own_tables
from controller.maildb.recheck import Images, Touched, recheck
from controller.maildb.restoring import release, restore
from controller.planning.changes import Adoption, Changes, Grant, NotEntitled, Revocation, Withdrawn
from controller.planning.facts import Access, AccessId, Case, Known, Origin, Pin
from controller.resources.names import DomainName, ResourceKey


@dataclass(frozen=True, slots=True)
class Written:
    """What one transaction wrote. All zero: there was nothing to write, and no transaction."""

    granted: int = 0
    adopted: int = 0
    revoked: int = 0
    at: datetime | None = None
    """Database time, in every row that was written."""
    restored: int = 0


def write_changes(
    connection: Connection,
    application: Application,
    writer: Writer,
    changes: Changes,
    *,
    epoch: int,
    despite_freeze: bool = False,
) -> Written:
    """Carry changes out in the transaction of `connection`.

    Raises `Frozen` unless a person wants it `despite_freeze`, and `PlanOutdated` at the first difference.
    """
    own = own_tables(connection.dialect.name)
    entered = fence.enter(connection, own, writer, epoch)
    if not despite_freeze:
        refuse_when_frozen(connection, own)
    images = recheck(connection, application, own, writer.owner, changes)
    _Transaction(connection, application, own, writer, changes, images, entered.now).carry_out()
    fence.leave(connection, own, writer, entered)
    counts = (len(changes.grants), len(changes.adoptions), len(changes.revocations))
    return Written(*counts, entered.now, len(changes.restorations))


@dataclass(frozen=True, slots=True)
class _Transaction:
    """One write, after everything was found to be as planned."""

    connection: Connection
    application: Application
    own: Own
    writer: Writer
    changes: Changes
    images: Images
    now: datetime

    def carry_out(self) -> None:
        granted = [self._access_row(grant) for grant in self.changes.grants]
        insert_rows(self.connection, self.application.accesses, granted)
        restored = restore(
            self.connection, self.application, self.own, self.writer, self.changes.restorations, now=self.now
        )
        ledger = self._revoke()
        self._update_ledger(granted)
        release(self.connection, self.own, self.writer, self.changes.released)
        insert_rows(
            self.connection, self.own.case, [self._case_row(case) for case in self.changes.cases], replacing=("id",)
        )
        write_holds(self.connection, self.own, self.writer, self.changes.holds, now=self.now)
        self._claim()
        self._agree()
        insert_rows(
            self.connection,
            self.own.known,
            [self._known_row(known) for known in self.changes.known],
            replacing=("owner", "kind", "object"),
        )
        insert_rows(self.connection, self.own.journal, list(self._entries(granted, restored, ledger)))

    def _access_row(self, grant: Grant) -> Row:
        return {
            "id": str(uuid4()),
            "created_at": self.now,
            "updated_at": self.now,
            "maildomain_id": grant.domain,
            "user_id": grant.user,
            "role": self.application.shape.admin,
        }

    def _revoke(self) -> Mapping[AccessId, Row]:
        """Delete; the ledger entries that go along, as they are restored one day."""
        revocations = self.changes.revocations
        if not revocations:
            return {}
        kept = self._ledger_of([item.access.id for item in revocations])
        table = self.application.accesses
        statement = delete(table).where(
            among(table.c.id, [item.access.id for item in revocations], self.connection.dialect),
            table.c.role == self.application.shape.admin,
        )
        if self.connection.execute(statement).rowcount != len(revocations):
            raise PlanOutdated("an access of the plan went away during the write; nothing was written")
        return kept

    def _ledger_of(self, accesses: Sequence[AccessId]) -> Mapping[AccessId, Row]:
        table = self.own.ledger
        named = among(table.c.access_id, accesses, self.connection.dialect)
        rows = self.connection.execute(select(table).where(named, table.c.owner == self.writer.owner)).mappings()
        return {row["access_id"]: _as_json(row) for row in rows}

    def _update_ledger(self, granted: Sequence[Row]) -> None:
        table = self.own.ledger
        gone = [*self.changes.forgotten, *(item.access.id for item in self.changes.revocations)]
        if gone:
            left = among(table.c.access_id, gone, self.connection.dialect)
            self.connection.execute(delete(table).where(left, table.c.owner == self.writer.owner))
        rows = [
            self._ledger_row(Access(row["id"], grant.domain, grant.user, admin=True), grant, Origin.GRANTED)
            for row, grant in zip(granted, self.changes.grants, strict=True)
        ]
        rows += [self._ledger_row(item.access, item, Origin.ADOPTED) for item in self.changes.adoptions]
        insert_rows(self.connection, table, rows, replacing=("domain_id", "user_id"))

    def _ledger_row(self, access: Access, change: Grant | Adoption, origin: Origin) -> Row:
        return {
            "domain_id": access.domain,
            "user_id": access.user,
            "access_id": access.id,
            "owner": self.writer.owner,
            "sources": _texts(change.sources),
            "origin": origin,
            "since": self.now,
            "identity": change.identity,
        }

    def _case_row(self, case: Case) -> Row:
        return {
            "id": case.id,
            "owner": self.writer.owner,
            "access_id": case.access,
            "domain_id": case.domain,
            "user_id": case.user,
            "state": case.state.value,
            "opened_at": case.opened_at,
            "changed_at": self.now,
            "hold": case.hold,
            "evidence": write_evidence(case.evidence),
        }

    def _known_row(self, known: Known) -> Row:
        scope = known.scope
        return {
            "owner": self.writer.owner,
            "kind": scope.kind,
            "object": str(scope.key),
            "since": known.since,
            "terms": known.terms,
        }

    def _claim(self) -> None:
        rows = [
            {"domain": domain, "owner": self.writer.owner, "resource": str(resource), "since": self.now}
            for domain, resource in self.changes.claims
        ]
        if insert_rows(self.connection, self.own.claim, rows, replacing=("domain",), own="owner") != len(rows):
            raise PlanOutdated("another owner has claimed a domain of the plan; nothing was written")

    def _agree(self) -> None:
        """Note the terms of domains; those of many are the same."""
        claim, by_terms = self.own.claim, defaultdict(list)
        for item in self.changes.agreed:
            by_terms[item.terms].append(item.domain)
        for terms, domains in by_terms.items():
            ours = among(claim.c.domain, domains, self.connection.dialect) & (claim.c.owner == self.writer.owner)
            self.connection.execute(update(claim).where(ours).values(terms=terms))

    def _entries(
        self, granted: Sequence[Row], restored: Mapping[int, Row], ledger: Mapping[AccessId, Row]
    ) -> Iterator[Row]:
        written = {"created_at": str(self.now), "updated_at": str(self.now)}
        for row, grant in zip(granted, self.changes.grants, strict=True):
            access = Access(row["id"], grant.domain, grant.user, admin=True)
            yield self._entry(Deed.GRANTED, grant, access, grant.reason, {**row, **written}) | _by(grant)
        for adoption in self.changes.adoptions:
            image = self.images[adoption.access.id]
            reason = adoption.reason.value
            yield self._entry(Deed.ADOPTED, adoption, adoption.access, reason, image) | _by(adoption)
        for revocation in self.changes.revocations:
            yield self._revoked(revocation, ledger.get(revocation.access.id))
        for item in self.changes.restorations:
            image = restored[item.removal.entry]
            yield self._entry(Deed.RESTORED, item, item.access, "Rollback", image) | {"hold": item.removal.hold}
        for pin in self.changes.released:
            access = Access(pin.access, pin.domain, pin.user, admin=True)
            yield self._entry(Deed.RELEASED, pin, access, "Released", {}) | {"hold": pin.hold}
        for domain, resource in self.changes.claims:
            yield self._line(Deed.CLAIMED, domain, "Claimed", image={"resource": str(resource)})

    def _revoked(self, revocation: Revocation, ledger: Row | None) -> Row:
        image = self.images[revocation.access.id]
        entry = self._entry(Deed.REVOKED, revocation, revocation.access, revocation.reason, image)
        entry |= {"sources": _texts(revocation.sources), "ledger": ledger}
        match revocation.proof:
            case NotEntitled(case, evidence):
                entry |= {"case_id": case.id, "hold": case.hold, "evidence": write_evidence(evidence)}
            case Withdrawn(case):
                entry |= {"case_id": case.id, "hold": case.hold}
        return entry

    def _entry(self, what: Deed, change: Touched | Pin, access: Access, reason: str, image: Row) -> dict[str, Any]:
        entry = self._line(what, change.name, reason, image=image)
        return entry | {"domain_id": access.domain, "user_id": access.user, "access_id": access.id}

    def _line(self, what: Deed, domain: DomainName, reason: str, *, image: Row) -> dict[str, Any]:
        return {
            "at": self.now,
            "owner": self.writer.owner,
            "holder": self.writer.holder,
            "what": what,
            "domain": domain,
            "domain_id": None,
            "user_id": None,
            "access_id": None,
            "sources": [],
            "reason": reason,
            "case_id": None,
            "evidence": [],
            "image": image,
            "hold": None,
            "ledger": None,
        }


@lru_cache(maxsize=256)
def _texts(sources: tuple[ResourceKey, ...]) -> list[str]:
    return [str(source) for source in sources]


def _by(arrival: Grant | Adoption) -> dict[str, Any]:
    return {"sources": _texts(arrival.sources), "hold": arrival.hold}


def _as_json(row: RowMapping) -> Row:
    """A row of our own as it is written again one day."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
