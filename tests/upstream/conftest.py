"""Which fixtures do these tests use? A loop over a real database; one dialect is enough for what they say."""

import pytest

from tests.support.database import bare_url, database, database_url, world
from tests.support.operating import operating

__all__ = ["bare_url", "database", "database_url", "operating", "world"]


@pytest.fixture
def dialect() -> str:
    """The embedded one."""
    return "sqlite"
