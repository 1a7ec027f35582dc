"""Hints: whom webhooks name, until the operator has taken them."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, PrimaryKeyConstraint, Text

from controller.maildb.columns import Moment
from controller.maildb.own import PREFIX, SCHEMA

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    schema, prefix = (SCHEMA, "") if op.get_context().dialect.name == "postgresql" else (None, PREFIX)
    op.create_table(
        f"{prefix}hint",
        Column("owner", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("subject", Text, nullable=False, comment="an e-mail as it is compared, or a canonical domain"),
        Column("due_at", Moment, nullable=False),
        PrimaryKeyConstraint("owner", "kind", "subject"),
        CheckConstraint("kind IN ('user', 'domain')", name=f"ck_{prefix}hint_kind"),
        schema=schema,
    )


def downgrade() -> None:
    """Hints are worth nothing after a few seconds; the tables before them have no way back either."""
    raise NotImplementedError("there is no way back")
