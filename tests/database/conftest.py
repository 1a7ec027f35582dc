"""Which fixtures does this layer use? Those of `tests.support.database`, on both dialects."""

from tests.support.database import bare_url, database, database_url, dialect, world

__all__ = ["bare_url", "database", "database_url", "dialect", "world"]
