"""Undoing: what a removal took along, and the pins on what was restored."""

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, Text

from controller.maildb.columns import Document, Id, Moment
from controller.maildb.own import PREFIX, SCHEMA

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen the journal, and create the pins."""
    schema, prefix = (SCHEMA, "") if op.get_context().dialect.name == "postgresql" else (None, PREFIX)
    op.add_column(
        f"{prefix}journal",
        Column("hold", Text, comment="the hold whose approval let a removal go"),
        schema=schema,
    )
    op.add_column(
        f"{prefix}journal",
        Column("ledger", Document, comment="the ledger entry that a removal took along"),
        schema=schema,
    )
    op.create_table(
        f"{prefix}pin",
        Column("domain_id", Id, nullable=False),
        Column("user_id", Id, nullable=False),
        Column("access_id", Id, nullable=False),
        Column("owner", Text, nullable=False),
        Column("domain", Text, nullable=False, comment="canonical name"),
        Column("hold", Text, comment="the hold whose approval had let the removal go"),
        Column("since", Moment, nullable=False),
        PrimaryKeyConstraint("domain_id", "user_id"),
        schema=schema,
    )


def downgrade() -> None:
    """There is no way back: the journal is what `rollback` works from."""
    raise NotImplementedError("the journal is never dropped")
