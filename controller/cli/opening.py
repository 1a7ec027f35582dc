"""Which mail database is meant? That of the option, of the environment, or of a file read again at each connect."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from controller.settings import database_url, read_settings

if TYPE_CHECKING:
    from controller.maildb.database import MailDatabase

FILE_OWNER = "file"
"""Who owns what is granted without a cluster, unless `MDC_OWNER` says otherwise."""


@contextmanager
def open_database(given: str | None) -> "Iterator[MailDatabase]":
    """The mail database on behalf of this process's owner. Raises `InvalidInput` when none is named."""
    from controller.maildb.database import MailDatabase  # noqa: PLC0415  # SQLAlchemy is slow, and bad input quick

    settings = read_settings()
    owner = settings.owner or FILE_OWNER
    database = MailDatabase(database_url(settings, given), owner=owner, frozen=settings.freeze)
    try:
        yield database
    finally:
        database.close()
