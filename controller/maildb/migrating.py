"""How do our own tables come to be? Migrations by Alembic, in one transaction with what `migrate` notes beside them."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from controller.maildb import fence
from controller.maildb.own import SCHEMA, own_tables
from controller.maildb.preflight import own_version, refuse_newer

_ONE_AT_A_TIME = 7_236_481_025
"""Key of the transaction's advisory lock: two replicas may start, and migrate, at the same moment."""


def upgrade(connection: Connection, owner: str) -> None:
    """Bring our tables to this program's version and note the owner.

    Raises `MigrationNeeded` when they are newer than this program.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
        _create_schema(connection)
    refuse_newer(own_version(connection))
    config = Config()
    config.set_main_option("script_location", "controller.maildb:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    fence.create(connection, own_tables(connection.dialect.name), owner)


def _create_schema(connection: Connection) -> None:
    """Asked for first: `IF NOT EXISTS` needs the right to create schemas even where it would create none."""
    if connection.execute(text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}).scalar() is None:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
