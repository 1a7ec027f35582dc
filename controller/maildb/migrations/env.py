"""Where do migrations run? On the connection, and in the transaction, that `migrate` hands over."""

from alembic import context
from sqlalchemy import Connection

from controller.maildb.own import own_tables

connection: Connection = context.config.attributes["connection"]
own = own_tables(connection.dialect.name)
context.configure(
    connection=connection,
    target_metadata=own.metadata,
    version_table=own.version_table,
    version_table_schema=own.schema,
)
context.run_migrations()
