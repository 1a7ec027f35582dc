"""What do we keep ourselves? Our own tables, in a schema of their own on PostgreSQL, with a prefix on SQLite."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from controller.maildb.columns import BigNumber, Document, Id, Moment

SCHEMA = "maildomain_controller"
PREFIX = "mdc_"
VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""Every version of these tables, the newest last; each has a migration."""
NAMING = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}


@dataclass(frozen=True, slots=True)
class Own:
    """Our tables on one dialect."""

    metadata: MetaData
    schema: str | None
    prefix: str
    fence: Table
    ledger: Table
    case: Table
    hold: Table
    hold_access: Table
    claim: Table
    known: Table
    journal: Table
    frozen: Table
    hint: Table
    pin: Table
    seal: Table
    service_access: Table
    impersonation: Table
    service_domain: Table

    @property
    def version_table(self) -> str:
        """The table in which Alembic notes the version."""
        return f"{self.prefix}alembic_version"


@cache
def own_tables(dialect: str) -> Own:
    """Our tables as they are on this dialect."""
    schema, prefix = (SCHEMA, "") if dialect == "postgresql" else (None, PREFIX)
    metadata = MetaData(schema=schema, naming_convention=NAMING)
    hold = _hold(metadata, prefix)
    return Own(
        metadata,
        schema,
        prefix,
        fence=_fence(metadata, prefix),
        ledger=_ledger(metadata, prefix),
        case=_case(metadata, prefix),
        hold=hold,
        hold_access=_hold_access(metadata, prefix, hold),
        claim=_claim(metadata, prefix),
        known=_known(metadata, prefix),
        journal=_journal(metadata, prefix),
        frozen=_frozen(metadata, prefix),
        hint=_hint(metadata, prefix),
        pin=_pin(metadata, prefix),
        seal=_seal(metadata, prefix),
        service_access=_service_access(metadata, prefix),
        impersonation=_impersonation(metadata, prefix),
        service_domain=_service_domain(metadata, prefix),
    )


def _fence(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}fence",
        metadata,
        Column("owner", Text, primary_key=True),
        Column("holder", Text, comment="the process that runs the loop"),
        Column("epoch", BigNumber, nullable=False, autoincrement=False),
        Column("expires_at", Moment),
        Column("command", Text, comment="the command that has the database to itself now"),
        Column("command_expires_at", Moment),
    )


def _ledger(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}access_ledger",
        metadata,
        Column("domain_id", Id, primary_key=True),
        Column("user_id", Id, primary_key=True),
        Column("access_id", Id, nullable=False),
        Column("owner", Text, nullable=False),
        Column("sources", Document, nullable=False),
        Column("origin", Text, nullable=False),
        Column("since", Moment, nullable=False),
        Column("identity", Text, comment="the sealed e-mail that a source was asked about"),
        UniqueConstraint("access_id"),
        CheckConstraint("origin IN ('granted', 'adopted')", name=f"ck_{prefix}access_ledger_origin"),
    )


def _case(metadata: MetaData, prefix: str) -> Table:
    table = Table(
        f"{prefix}revocation_case",
        metadata,
        Column("id", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("access_id", Id, nullable=False),
        Column("domain_id", Id, nullable=False),
        Column("user_id", Id, nullable=False),
        Column("state", Text, nullable=False),
        Column("opened_at", Moment, nullable=False),
        Column("changed_at", Moment, nullable=False),
        Column("hold", Text),
        Column("evidence", Document, nullable=False),
    )
    Index(None, table.c.owner, table.c.state)
    return table


def _hold(metadata: MetaData, prefix: str) -> Table:
    table = Table(
        f"{prefix}hold",
        metadata,
        Column("owner", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("scope_kind", Text, nullable=False),
        Column("scope", Text, nullable=False, comment="namespace/name"),
        Column("limit", Text, nullable=False),
        Column("since", Moment, nullable=False),
        Column("expires_at", Moment, nullable=False),
        Column("approved_at", Moment),
        Column("closed_at", Moment),
        PrimaryKeyConstraint("owner", "id"),
    )
    Index(None, table.c.owner, table.c.closed_at)
    return table


def _hold_access(metadata: MetaData, prefix: str, hold: Table) -> Table:
    return Table(
        f"{prefix}hold_access",
        metadata,
        Column("owner", Text, nullable=False),
        Column("hold_id", Text, nullable=False),
        Column("domain_id", Id, nullable=False),
        Column("user_id", Id, nullable=False),
        PrimaryKeyConstraint("owner", "hold_id", "domain_id", "user_id"),
        ForeignKeyConstraint(["owner", "hold_id"], [hold.c.owner, hold.c.id], name=f"fk_{prefix}hold_access_hold"),
    )


def _claim(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}claim",
        metadata,
        Column("domain", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("resource", Text, nullable=False, comment="namespace/name"),
        Column("since", Moment, nullable=False),
        Column("terms", Text, comment="under which the resource was last let revoke"),
    )


def _known(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}known",
        metadata,
        Column("owner", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("object", Text, nullable=False, comment="namespace/name"),
        Column("since", Moment, nullable=False, comment="when this owner first worked with it"),
        Column("terms", Text, comment="under which it was last let revoke"),
        PrimaryKeyConstraint("owner", "kind", "object"),
    )


def _journal(metadata: MetaData, prefix: str) -> Table:
    table = Table(
        f"{prefix}journal",
        metadata,
        Column("id", BigNumber, Identity(always=True), primary_key=True),
        Column("at", Moment, nullable=False),
        Column("owner", Text, nullable=False),
        Column("holder", Text, nullable=False),
        Column("what", Text, nullable=False),
        Column("domain", Text, nullable=False, comment="canonical name"),
        Column("domain_id", Id),
        Column("user_id", Id),
        Column("access_id", Id),
        Column("sources", Document, nullable=False),
        Column("reason", Text, nullable=False),
        Column("case_id", Text),
        Column("evidence", Document, nullable=False),
        Column("image", Document, nullable=False, comment="the whole row, before a removal and after anything else"),
        Column("hold", Text, comment="the hold whose approval let a removal go"),
        Column("ledger", Document, comment="the ledger entry that a removal took along"),
    )
    Index(None, table.c.at)
    Index(None, table.c.domain, table.c.at)
    return table


def _frozen(metadata: MetaData, prefix: str) -> Table:
    """Any row stops every write. Whoever sets one by hand has nothing to fill in."""
    return Table(
        f"{prefix}frozen",
        metadata,
        Column("id", BigNumber, Identity(always=True), primary_key=True),
        Column("since", Moment, nullable=False, server_default=func.current_timestamp()),
        Column("reason", Text),
    )


def _hint(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}hint",
        metadata,
        Column("owner", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("subject", Text, nullable=False, comment="an e-mail as it is compared, or a canonical domain"),
        Column("due_at", Moment, nullable=False),
        PrimaryKeyConstraint("owner", "kind", "subject"),
        CheckConstraint("kind IN ('user', 'domain')", name=f"ck_{prefix}hint_kind"),
    )


def _pin(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}pin",
        metadata,
        Column("domain_id", Id, primary_key=True),
        Column("user_id", Id, primary_key=True),
        Column("access_id", Id, nullable=False),
        Column("owner", Text, nullable=False),
        Column("domain", Text, nullable=False, comment="canonical name"),
        Column("hold", Text, comment="the hold whose approval had let the removal go"),
        Column("since", Moment, nullable=False),
    )


def _seal(metadata: MetaData, prefix: str) -> Table:
    """One row: a random key, so that what is kept of an e-mail means nothing outside of this database."""
    return Table(f"{prefix}seal", metadata, Column("key", Text, primary_key=True))


def _service_access(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}service_access",
        metadata,
        Column("maildomain_id", Id, primary_key=True),
        Column("user_id", Id, primary_key=True),
        Column("service_id", Text, primary_key=True, comment="name of the CatalogService"),
        Column("owner", Text, nullable=False),
        Column("allowed", Boolean, nullable=False),
        Column("reason", Text, nullable=False),
        Column("advisory", Boolean, nullable=False, comment="computed and not served: the domain is only audited"),
        Column("stale", Boolean, nullable=False, comment="kept from before: it is not known now"),
        Column("updated_at", Moment, nullable=False),
    )


def _impersonation(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}impersonation",
        metadata,
        Column("maildomain_id", Id, primary_key=True),
        Column("actor_id", Id, primary_key=True),
        Column("subject_id", Id, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("updated_at", Moment, nullable=False),
    )


def _service_domain(metadata: MetaData, prefix: str) -> Table:
    return Table(
        f"{prefix}service_domain",
        metadata,
        Column("maildomain_id", Id, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("digest", Text, nullable=False, comment="of everything that its rows say"),
        Column("updated_at", Moment, nullable=False),
    )
