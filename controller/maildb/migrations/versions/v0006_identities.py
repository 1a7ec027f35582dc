"""Identities: the sealed e-mail beside each ledger entry, and the key that seals."""

import secrets

from alembic import op
from sqlalchemy import Column, Text

from controller.maildb.own import PREFIX, SCHEMA

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen the ledger, and make the key."""
    schema, prefix = (SCHEMA, "") if op.get_context().dialect.name == "postgresql" else (None, PREFIX)
    op.add_column(
        f"{prefix}access_ledger",
        Column("identity", Text, comment="the sealed e-mail that a source was asked about"),
        schema=schema,
    )
    seal = op.create_table(f"{prefix}seal", Column("key", Text, primary_key=True), schema=schema)
    op.bulk_insert(seal, [{"key": secrets.token_hex(32)}])


def downgrade() -> None:
    """There is no way back: another key recognises nobody."""
    raise NotImplementedError("the key is never dropped")
