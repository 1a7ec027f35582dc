"""Since when a declared object is known: read from the journal for the sources that were at work before."""

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, Text, text

from controller.maildb.columns import Moment
from controller.maildb.own import PREFIX, SCHEMA

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ITEMS = {"postgresql": "jsonb_array_elements_text(j.sources)", "sqlite": "json_each(j.sources)"}


def upgrade() -> None:
    """Create the table and fill it."""
    dialect = op.get_context().dialect.name
    schema, prefix = (SCHEMA, "") if dialect == "postgresql" else (None, PREFIX)
    op.create_table(
        f"{prefix}known",
        Column("owner", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("object", Text, nullable=False, comment="namespace/name"),
        Column("since", Moment, nullable=False, comment="when this owner first worked with it"),
        PrimaryKeyConstraint("owner", "kind", "object"),
        schema=schema,
    )
    place = f"{schema}." if schema else prefix
    item = "source" if dialect == "postgresql" else "source.value"
    op.execute(
        text(
            f"INSERT INTO {place}known (owner, kind, object, since) "  # noqa: S608  # names of ours, no values
            f"SELECT j.owner, 'EntitlementSource', {item}, min(j.at) "
            f"FROM {place}journal j, {_ITEMS[dialect]} source GROUP BY j.owner, {item}"
        )
    )


def downgrade() -> None:
    """There is no way back."""
    raise NotImplementedError("what is known is never forgotten")
