"""The freeze: a table in which any row stops every write."""

from alembic import op
from sqlalchemy import Column, Identity, Text, func

from controller.maildb.columns import BigNumber, Moment
from controller.maildb.own import PREFIX, SCHEMA

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it, empty."""
    schema, prefix = (SCHEMA, "") if op.get_context().dialect.name == "postgresql" else (None, PREFIX)
    op.create_table(
        f"{prefix}frozen",
        Column("id", BigNumber, Identity(always=True), primary_key=True),
        Column("since", Moment, nullable=False, server_default=func.current_timestamp()),
        Column("reason", Text),
        schema=schema,
    )


def downgrade() -> None:
    """There is no way back: a freeze is never lost."""
    raise NotImplementedError("a freeze is never dropped")
