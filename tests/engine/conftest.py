"""Which fixtures does this layer use? Real databases, on both dialects."""

from tests.support.database import database, database_url, dialect, world

__all__ = ["database", "database_url", "dialect", "world"]
