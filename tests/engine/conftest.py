"""Which fixtures does this layer use? Real databases, on both dialects, and a loop over each."""

from tests.support.database import database, database_url, dialect, world
from tests.support.operating import operating

__all__ = ["database", "database_url", "dialect", "operating", "world"]
