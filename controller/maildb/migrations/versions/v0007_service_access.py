"""Who may open which service, and as whom: rows for readers, and a view that leaves out what is only audited."""

from alembic import op
from sqlalchemy import Boolean, Column, Text

from controller.maildb.columns import Id, Moment
from controller.maildb.own import PREFIX, SCHEMA

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the view."""
    schema, prefix = (SCHEMA, "") if op.get_context().dialect.name == "postgresql" else (None, PREFIX)
    op.create_table(
        f"{prefix}service_access",
        Column("maildomain_id", Id, primary_key=True),
        Column("user_id", Id, primary_key=True),
        Column("service_id", Text, primary_key=True, comment="name of the CatalogService"),
        Column("owner", Text, nullable=False),
        Column("allowed", Boolean, nullable=False),
        Column("reason", Text, nullable=False),
        Column("advisory", Boolean, nullable=False, comment="computed and not served: the domain is only audited"),
        Column("stale", Boolean, nullable=False, comment="kept from before: it is not known now"),
        Column("updated_at", Moment, nullable=False),
        schema=schema,
    )
    op.create_table(
        f"{prefix}impersonation",
        Column("maildomain_id", Id, primary_key=True),
        Column("actor_id", Id, primary_key=True),
        Column("subject_id", Id, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("updated_at", Moment, nullable=False),
        schema=schema,
    )
    op.create_table(
        f"{prefix}service_domain",
        Column("maildomain_id", Id, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("digest", Text, nullable=False, comment="of everything that its rows say"),
        Column("updated_at", Moment, nullable=False),
        schema=schema,
    )
    place = f"{schema}." if schema else prefix
    op.execute(
        f"CREATE VIEW {place}effective_services AS "  # noqa: S608  # constants
        "SELECT maildomain_id, user_id, service_id, allowed OR advisory AS allowed, "
        "reason, advisory, stale, updated_at "
        f"FROM {place}service_access"
    )


def downgrade() -> None:
    """There is no way back: what is served would be gone."""
    raise NotImplementedError("what services rely on is never dropped")
