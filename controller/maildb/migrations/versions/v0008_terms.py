"""Terms: under which sources and domains were last let revoke."""

from alembic import op
from sqlalchemy import Column, Text

from controller.maildb.own import PREFIX, SCHEMA

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen what is noted of both."""
    schema, prefix = (SCHEMA, "") if op.get_context().dialect.name == "postgresql" else (None, PREFIX)
    of_resource = Column("terms", Text, comment="under which the resource was last let revoke")
    op.add_column(f"{prefix}claim", of_resource, schema=schema)
    op.add_column(f"{prefix}known", Column("terms", Text, comment="under which it was last let revoke"), schema=schema)


def downgrade() -> None:
    """There is no way back."""
    raise NotImplementedError("what was approved is never forgotten")
