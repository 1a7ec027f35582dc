"""The first tables: fence, ledger, cases, holds, claims and the journal."""

from alembic import op
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)

from controller.maildb.columns import BigNumber, Document, Id, Moment
from controller.maildb.own import PREFIX, SCHEMA

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them all."""
    schema, prefix = (SCHEMA, "") if op.get_context().dialect.name == "postgresql" else (None, PREFIX)
    qualified = f"{schema}." if schema else ""
    op.create_table(
        f"{prefix}fence",
        Column("owner", Text, primary_key=True),
        Column("holder", Text, comment="the process that runs the loop"),
        Column("epoch", BigNumber, nullable=False, autoincrement=False),
        Column("expires_at", Moment),
        Column("command", Text, comment="the command that has the database to itself now"),
        Column("command_expires_at", Moment),
        schema=schema,
    )
    op.create_table(
        f"{prefix}access_ledger",
        Column("domain_id", Id, nullable=False),
        Column("user_id", Id, nullable=False),
        Column("access_id", Id, nullable=False),
        Column("owner", Text, nullable=False),
        Column("sources", Document, nullable=False),
        Column("origin", Text, nullable=False),
        Column("since", Moment, nullable=False),
        PrimaryKeyConstraint("domain_id", "user_id"),
        UniqueConstraint("access_id", name=f"uq_{prefix}access_ledger_access_id"),
        CheckConstraint("origin IN ('granted', 'adopted')", name=f"ck_{prefix}access_ledger_origin"),
        schema=schema,
    )
    op.create_table(
        f"{prefix}revocation_case",
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
        schema=schema,
    )
    op.create_index(
        f"ix_{prefix}revocation_case_owner_state", f"{prefix}revocation_case", ["owner", "state"], schema=schema
    )
    op.create_table(
        f"{prefix}hold",
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
        schema=schema,
    )
    op.create_index(f"ix_{prefix}hold_owner_closed_at", f"{prefix}hold", ["owner", "closed_at"], schema=schema)
    op.create_table(
        f"{prefix}hold_access",
        Column("owner", Text, nullable=False),
        Column("hold_id", Text, nullable=False),
        Column("domain_id", Id, nullable=False),
        Column("user_id", Id, nullable=False),
        PrimaryKeyConstraint("owner", "hold_id", "domain_id", "user_id"),
        ForeignKeyConstraint(
            ["owner", "hold_id"],
            [f"{qualified}{prefix}hold.owner", f"{qualified}{prefix}hold.id"],
            name=f"fk_{prefix}hold_access_hold",
        ),
        schema=schema,
    )
    op.create_table(
        f"{prefix}claim",
        Column("domain", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("resource", Text, nullable=False, comment="namespace/name"),
        Column("since", Moment, nullable=False),
        schema=schema,
    )
    op.create_table(
        f"{prefix}journal",
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
        schema=schema,
    )
    op.create_index(f"ix_{prefix}journal_at", f"{prefix}journal", ["at"], schema=schema)
    op.create_index(f"ix_{prefix}journal_domain_at", f"{prefix}journal", ["domain", "at"], schema=schema)


def downgrade() -> None:
    """There is no way back: the journal is what `rollback` works from."""
    raise NotImplementedError("the journal and the ledger are never dropped")
