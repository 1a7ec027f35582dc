"""How does a domain pass from one owner to another? On purpose only, with its ledger, and noted in the journal."""

from sqlalchemy import Connection, select, update

from controller.maildb.application import Application
from controller.maildb.batches import insert_rows
from controller.maildb.columns import among, database_time
from controller.maildb.fence import Writer
from controller.maildb.keeping import Deed
from controller.maildb.own import Own, own_tables
from controller.maildb.reading import read_domains
from controller.planning.facts import OPEN_STATES, CaseState, DomainId
from controller.resources.names import DomainName, canonical_domain


def take_over(connection: Connection, application: Application, writer: Writer, domain: DomainName) -> bool:
    """Give the claim of another owner on `domain` to this one; False when no other owner has it.

    Its ledger entries and pins go along, so that rows which the install granted stay revocable, and restored ones stay;
    so do the rows about services. Open cases of the former owner close, because their evidence came from sources of
    theirs. Their epoch rises: a plan of theirs that is under way is not written any more.
    """
    own = own_tables(connection.dialect.name)
    claim = own.claim.c
    former = connection.execute(select(claim.owner).where(claim.domain == domain).with_for_update()).scalar()
    if former is None or former == writer.owner:
        return False
    fence = own.fence
    connection.execute(update(fence).where(fence.c.owner == former).values(epoch=fence.c.epoch + 1))
    connection.execute(update(own.claim).where(claim.domain == domain).values(owner=writer.owner))
    domains = [row.id for row in read_domains(connection, application) if canonical_domain(row.name) == domain]
    _move_rows(connection, own, former, writer, domains)
    _note(connection, own, former, writer, domain)
    return True


def _move_rows(connection: Connection, own: Own, former: str, writer: Writer, domains: list[DomainId]) -> None:
    case = own.case.c
    for table in (own.ledger, own.pin):
        theirs = among(table.c.domain_id, domains, connection.dialect) & (table.c.owner == former)
        connection.execute(update(table).where(theirs).values(owner=writer.owner))
    for table in (own.service_access, own.impersonation, own.service_domain):
        theirs = among(table.c.maildomain_id, domains, connection.dialect) & (table.c.owner == former)
        connection.execute(update(table).where(theirs).values(owner=writer.owner))
    open_cases = among(case.domain_id, domains, connection.dialect) & (case.owner == former)
    connection.execute(
        update(own.case)
        .where(open_cases, case.state.in_(sorted(OPEN_STATES)))
        .values(state=CaseState.CLOSED.value, hold=None, changed_at=database_time())
    )


def _note(connection: Connection, own: Own, former: str, writer: Writer, domain: DomainName) -> None:
    entry = {
        "at": connection.execute(select(database_time())).scalar_one(),
        "owner": writer.owner,
        "holder": writer.holder,
        "what": Deed.TAKEN_OVER.value,
        "domain": domain,
        "sources": [],
        "reason": "TakeOver",
        "evidence": [],
        "image": {"former_owner": former},
    }
    insert_rows(connection, own.journal, [entry])
