"""Which mail database is meant? That of the option, of the environment, or of a file read again at each connect."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from controller.errors import DatabaseUnavailable, InvalidInput, Problem
from controller.settings import Settings, read_settings

if TYPE_CHECKING:
    from controller.maildb.database import MailDatabase

FILE_OWNER = "file"
"""Who owns what is granted without a cluster, unless `MDC_OWNER` says otherwise."""


@contextmanager
def open_database(given: str | None) -> "Iterator[MailDatabase]":
    """The mail database on behalf of this process's owner. Raises `InvalidInput` when none is named."""
    from controller.maildb.database import MailDatabase  # noqa: PLC0415  # SQLAlchemy is slow, and bad input quick

    settings = read_settings()
    database = MailDatabase(_url(given, settings), owner=settings.owner or FILE_OWNER)
    try:
        yield database
    finally:
        database.close()


def _url(given: str | None, settings: Settings) -> Callable[[], str]:
    known = given or (settings.database_url.get_secret_value() if settings.database_url else "")
    if known:
        return lambda: known
    file = settings.database_url_file
    if file is None:
        remedy = "give --database-url, MDC_DATABASE_URL or MDC_DATABASE_URL_FILE"
        raise InvalidInput(Problem("command line", "", "names no mail database", remedy))
    if not file.is_file():
        raise InvalidInput(Problem("environment", "MDC_DATABASE_URL_FILE", "names no file", "name a file with the URL"))
    return lambda: _read(file)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise DatabaseUnavailable("the file that MDC_DATABASE_URL_FILE names can't be read") from None
