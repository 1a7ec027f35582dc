"""What does one transaction write? Rows, ledger, cases, holds, claims and journal: all of it, or nothing.

Grants come before revocations, and COMMIT is the statement that can fail, because the application's foreign keys are
deferred (invariant 3).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, delete

from controller.errors import PlanOutdated
from controller.maildb import fence
from controller.maildb.application import Application
from controller.maildb.batches import Row, insert_rows
from controller.maildb.columns import among
from controller.maildb.fence import Writer
from controller.maildb.freezing import refuse_when_frozen
from controller.maildb.keeping import Deed, write_evidence
from controller.maildb.own import Own, own_tables
from controller.maildb.recheck import Images, Touched, recheck
from controller.planning.changes import Changes, Grant, NotEntitled, Revocation, Withdrawn
from controller.planning.facts import AccessId, Case, Hold, Known, Origin
from controller.resources.names import DomainName, ResourceKey


@dataclass(frozen=True, slots=True)
class Written:
    """What one transaction wrote. All zero: there was nothing to write, and no transaction."""

    granted: int = 0
    adopted: int = 0
    revoked: int = 0
    at: datetime | None = None
    """Database time, in every row that was written."""


def write_changes(
    connection: Connection, application: Application, writer: Writer, changes: Changes, *, epoch: int
) -> Written:
    """Carry changes out in the transaction of `connection`.

    Raises `Frozen`, and `PlanOutdated` at the first difference.
    """
    own = own_tables(connection.dialect.name)
    entered = fence.enter(connection, own, writer, epoch)
    refuse_when_frozen(connection, own)
    images = recheck(connection, application, own, writer.owner, changes)
    _Transaction(connection, application, own, writer, changes, images, entered.now).carry_out()
    fence.leave(connection, own, writer, entered)
    return Written(len(changes.grants), len(changes.adoptions), len(changes.revocations), entered.now)


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
        self._revoke()
        self._update_ledger(granted)
        insert_rows(
            self.connection, self.own.case, [self._case_row(case) for case in self.changes.cases], replacing=("id",)
        )
        self._update_holds()
        self._claim()
        insert_rows(self.connection, self.own.known, [self._known_row(known) for known in self.changes.known])
        insert_rows(self.connection, self.own.journal, list(self._entries(granted)))

    def _access_row(self, grant: Grant) -> Row:
        return {
            "id": str(uuid4()),
            "created_at": self.now,
            "updated_at": self.now,
            "maildomain_id": grant.domain,
            "user_id": grant.user,
            "role": self.application.shape.admin,
        }

    def _revoke(self) -> None:
        revocations = self.changes.revocations
        if not revocations:
            return
        table = self.application.accesses
        statement = delete(table).where(
            among(table.c.id, [item.access.id for item in revocations], self.connection.dialect),
            table.c.role == self.application.shape.admin,
        )
        if self.connection.execute(statement).rowcount != len(revocations):
            raise PlanOutdated("an access of the plan went away during the write; nothing was written")

    def _update_ledger(self, granted: Sequence[Row]) -> None:
        table = self.own.ledger
        gone = [*self.changes.forgotten, *(item.access.id for item in self.changes.revocations)]
        if gone:
            left = among(table.c.access_id, gone, self.connection.dialect)
            self.connection.execute(delete(table).where(left, table.c.owner == self.writer.owner))
        rows = [
            self._ledger_row(row["id"], row["maildomain_id"], row["user_id"], grant.sources, Origin.GRANTED)
            for row, grant in zip(granted, self.changes.grants, strict=True)
        ]
        rows += [
            self._ledger_row(item.access.id, item.access.domain, item.access.user, item.sources, Origin.ADOPTED)
            for item in self.changes.adoptions
        ]
        insert_rows(self.connection, table, rows, replacing=("domain_id", "user_id"))

    def _ledger_row(
        self, access: AccessId, domain: str, user: str, sources: tuple[ResourceKey, ...], origin: Origin
    ) -> Row:
        return {
            "domain_id": domain,
            "user_id": user,
            "access_id": access,
            "owner": self.writer.owner,
            "sources": _texts(sources),
            "origin": origin,
            "since": self.now,
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

    def _update_holds(self) -> None:
        """Holds in their new state. A hold shrinks, so its accesses are written anew; a closed one needs none."""
        holds = self.changes.holds
        if not holds:
            return
        insert_rows(self.connection, self.own.hold, [self._hold_row(hold) for hold in holds], replacing=("owner", "id"))
        table = self.own.hold_access
        named = among(table.c.hold_id, [hold.id for hold in holds], self.connection.dialect)
        self.connection.execute(delete(table).where(named, table.c.owner == self.writer.owner))
        accesses = [
            {"owner": self.writer.owner, "hold_id": hold.id, "domain_id": domain, "user_id": user}
            for hold in holds
            if not hold.closed
            for domain, user in sorted(hold.accesses)
        ]
        insert_rows(self.connection, table, accesses)

    def _hold_row(self, hold: Hold) -> Row:
        return {
            "owner": self.writer.owner,
            "id": hold.id,
            "scope_kind": hold.scope.kind,
            "scope": str(hold.scope.key),
            "limit": hold.limit,
            "since": hold.since,
            "expires_at": hold.expires_at,
            "approved_at": self.now if hold.approved else None,
            "closed_at": self.now if hold.closed else None,
        }

    def _known_row(self, known: Known) -> Row:
        scope = known.scope
        return {"owner": self.writer.owner, "kind": scope.kind, "object": str(scope.key), "since": known.since}

    def _claim(self) -> None:
        rows = [
            {"domain": domain, "owner": self.writer.owner, "resource": str(resource), "since": self.now}
            for domain, resource in self.changes.claims
        ]
        if insert_rows(self.connection, self.own.claim, rows, replacing=("domain",), own="owner") != len(rows):
            raise PlanOutdated("another owner has claimed a domain of the plan; nothing was written")

    def _entries(self, granted: Sequence[Row]) -> Iterator[Row]:
        written = {"created_at": str(self.now), "updated_at": str(self.now)}
        for row, grant in zip(granted, self.changes.grants, strict=True):
            yield self._entry(Deed.GRANTED, grant, grant.reason, row, {**row, **written})
        for adoption in self.changes.adoptions:
            row = self.images[adoption.access.id]
            yield self._entry(Deed.ADOPTED, adoption, adoption.reason.value, row, _image(row))
        for revocation in self.changes.revocations:
            yield self._revoked(revocation)
        for domain, resource in self.changes.claims:
            yield self._line(Deed.CLAIMED, domain, "Claimed", image={"resource": str(resource)})

    def _revoked(self, revocation: Revocation) -> Row:
        row = self.images[revocation.access.id]
        entry = self._entry(Deed.REVOKED, revocation, revocation.reason, row, _image(row))
        match revocation.proof:
            case NotEntitled(case, evidence):
                entry |= {"case_id": case.id, "evidence": write_evidence(evidence)}
            case Withdrawn(case):
                entry |= {"case_id": case.id}
        return entry

    def _entry(self, what: Deed, change: Touched, reason: str, row: Row, image: Row) -> dict[str, Any]:
        entry = self._line(what, change.name, reason, image=image)
        return entry | {
            "domain_id": row["maildomain_id"],
            "user_id": row["user_id"],
            "access_id": row["id"],
            "sources": _texts(change.sources),
        }

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
        }


@lru_cache(maxsize=256)
def _texts(sources: tuple[ResourceKey, ...]) -> list[str]:
    return [str(source) for source in sources]


def _image(row: Row) -> dict[str, Any]:
    """A row as JSON: numbers and texts as they are, everything else as its text."""
    return {
        name: value if value is None or isinstance(value, (int, str)) else str(value) for name, value in row.items()
    }
