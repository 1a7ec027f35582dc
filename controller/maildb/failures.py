"""What does a database's error mean to the caller? Vendor errors become errors of this project, with fixed texts.

Vendors' messages hold values of rows (invariant 10): they are dropped, only the code of the error is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from controller.errors import ControllerError, DatabaseUnavailable, NotAuthorized, PlanOutdated, SchemaUnknown


class Locked(DatabaseUnavailable):
    """Somebody else holds a lock that we need, for longer than we wait."""


_MISSING = frozenset({"3F000", "42703", "42P01"})
_BUSY = ("55P03", "SQLITE_BUSY", "SQLITE_LOCKED")
_READ_ONLY = ("25006", "42501", "SQLITE_READONLY", "SQLITE_PERM")
_NO_FILE = ("SQLITE_CANTOPEN", "SQLITE_NOTADB")
_NO_LONGER_FITS = ("23", "40001", "40P01", "SQLITE_CONSTRAINT")


@contextmanager
def converted() -> Iterator[None]:
    """Turn vendor errors of the body into ours.

    `NotAuthorized`: the role lacks a privilege. `SchemaUnknown`: a table or column is gone since the last preflight.
    `PlanOutdated`: a constraint, a deadlock or a serialization failure, at a statement or at COMMIT: nothing is
    written. `DatabaseUnavailable`: everything else, a lock that is not to be had (`Locked`) and a lost connection
    included. When the connection is lost at COMMIT nobody knows whether the transaction was carried out: read again.
    """
    try:
        yield
    except DBAPIError as error:
        raise _meaning(error) from None
    except SQLAlchemyError:
        raise DatabaseUnavailable("the mail database can't be used now: no connection is to be had") from None


def _meaning(error: DBAPIError) -> ControllerError:
    vendor = error.orig
    code: str = getattr(vendor, "sqlstate", None) or getattr(vendor, "sqlite_errorname", None) or ""
    if code.startswith(_READ_ONLY):
        return NotAuthorized(f"the database role lacks a privilege that this needs ({code}); see docs/grants.sql")
    if code in _MISSING or str(vendor).startswith(("no such table", "no such column")):
        return SchemaUnknown(("a table or column is gone since the database was last looked at",))
    if code.startswith(_NO_LONGER_FITS):
        return PlanOutdated(f"the mail database changed under the plan ({code}); nothing was written")
    if code.startswith(_BUSY):
        return Locked(f"the mail database is locked by somebody else ({code})")
    if code.startswith(_NO_FILE):
        return DatabaseUnavailable(f"the file of the mail database is not there, not readable, or none ({code})")
    shown = f" ({code})" if code else ""
    return DatabaseUnavailable(f"the mail database does not answer, or refused the login{shown}")
